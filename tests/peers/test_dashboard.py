"""The dashboard in a real browser, on the real server, while real telephones talk."""

import asyncio
import shutil
from collections.abc import Iterator

import pytest

from tests.support import browser
from tests.support.browser import Page
from tests.support.softphone import Pair, connect

ON_DEMAND = "+15550100"
SCRIPTS = (
    '<img src=x onerror="document.title=1">',
    "<script>document.title=2</script>",
    "javascript:document.title=3",
    "'-document.title=4-'",
    "<svg onload=document.title=5>",
    "{{constructor.constructor(1)()}}",
)

pytestmark = [
    pytest.mark.xdist_group("chromium"),
    pytest.mark.skipif(
        shutil.which(browser.CHROMIUM) is None, reason="no chromium: apt-get install chromium"
    ),
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


class Viewer:
    """Whoever sits before the page; it looks from another thread, so that the telephones go on."""

    def __init__(self, page: Page, server) -> None:
        self.page, self.base = page, f"http://{server.config['api']['listen']}"

    async def sign_in(self, token: str) -> None:
        await self.open("#/sign-in")
        await self.does("sessionStorage.clear()")
        await self.open(f"?as={token}#/sign-in/{token}")
        await self.sees(".who")
        self.page.errors.clear()  # of a page that was shown before

    async def open(self, where: str) -> None:
        await asyncio.to_thread(self.page.open, f"{self.base}/{where}")

    async def go(self, where: str) -> None:
        await self.does(f"location.hash = '{where}'")

    async def does(self, script: str):
        return await asyncio.to_thread(self.page.evaluate, script)

    async def waits(self, condition: str):
        return await asyncio.to_thread(self.page.wait_for, condition)

    async def sees(self, selector: str):
        return await self.waits(f"document.querySelector({selector!r}) !== null")

    async def clicks(self, selector: str) -> None:
        await self.sees(selector)
        await self.does(f"document.querySelector({selector!r}).click()")

    async def reads(self, selector: str) -> str:
        return await self.does(f"document.querySelector({selector!r}).innerText")


async def ended(pair: Pair, api) -> dict:
    await pair.hang_up()
    row = await api.call_of(pair.caller.call_id)
    return await api.ended(row["id"])


async def test_an_agent_records_with_one_click_and_finds_it_in_the_log(make_proxy, casts, opened):
    server = make_proxy()
    cast = casts(server)
    carrier, alice, admin = await cast.carrier(), await cast.alice(), cast.api()
    viewer = Viewer(opened, server)
    await viewer.sign_in("ali")
    await viewer.sees(".empty")
    await viewer.waits("document.querySelector('.connection').dataset.state === 'connected'")

    pair = await connect(carrier, alice, ON_DEMAND)
    await viewer.sees(".card [data-state=inactive] .big")
    assert "carrier" in await viewer.reads(".card h2")
    await viewer.clicks(".card .big")
    await viewer.sees(".card [data-state=recording]")
    row = await admin.call_of(pair.caller.call_id)
    assert row["recording"]["state"] == "recording"
    await asyncio.sleep(1.0)
    assert "0:0" in await viewer.reads(".card .clock")
    assert await viewer.does("document.querySelectorAll('.card .timeline .audio').length") == 1
    await viewer.clicks(".card .small")  # pause
    await viewer.sees(".card [data-state=paused]")
    await viewer.clicks(".card .big")  # resume
    await viewer.sees(".card [data-state=recording]")
    await viewer.clicks(".card .big")
    await viewer.sees(".card [data-state=inactive]")
    row = await ended(pair, admin)
    assert [i["started_by"] for i in row["recording"]["intervals"]] == [{"means": "api", "user": "alice"}] * 2
    await viewer.waits("document.querySelector('.card') === null")

    await viewer.go("#/log")
    await viewer.sees("tbody tr")
    assert "recorded" in await viewer.reads("tbody .lengths")
    await viewer.clicks("tbody a")
    await viewer.sees(".intervals li")
    assert await viewer.does("document.querySelectorAll('.intervals li').length") == 2
    await viewer.waits(  # the canvas shows more than two grounds: sound was drawn
        "(() => { const c = document.querySelector('.waveform'); if (!c.width) return false;"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; const seen = new Set();"
        " for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);"
        " return seen.size > 3; })()"
    )
    await viewer.clicks("#play")
    duration_s = await viewer.waits("document.querySelector('audio').duration || 0")
    assert duration_s == pytest.approx(row["duration_ms"] / 1000, abs=0.01)
    assert opened.errors == []


async def test_who_loses_the_server_is_told_that_nothing_is_known(make_proxy, casts, opened):
    server = make_proxy()
    cast = casts(server)
    viewer = Viewer(opened, server)
    pair = await connect(await cast.carrier(), await cast.alice(), ON_DEMAND)
    await viewer.sign_in("ali")
    await viewer.clicks(".card .big")
    await viewer.sees(".card [data-state=recording]")
    server.kill()
    await viewer.sees(".card [data-state=unknown] .big[disabled]")
    assert "unknown" in await viewer.reads(".connection")
    await pair.hush()
    server.start()
    await viewer.waits("document.querySelector('.connection').dataset.state === 'connected'")
    await viewer.sees(".empty")


async def test_what_a_caller_calls_itself_is_text_wherever_it_is_shown(make_proxy, casts, opened):
    server = make_proxy()
    cast = casts(server)
    carrier, alice, admin = await cast.carrier(), await cast.alice(), cast.api()
    viewer = Viewer(opened, server)
    await viewer.sign_in("adm")
    for script in SCRIPTS:
        quoted = script.replace("\\", "\\\\").replace('"', '\\"')
        out = carrier.dialog(ON_DEMAND)
        out.local = f'"{quoted}" {out.local}'
        out.send(out.request("INVITE", carrier.sdp()))
        rang = await alice.ring()
        answered = asyncio.create_task(rang.answer())
        out.ack(await out.expect(200))
        await answered
        await viewer.go("#/live")
        await viewer.waits(f"document.querySelector('.card h2')?.innerText === {script!r}")
        row = await ended(Pair(out, rang), admin)
        for page in ("#/log", f"#/call/{row['id']}"):
            await viewer.go(page)
            await viewer.waits(f"document.getElementById('page').innerText.includes({script!r})")
        await viewer.clicks("details:last-of-type summary")
        await viewer.waits("document.querySelector('.ladder').textContent.includes('INVITE')")
    assert await viewer.does("document.title") == "mediaproxy"
    assert opened.errors == [], "no script ran, none was even tried"


async def test_a_wrong_token_is_refused_and_forgotten(make_proxy, opened):
    viewer = Viewer(opened, make_proxy())
    await viewer.open("#/sign-in/nonsense")
    await viewer.waits("document.querySelector('.trouble')?.hidden === false")
    assert await viewer.does("sessionStorage.length") == 0
    await viewer.sees("#token")
