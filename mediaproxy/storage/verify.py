"""Recordings against their manifests, manifests against their keys, and all of them against the chain.

Beside a running server and its commands this may be run at any time: what looks wrong is looked at
again while nobody changes anything, with the chain as it is then.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mediaproxy.recording.chain import ADOPTED, ALWAYS_NOTED, REDACTED, TOMBSTONES, Head
from mediaproxy.recording.lineage import Lineage, Standing
from mediaproxy.storage import chain, keys
from mediaproxy.storage.changes import manifest_draft, unchanging
from mediaproxy.storage.judge import Verdict, audio_files, ignore, judge
from mediaproxy.storage.store import MASTER_FORMATS, is_id

SUFFIXES = frozenset({".json", *(f".{form}" for form in MASTER_FORMATS)})
NOT_PUBLISHED = frozenset({"live", "renditions"})


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """The chain of one storage; `counts` are its lines by kind."""

    path: Path
    problems: tuple[str, ...]
    head: Head
    counts: Mapping[str, int]
    key_ids: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        lawful = ", ".join(f"{self.counts[kind]} {kind}" for kind in (REDACTED, *sorted(TOMBSTONES)))
        said = "; ".join(self.problems) or f"ok, {self.head.seq + 1} lines ({lawful}), head {self.head}"
        return f"{self.path}: {said}"


@dataclass(frozen=True, slots=True)
class _Found:
    """A recording by its manifest's path, and the storage in which it lies."""

    document: Path
    root: Path | None


class Verification:
    """`given_keys` (raw public keys by id) stand for those that lie beside the recordings; `noted` is
    a head that must be in the chain of every storage looked at. `on_progress` is told how many more
    bytes of audio were read."""

    def __init__(
        self,
        paths: Iterable[Path],
        *,
        given_keys: Mapping[str, bytes] | None = None,
        noted: Head | None = None,
        on_progress: Callable[[int], None] = ignore,
    ) -> None:
        self._paths = list(paths)
        self._given_keys = given_keys
        self._noted = noted
        self._on_progress = on_progress
        self._lineages: dict[Path, Lineage | None] = {}
        self._found, self._strange = _recordings(self._paths)
        self._whole = [path.absolute() for path in self._paths if _is_storage(path)]
        self._keys: dict[Path, Mapping[str, bytes]] = {}

    @property
    def audio_bytes(self) -> int:
        """How much there is to read."""
        files = (path for each in self._found for path in audio_files(each.document))
        return sum(_size(path) for path in files)

    def __len__(self) -> int:
        return len(self._found) + len(self._strange)

    def verdicts(self) -> Iterator[Verdict]:
        """One for every recording that lies there, and for every one that should and does not."""
        yield from self._strange
        for found in self._found:
            verdict = self._judge(found)
            if not verdict.ok and found.root is not None:
                with unchanging(found.root):
                    self._lineages.pop(found.root, None)
                    verdict = self._judge(found)
                if not verdict.ok and self._is_no_longer_or_not_yet(found, found.root):
                    continue
            yield verdict
        for root in self._whole:
            yield from self._missing(root)

    def chains(self) -> list[ChainVerdict]:
        """One for every storage in which something was looked at. Ask after `verdicts`."""
        roots = {*self._whole, *(found.root for found in self._found if found.root is not None)}
        return [self._chain_verdict(root) for root in sorted(roots)]

    def _judge(self, found: _Found) -> Verdict:
        verdict = judge(found.document, self._keys_for(found.document), self._on_progress)
        lineage = None if found.root is None else self._lineage(found.root)
        if lineage is None:
            return verdict
        standing = lineage.standings.get(found.document.stem)
        return replace(verdict, problems=(*verdict.problems, *_standing_problems(found, verdict, standing)))

    def _is_no_longer_or_not_yet(self, found: _Found, root: Path) -> bool:
        """It was removed since it was found; or its publishing is not over, for its journal goes last."""
        lineage = self._lineage(root)
        standing = None if lineage is None else lineage.standings.get(found.document.stem)
        if standing is None:
            return (root / "live" / f"{found.document.stem}.journal").exists()
        return standing.gone and not (os.path.lexists(found.document) or audio_files(found.document))

    def _keys_for(self, path: Path) -> Mapping[str, bytes]:
        if self._given_keys is not None:
            return self._given_keys
        if path.parent not in self._keys:
            self._keys[path.parent] = keys.beside(path.parent)
        return self._keys[path.parent]

    def _lineage(self, root: Path) -> Lineage | None:
        """The chain of a storage as it is now or was a moment ago; None when there is none."""
        if root not in self._lineages:
            self._lineages[root] = self._read_chain(root)
        return self._lineages[root]

    def _read_chain(self, root: Path) -> Lineage | None:
        try:
            content = chain.read(root / chain.CHAIN_FILE)
        except OSError:
            return None
        ids = frozenset(each.document.stem for each in self._found)
        lineage = Lineage(
            self._keys_for(root / chain.CHAIN_FILE),
            noted=self._noted,
            signed_for=None if root in self._whole else ids,
        )
        for line in content.split(b"\n")[:-1]:  # what follows the last newline is no line yet
            lineage.receive_line(line)
        return lineage

    def _missing(self, root: Path) -> Iterator[Verdict]:
        """What the chain says is there, and is not."""
        there = {each.document.stem for each in self._found if each.root == root}
        missing = self._not_among(there, root)
        if missing:
            with unchanging(root):
                self._lineages.pop(root, None)
                there |= {each.document.stem for each in _recordings([root])[0]}
                missing = self._not_among(there, root)
        for recording, standing in missing.items():
            said = f"is gone, and nothing says why ({standing.kind}, line {standing.seq} of the chain)"
            yield Verdict(root / f"{recording}.wav", (said,))

    def _not_among(self, there: set[str], root: Path) -> dict[str, Standing]:
        lineage = self._lineage(root)
        standings = {} if lineage is None else lineage.standings
        return {
            each: standing for each, standing in standings.items() if not (standing.gone or each in there)
        }

    def _chain_verdict(self, root: Path) -> ChainVerdict:
        lineage = self._lineage(root)
        path = root / chain.CHAIN_FILE
        if lineage is None:
            return ChainVerdict(path, ("the chain is missing",), Lineage({}).head, Lineage({}).counts, ())
        used = tuple(sorted(lineage.key_ids))
        return ChainVerdict(path, lineage.problems, lineage.head, lineage.counts, used)


