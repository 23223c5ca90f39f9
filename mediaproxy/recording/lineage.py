"""What the chain says of each recording, and what is wrong with the chain itself.

Lines are taken in order. What is wrong with one is told once and not of all that follow it: a line
is held against the line that lies before it, whatever that says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mediaproxy.errors import Malformed
from mediaproxy.recording import chain
from mediaproxy.recording.chain import BEGINNINGS, NOTHING_YET, REDACTED, TOMBSTONES, Entry, Head


@dataclass(frozen=True, slots=True)
class Standing:
    """What the chain says last of a recording, in line `seq`, of the manifest with that SHA-256."""

    kind: str
    manifest: str
    seq: int
    at: str

    @property
    def gone(self) -> bool:
        return self.kind in TOMBSTONES


class Lineage:
    """The chain as read so far. `keys` are the public keys (32 raw bytes) by key id.

    `noted` is a head that must be in the chain. With `signed_for` only these recordings' signatures
    are looked at: a signature costs a hundred times what a hash does.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes],
        *,
        noted: Head | None = None,
        signed_for: frozenset[str] | None = None,
    ) -> None:
        self._keys = keys
        self._noted = noted
        self._signed_for = signed_for
        self._noted_found = noted in (None, NOTHING_YET)
        self._expected = 0  # what the next line should call itself, going by the one before it
        self._problems: list[str] = []
        self.head = NOTHING_YET
        self.standings: dict[str, Standing] = {}
        self.counts: dict[str, int] = dict.fromkeys(sorted(chain.KINDS), 0)
        self.key_ids: set[str] = set()

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong up to here."""
        if self._noted_found:
            return tuple(self._problems)
        return (*self._problems, f"the head that was noted, {self._noted}, is not in the chain")

    def receive_line(self, line: bytes) -> None:
        """The next line, without its newline."""
        seq = self.head.seq + 1
        try:
            entry = chain.decode(line)
        except Malformed as error:
            self._problems.append(f"line {seq}: {error.reason}")
            self._expected += 1
        else:
            self._problems += [f"line {seq}: {problem}" for problem in self._judge(entry)]
            self._take(entry)
        self.head = Head(seq, chain.sha256(line))
        self._noted_found |= self.head == self._noted

    def _judge(self, entry: Entry) -> list[str]:
        found = []
        if entry.seq != self._expected:
            found.append(f"it calls itself line {entry.seq}")
        if entry.previous != self.head.hash:
            found.append("it does not follow the line before it")
        if self._signed_for is None or entry.recording_id in self._signed_for:
            found += self._signature_problems(entry)
        if not _follows(entry, self.standings.get(entry.recording_id)):
            found.append(f'"{entry.kind}" does not follow from what was said of this recording')
        return found

    def _signature_problems(self, entry: Entry) -> list[str]:
        public = self._keys.get(entry.key_id)
        if public is None:
            return ["the public key that signed it is not there"]
        return [] if chain.signature_holds(entry, public) else ["its signature does not hold"]

    def _take(self, entry: Entry) -> None:
        self._expected = entry.seq + 1
        standing = Standing(entry.kind, entry.manifest, entry.seq, entry.at)
        self.standings[entry.recording_id] = standing
        self.counts[entry.kind] += 1
        self.key_ids.add(entry.key_id)


def _follows(entry: Entry, last: Standing | None) -> bool:
    """A recording begins once, is redacted from what it was, and goes once, as what it is."""
    if entry.kind in BEGINNINGS:
        return last is None
    if last is None or last.gone:
        return False
    return last.manifest == (entry.replaces if entry.kind == REDACTED else entry.manifest)
