"""Before the load: one call through a running proxy, and in words what is wrong with how it answers."""

import asyncio
import errno
import os
import socket
from typing import Any

from mediaproxy.loadtest.api import Refused
from mediaproxy.loadtest.log import row_of
from mediaproxy.loadtest.parties import Parties, Unanswered
from mediaproxy.loadtest.plan import Broken, Plan, Record
from mediaproxy.loadtest.target import Target
from mediaproxy.net import Endpoint

_TRIAL = 9_999_999  # its number: no call of the load has it
_PATIENCE_S = 6.0
_PROBE_S = 2.0
_WANTED = {
    Record.ALL: ("automatic",),
    Record.RANDOM: ("on_demand",),
    Record.NONE: ("off", "on_demand"),
}


async def examine(plan: Plan, target: Target, parties: Parties) -> str:
    """The policy by which the target records our calls. `Broken` says what it did instead, and a remedy."""
    await _examine_api(target)
    try:
        line = await parties.place(_TRIAL, patience_s=_PATIENCE_S)
    except Unanswered as error:
        raise Broken(await _explain(target, error)) from error
    try:
        row = await row_of(target.api, line.caller)
    finally:
        await parties.hang_up(line)
        parties.forget(line)
    return _judge(plan, target, row)


async def _examine_api(target: Target) -> None:
    url = target.at.api
    try:
        await target.api.get("/v1/calls?limit=1")
    except Refused as error:
        if error.status == 401:
            raise Broken(
                f"{url} does not accept the token: give --token one of its [api] tokens, with role admin"
            ) from error
        raise Broken(f"{url} answered {error}: is it the API of a mediaproxy? Correct --api") from error
    except (OSError, ValueError) as error:
        raise Broken(
            f"{url} does not answer ({_reason(error)}): start the proxy, or correct --api"
        ) from error


async def _explain(target: Target, error: Unanswered) -> str:
    """What to change, by what was answered."""
    at = target.at
    got = f"udp:{at.sip} answered the call from {at.carrier} to {at.number} with {error.status}"
    match error.status:
        case None:
            return await asyncio.to_thread(_explain_silence, at.sip, str(error))
        case 403:
            return (
                f"{got}: it does not know who calls. Its configuration needs [[trunks]] with sources = "
                f'["{at.carrier.host}/32"] and address = "{at.carrier}"; or correct --carrier'
            )
        case 404:
            return (
                f'{got}: it lacks the route. Its configuration needs [[routes]] with to = "{at.number}" '
                f"from that trunk to an agent; or correct --number"
            )
        case 480 | 408 | 487 | 502 | 504:
            return (
                f"{got}: it did not reach our agent. Its [[agents]] contact must be "
                f'"sip:alice@{at.agent}"; or correct --agent'
            )
        case 503:
            return (
                f"{got}: it takes no calls now (max_calls, ports or descriptors used up, or it is stopping)"
            )
        case 488:
            return f"{got}: it does not take our codec; try --codec pcmu"
    return f"{got}; its log says why"


def _explain_silence(sip: Endpoint, said: str) -> str:
    """Nobody there, or somebody who keeps silent?"""
    with socket.socket(socket.AF_INET6 if ":" in sip.host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(sip)
            probe.send(b"\r\n\r\n")
            probe.send(b"\r\n\r\n")
            probe.recv(1)
        except TimeoutError:
            pass
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                return f"nothing listens at udp:{sip}: start the proxy, or correct --target"
            return f"udp:{sip} cannot be reached ({_reason(error)}): correct --target"
    return (
        f"udp:{sip} keeps silent: {said}. Is it the proxy's SIP port, and does its [[agents]] contact "
        f"lead to us? Correct --target or --agent"
    )


def _judge(plan: Plan, target: Target, row: dict[str, Any] | None) -> str:
    at = target.at
    if row is None:
        raise Broken(f"{at.api} knows nothing of a call through udp:{at.sip}: they are not one proxy's")
    recording = row["recording"]
    policy = "off" if recording is None else str(recording["policy"])
    wanted = _WANTED[plan.record]
    if policy not in wanted:
        raise Broken(
            f'its route records by policy "{policy}", and --record {plan.record} needs recording = '
            f'"{wanted[0]}" for calls to {at.number}; or choose another --record'
        )
    if recording is not None and plan.record is not Record.NONE:
        rate = recording["sample_rate"]
        if rate != plan.codec.rate:
            raise Broken(
                f"it records at {rate} Hz, where {plan.codec} cannot be checked to the sample: "
                f"its configuration needs [recording] sample_rate = {plan.codec.rate}"
            )
    return policy


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else str(error) or type(error).__name__
