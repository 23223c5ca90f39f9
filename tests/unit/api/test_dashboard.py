"""The dashboard's files, and whom a token stands for."""

import re

import httpx
import pytest

from mediaproxy.api.dashboard import _contents

NAMES = sorted(_contents())


@pytest.mark.parametrize("path", ["/", *(f"/dashboard/{name}" for name in NAMES)])
async def test_every_file_comes_with_a_policy_that_lets_nothing_else_in(
    nobody: httpx.AsyncClient, path: str
) -> None:
    answer = await nobody.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = await nobody.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name", ["nothing.js", "../verifier.html", "%2e%2e/verifier.html", "..%2fverifier.js", ""]
)
async def test_what_is_none_of_its_files_is_not_found(nobody: httpx.AsyncClient, name: str) -> None:
    assert (await nobody.get(f"/dashboard/{name}")).status_code == 404


def test_every_file_that_is_named_is_there_and_every_one_that_is_there_is_named() -> None:
    """A module that is missing shows only in a browser."""
    named = {"index.html"}
    for content in _contents().values():
        for module, other in re.findall(r'from "\./([\w.]+)"|/dashboard/([\w.]+)"', content.decode()):
            named.add(module or other)
    assert sorted(named) == NAMES


def test_nothing_is_made_of_markup_and_both_languages_say_the_same() -> None:
    scripts = {name: content.decode() for name, content in _contents().items() if name.endswith(".js")}
    for name, script in scripts.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script), name
    english, german = re.findall(
        r"^  (?:en|de): \{\n(.*?)^  \},", scripts["texts.js"], re.DOTALL | re.MULTILINE
    )
    keys = [re.findall(r"(\w+): \"", text) for text in (english, german)]
    assert sorted(keys[0]) == sorted(keys[1])
    assert len(set(keys[0])) == len(keys[0])
    asked = set(re.findall(r"\bt\(\"(\w+)\"\)", "".join(scripts.values())))
    assert asked <= set(keys[0])


async def test_a_token_is_told_whom_it_stands_for(
    nobody: httpx.AsyncClient, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    assert (await nobody.get("/v1/me")).status_code == 401
    assert (await admin.get("/v1/me")).json() == {"name": "admin", "role": "admin", "agent": None}
    assert (await alice.get("/v1/me")).json() == {"name": "alice", "role": "agent", "agent": "alice"}
