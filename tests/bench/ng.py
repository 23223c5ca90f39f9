"""A client of rtpengine's control protocol: a cookie, a space and a bencoded dictionary over UDP."""

import itertools
import socket
from typing import TypeAlias

Bencoded: TypeAlias = "int | str | list[Bencoded] | dict[str, Bencoded]"


class NgClient:
    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((host, port))
        self._socket.settimeout(2)
        self._cookies = itertools.count()

    def ask(self, command: str, **keys: Bencoded) -> dict[str, Bencoded]:
        """Send one command and return the answer; keys are spelt with `_` for `-`."""
        request: dict[str, Bencoded] = {"command": command}
        request.update({name.replace("_", "-"): value for name, value in keys.items()})
        self._socket.send(b"bench%d " % next(self._cookies) + encode(request))
        answer = decode(self._socket.recv(65_535).partition(b" ")[2])
        if not isinstance(answer, dict) or answer.get("result") not in ("ok", "pong"):
            raise RuntimeError(f"rtpengine refused {command}: {answer}")
        return answer

    def close(self) -> None:
        self._socket.close()


def encode(value: Bencoded) -> bytes:
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        return b"%d:%s" % (len(value.encode()), value.encode())
    if isinstance(value, list):
        return b"l" + b"".join(map(encode, value)) + b"e"
    return b"d" + b"".join(encode(name) + encode(item) for name, item in value.items()) + b"e"


def decode(text: bytes) -> Bencoded:
    value, _ = _decode(text, 0)
    return value


def _decode(text: bytes, at: int) -> tuple[Bencoded, int]:
    kind = text[at : at + 1]
    if kind == b"i":
        end = text.index(b"e", at)
        return int(text[at + 1 : end]), end + 1
    if kind in (b"l", b"d"):
        items, at = _decode_items(text, at + 1)
        return (
            (items, at) if kind == b"l" else (dict(zip(map(str, items[::2]), items[1::2], strict=True)), at)
        )
    colon = text.index(b":", at)
    end = colon + 1 + int(text[at:colon])
    return text[colon + 1 : end].decode(errors="replace"), end


def _decode_items(text: bytes, at: int) -> tuple[list[Bencoded], int]:
    items: list[Bencoded] = []
    while text[at : at + 1] != b"e":
        item, at = _decode(text, at)
        items.append(item)
    return items, at + 1
