"""A storage directory and a spool on it, for every test here."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from mediaproxy.storage import Spool, Storage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    opened = Storage.open(tmp_path / "rec", min_free_bytes=0)
    yield opened
    opened.close()


@pytest_asyncio.fixture
async def spool(storage: Storage) -> AsyncIterator[Spool]:
    crashes: list[Exception] = []
    made = Spool(storage, asyncio.get_running_loop(), on_crash=crashes.append)
    yield made
    await made.close()
    assert not crashes
