"""A reader of SIP messages that shares nothing with ours, and takes only what can be read in one way."""

import re
from typing import NamedTuple

LONG = {"c": "content-type", "f": "from", "i": "call-id", "k": "supported", "l": "content-length"} | {
    "m": "contact", "s": "subject", "t": "to", "v": "via", "e": "content-encoding", "x": "session-expires",
}  # fmt: skip
ONCE = ("from", "to", "call-id", "cseq", "content-length")
FIELD = re.compile(r"([A-Za-z0-9.!%*_+`'~-]+)[ \t]*:(.*)", re.DOTALL)


class Read(NamedTuple):
    start_line: str
    fields: list[tuple[str, str]]  # (long name in lower case, value with folds made one blank)
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]


def read(data: bytes) -> Read:
    """AssertionError for whatever two readers could take for two things."""
    head, end, body = data.partition(b"\r\n\r\n")
    assert end
    text = head.decode("latin-1")
    assert "\0" not in text
    lines = text.split("\r\n")
    assert not any("\r" in line or "\n" in line for line in lines)
    folded: list[str] = []
    for line in lines[1:]:
        assert line.strip(" \t"), "a line of blanks"
        if line[0] in " \t":
            folded[-1] += " " + line.strip(" \t")
        else:
            folded.append(line)
    fields = []
    for line in folded:
        match = FIELD.fullmatch(line)
        assert match, line
        name = match[1].lower()
        fields.append((LONG.get(name, name), match[2].strip(" \t")))
    found = Read(lines[0], fields, body)
    for name in ONCE:
        assert len(found.all(name)) == 1, name
    assert len(found.all("content-type")) <= 1
    assert len(found.all("max-forwards")) == (not found.start_line.startswith("SIP/"))
    assert re.fullmatch("[0-9]+", found.all("content-length")[0])
    assert int(found.all("content-length")[0]) == len(body)
    return found
