"""The location service: where each address-of-record can be reached now (RFC 3261 10.3).

A binding is reached over the flow that its REGISTER came by, for behind NAT there is no other way, and by
the Path that it gathered (RFC 3327). A device that names itself (RFC 5626 4.1) has one binding for each
`reg-id`, whatever address it has by now. Bindings are bounded, for an AOR and in all.
"""

from collections import Counter
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from mediaproxy.errors import Malformed, MediaproxyError
from mediaproxy.limits import MAX_CONTACTS, MAX_CONTACTS_PER_AGENT, MAX_PATH
from mediaproxy.net import Endpoint
from mediaproxy.sip.address import NameAddr, parse_name_addr
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.messages import Request
from mediaproxy.sip.uri import Uri

MIN_EXPIRES_S = 60
MAX_EXPIRES_S = 3_600
DEFAULT_EXPIRES_S = 3_600  # also of what cannot be read (10.2.1.1)
MAX_Q = 1_000

Source = tuple[str, Endpoint]


class Wanted(NamedTuple):
    """One Contact of a REGISTER; `expires_s` 0 removes."""

    contact: NameAddr
    expires_s: int


@dataclass(frozen=True, slots=True)
class Registration:
    """A REGISTER as the location service reads it. `contacts` None: `*`, all of them go."""

    call_id: str
    cseq: int
    flow: Flow
    contacts: tuple[Wanted, ...] | None
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binding:
    """`q` in thousandths, `until` on the monotonic clock in s; `number` grows with each that is made."""

    aor: str
    contact: Uri
    q: int
    until: float
    call_id: str
    cseq: int
    flow: Flow
    path: tuple[str, ...]
    device: tuple[str, str] | None  # +sip.instance and reg-id
    number: int

    @property
    def source(self) -> Source:
        return self.flow.transport, self.flow.remote

    def header(self, now: float) -> str:
        """As it stands in the Contact of a 2xx, with the time that is left."""
        end = "" if self.device is None else f";+sip.instance={self.device[0]};reg-id={self.device[1]}"
        left_s = max(int(self.until - now + 0.5), 0)
        return f"<{self.contact}>;expires={left_s};q={self.q // MAX_Q}.{self.q % MAX_Q:03d}{end}"


