from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mediaproxy.calllog.log import CallLog
from tests.support.alarms import Alarms


@pytest.fixture
def alarms() -> Alarms:
    return Alarms()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/log.sqlite"


@pytest.fixture
async def log(url: str, alarms: Alarms) -> AsyncIterator[CallLog]:
    opened = await CallLog.open(url, on_alarm=alarms)
    yield opened
    await opened.close()
