"""What a log line looks like, and what never stands in one."""

import json
import subprocess
import sys

import pytest

from mediaproxy.observe.logs import FORBIDDEN_FIELDS, withhold

SCRIPT = """
import logging, structlog
from mediaproxy.observe import configure_logging
configure_logging(as_json={as_json})
log = structlog.get_logger()
log.debug("too_fine")
log.info("call_ended", call="0193", digits="*1", token="geheim")
logging.getLogger("uvicorn.error").info("too fine")
logging.getLogger("uvicorn.error").warning("slow %s", "client")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("call_broken")
"""


def _lines(as_json: bool) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(as_json=as_json)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == ""
    return ran.stderr.splitlines()


@pytest.mark.slow
def test_json_is_one_object_a_line() -> None:
    first, second, third = (json.loads(line) for line in _lines(True))
    assert first["event"] == "call_ended"
    assert (first["level"], first["call"]) == ("info", "0193")
    assert first["timestamp"].endswith("Z")
    assert (first["digits"], first["token"]) == ("withheld", "withheld")
    assert (second["event"], second["level"]) == ("slow client", "warning")
    assert third["event"] == "call_broken"
    assert "ZeroDivisionError" in third["exception"]


@pytest.mark.slow
def test_a_console_says_the_same_for_people() -> None:
    text = "\n".join(_lines(False))
    assert "call_ended" in text
    assert "slow client" in text
    assert "geheim" not in text
    assert "*1" not in text


def test_every_forbidden_field_is_withheld_and_no_other() -> None:
    event = dict.fromkeys([*FORBIDDEN_FIELDS, "call"], "x")
    said = withhold(None, "info", event)
    assert {name for name, value in said.items() if value == "x"} == {"call"}