def verify(paths: Iterable[Path]) -> Iterator[Verdict]:
    """A verdict for every recording named: by its audio, its manifest, or a directory above it.

    Live recordings are passed over; they have no manifest yet.
    """
    return Verification(paths).verdicts()


def _standing_problems(found: _Found, verdict: Verdict, standing: Standing | None) -> Iterator[str]:
    """What is wrong with a recording that lies there, by the chain."""
    if standing is None:
        yield "nothing in the chain says that it was published"
    elif standing.gone:
        yield f"was {standing.kind} on {standing.at}, and still lies there"
    elif verdict.claims is None:
        return
    elif verdict.manifest_sha256 == standing.manifest:
        if standing.kind == ADOPTED and verdict.claims.version >= ALWAYS_NOTED:
            yield f"the chain that noted its publishing is gone; another was begun (line {standing.seq})"
    elif found.root is not None and manifest_draft(found.root, found.document.stem).exists():
        yield "a redaction was begun and not finished: start the server"
    else:
        yield f"its manifest is not the one that the chain names in line {standing.seq}"


def _recordings(paths: Iterable[Path]) -> tuple[list[_Found], list[Verdict]]:
    """The recordings named, each once, and verdicts on what is none."""
    found: dict[Path, _Found] = {}
    strange: list[Verdict] = []
    for path in paths:
        if path.is_dir():
            documents = _below(path)
        elif path.suffix in SUFFIXES:
            documents = [path.with_suffix(".json")]
        else:
            strange.append(Verdict(path, ("is no recording",) if path.exists() else ("does not exist",)))
            continue
        found |= {each: _Found(each, storage_above(each)) for each in documents}
    return list(found.values()), strange


def _below(directory: Path) -> list[Path]:
    found = (path for path in directory.rglob("*") if path.suffix in SUFFIXES and is_id(path.stem))
    return sorted({path.with_suffix(".json") for path in found if path.parent.name not in NOT_PUBLISHED})


def storage_above(path: Path) -> Path | None:
    """The storage directory in which a path lies."""
    return next((each for each in path.absolute().parents if _is_storage(each)), None)


def _is_storage(path: Path) -> bool:
    return (path / chain.CHAIN_FILE).is_file() or ((path / "live").is_dir() and (path / "keys").is_dir())


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
