"""Patterns of routes: `*` any text, `?` any one character, `\\*` the star key. Case-sensitive."""

from dataclasses import dataclass
from enum import Enum, auto


class Wild(Enum):
    ANY = auto()
    ONE = auto()


@dataclass(frozen=True, slots=True)
class Glob:
    """A compiled pattern. Matching takes at most len(pattern) × len(text) steps."""

    parts: tuple[str | Wild, ...]
    exact: str | None = None  # the text of a pattern without wild cards

    def matches(self, text: str) -> bool:
        if self.exact is not None:
            return text == self.exact
        at = part = 0
        star, resume = -1, 0  # where to go on when what follows the last `*` does not fit
        while at < len(text):
            here = self.parts[part] if part < len(self.parts) else None
            if here is Wild.ANY:
                star, resume = part, at
                part += 1
            elif here is Wild.ONE or here == text[at]:
                at, part = at + 1, part + 1
            elif star >= 0:
                resume += 1
                at, part = resume, star + 1
            else:
                return False
        return all(rest is Wild.ANY for rest in self.parts[part:])


def compile_glob(pattern: str) -> Glob:
    parts: list[str | Wild] = []
    letters = iter(pattern)
    for letter in letters:
        if letter == "\\":
            parts.append(next(letters, "\\"))
        else:
            parts.append({"*": Wild.ANY, "?": Wild.ONE}.get(letter, letter))
    plain = [part for part in parts if isinstance(part, str)]
    return Glob(tuple(parts), "".join(plain) if len(plain) == len(parts) else None)