class Refused(MediaproxyError):
    """Nothing was changed; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(f"registration refused with {status}")
        self.status = status


def read_registration(request: Request, flow: Flow) -> Registration:
    """Raises `Malformed`, 400, for a Contact that cannot be read or is none that we can reach."""
    headers = request.headers
    default_s = _expires(headers.first("expires"))
    elements = headers.elements("contact")
    path = tuple(headers.elements("path"))
    if len(path) > MAX_PATH:
        raise Malformed("too many proxies in Path")
    for hop in path:
        parse_name_addr(hop)
    contacts: tuple[Wanted, ...] | None
    if "*" in elements:
        if len(elements) > 1 or headers.first("expires") != "0":
            raise Malformed("Contact * is for Expires 0 alone")
        contacts = None
    else:
        contacts = tuple(_wanted(element, default_s) for element in elements)
    return Registration(request.call_id, request.cseq.number, flow, contacts, path)


@dataclass(slots=True)
class Location:
    """Bindings by AOR. `most` of one AOR and `most_in_all`; times are monotonic s."""

    most: int = MAX_CONTACTS_PER_AGENT
    most_in_all: int = MAX_CONTACTS
    _bindings: dict[str, tuple[Binding, ...]] = field(default_factory=dict)
    _sources: Counter[Source] = field(default_factory=Counter)
    _due: list[tuple[float, str]] = field(default_factory=list)
    _count: int = 0
    _number: int = 0

    def __len__(self) -> int:
        """How many bindings there are."""
        return self._count

    @property
    def aors(self) -> tuple[str, ...]:
        return tuple(self._bindings)

    def find(self, aor: str, *, now: float) -> list[Binding]:
        """What is to be tried, in this order: by q, then the latest first."""
        live = [each for each in self._bindings.get(aor, ()) if each.until > now]
        return sorted(live, key=lambda each: (-each.q, -each.number))

    def knows(self, flow: Flow) -> bool:
        """Whether a binding was made from where this comes."""
        return (flow.transport, flow.remote) in self._sources

    def register(self, aor: str, wanted: Registration, *, now: float) -> list[Binding]:
        """All that it says or, with `Refused`, nothing: 423, 500 (out of order, 10.3) or 503 (too many)."""
        before = tuple(self.find(aor, now=now))
        after = self._changed(aor, before, wanted, now)
        held = self._bindings.get(aor, ())
        in_all = self._count - len(held) + len(after)
        if len(after) > max(len(before), self.most) or (
            len(after) > len(before) and in_all > self.most_in_all
        ):
            raise Refused(503)
        self._replace(aor, after)
        return self.find(aor, now=now)

    def remove(self, aor: str) -> None:
        self._replace(aor, ())

    def next_deadline(self) -> float | None:
        return self._due[0][0] if self._due else None

    def handle_timer(self, *, now: float) -> list[str]:
        """The AORs of which bindings expired."""
        changed = []
        while self._due and self._due[0][0] <= now:
            _, aor = heappop(self._due)
            held = self._bindings.get(aor, ())
            live = tuple(each for each in held if each.until > now)
            if len(live) < len(held):
                self._replace(aor, live)
                changed.append(aor)
        return changed

    # -- changes

    def _changed(
        self, aor: str, before: tuple[Binding, ...], wanted: Registration, now: float
    ) -> tuple[Binding, ...]:
        if wanted.contacts is None:
            for each in before:
                _in_order(each, wanted)
            return ()
        after = list(before)
        for contact, expires_s in wanted.contacts:
            if 0 < expires_s < MIN_EXPIRES_S:
                raise Refused(423)
            device = _device(contact)
            for old in [each for each in after if _is_same(each, contact.uri, device)]:
                if old in before:
                    _in_order(old, wanted)
                after.remove(old)
            if expires_s:
                until = now + min(expires_s, MAX_EXPIRES_S)
                after.append(self._bind(aor, contact, device, until, wanted))
        return tuple(after)

    def _bind(
        self, aor: str, contact: NameAddr, device: tuple[str, str] | None, until: float, wanted: Registration
    ) -> Binding:
        self._number += 1
        return Binding(
            aor, contact.uri._replace(headers=""), _quality(contact), until, wanted.call_id, wanted.cseq,
            wanted.flow, wanted.path, device, self._number,
        )  # fmt: skip

    def _replace(self, aor: str, after: tuple[Binding, ...]) -> None:
        before = self._bindings.pop(aor, ())
        if after:
            self._bindings[aor] = after
        self._count += len(after) - len(before)
        self._sources.update(each.source for each in after)
        self._sources.subtract(each.source for each in before)
        for each in before:
            if not self._sources[each.source]:
                del self._sources[each.source]
        for each in after:
            if each not in before:
                heappush(self._due, (each.until, aor))
        if len(self._due) > 2 * self._count + 64:  # of refreshed ones: no more of them than of live ones
            self._due = [(each.until, aor) for aor, held in self._bindings.items() for each in held]
            heapify(self._due)


def _in_order(old: Binding, wanted: Registration) -> None:
    """A request of the same Call-ID that is not newer came late, or twice (10.3, step 7)."""
    if old.call_id == wanted.call_id and wanted.cseq <= old.cseq:
        raise Refused(500)


def _is_same(old: Binding, contact: Uri, device: tuple[str, str] | None) -> bool:
    if device is not None and old.device is not None:
        return device == old.device
    return _comparable(old.contact) == _comparable(contact)


def _comparable(uri: Uri) -> tuple[object, ...]:
    """What makes two contacts one (19.1.4): everything but order of parameters and case of the host."""
    return uri.scheme, uri.user, uri.host.lower(), uri.port, frozenset(uri.params)


def _wanted(element: str, default_s: int) -> Wanted:
    contact = parse_name_addr(element)
    if contact.uri.scheme != "sip":
        raise Malformed("Contact is no sip: URI")
    own = contact.param("expires")
    return Wanted(contact, default_s if own is None else _expires(own))


def _expires(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 10:
        return DEFAULT_EXPIRES_S
    return int(text)


def _device(contact: NameAddr) -> tuple[str, str] | None:
    """Without a reg-id the device is known all the same: it has one binding then."""
    instance = contact.param("+sip.instance")
    return (instance, contact.param("reg-id") or "0") if instance else None


def _quality(contact: NameAddr) -> int:
    """0.000 to 1.000; what cannot be read is 1 (20.10)."""
    whole, _, rest = (contact.param("q") or "1").partition(".")
    if whole not in ("", "0") or not ((rest.isascii() and rest.isdigit()) or not rest) or len(rest) > 3:
        return MAX_Q
    return int(rest.ljust(3, "0")) if rest else 0
