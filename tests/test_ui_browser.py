"""The page of `ui` in a real browser: asked by keyboard, streamed, compared, stopped; hostile answers; what ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.browser import Tab, chromium
from tests.upstream import Upstream, upstream, work
from tritonrepo.ui.serving import Page, served

pytest.importorskip("uvicorn")

STATE = "document.querySelector('.state').textContent"
FAULT = "document.querySelector('.pane .fault')"
SHOWN = "document.querySelector('.models option')"


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream() as found:
        yield found


@pytest.fixture(scope="module")
def page(server: Upstream) -> Iterator[Page]:
    with served(work(server)) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """One browser for all tests: what it requests from anywhere is in its list."""
    with chromium(tmp_path_factory.mktemp("chromium")) as tab:
        tab.shape(1000, 800)
        yield tab


@pytest.fixture
def tab(browser: Tab, page: Page) -> Iterator[Tab]:
    """The page, opened anew; nothing in it may fail, or be requested from elsewhere."""
    browser.errors.clear()
    browser.requests.clear()
    browser.open(page.url)
    browser.until(SHOWN)
    yield browser
    own = page.url.partition("#")[0]
    assert {url for url in browser.requests if not url.startswith((own, f"blob:{own}", "about:"))} == set()
    assert browser.errors == []


def choose(tab: Tab, name: str, pane: int = 0) -> None:
    select = f"document.querySelectorAll('.models')[{pane}]"
    tab.run(f"{select}.value = '{name}'; {select}.dispatchEvent(new Event('change'))")


def ask(tab: Tab, text: str = "why?") -> None:
    tab.run("document.getElementById('question').value = ''; document.getElementById('question').focus()")
    tab.write(text)
    tab.press("Enter")


def test_a_question_is_asked_by_keyboard_alone(tab: Tab) -> None:
    assert tab.run("document.activeElement.id") == "question"
    assert tab.run("location.hash") == ""
    tab.write("why?")
    tab.press("Enter", modifiers=8)
    assert tab.run("document.getElementById('question').value") == "why?\n"
    tab.press("Enter")
    tab.until(f"/^First piece after .*, all after /.test({STATE})")
    seen = []
    for _ in range(6):
        tab.press("Tab")
        seen.append(tab.run("document.activeElement.id || document.activeElement.className || 'link'"))
        assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid", seen
    assert seen == ["ask", "compare", "models", "answer", "link", "link"]


def test_nothing_that_a_server_sends_is_more_than_text(tab: Tab, server: Upstream) -> None:
    ask(tab)
    tab.until(f"/all after/.test({STATE})")
    assert tab.run("document.querySelector('.answer').textContent").startswith("An answer <script>window.hacked = 1")
    titles = tab.run("[...document.querySelectorAll('.sources .row')].map(e => e.firstChild.outerHTML)")
    assert titles[0].startswith('<a href="https://example.com/a" target="_blank" rel="noopener noreferrer">First &lt;')
    assert titles[1:] == ["<span>b</span>", "<span>Third</span>"]
    assert [*tab.run("[...document.querySelectorAll('.score')].map(e => e.textContent)")] == ["0.750", "0.500", "0.250"]
    assert "<script>" in tab.run("document.getElementById('trouble').textContent")
    choose(tab, "search")
    tab.run("document.querySelector('.trace').closest('details').open = true; document.querySelector('.trace').click()")
    tab.until(f"/^2 steps, /.test({STATE})")
    assert "nan" in tab.run("document.querySelector('.traced').textContent")
    assert tab.run("window.hacked") is None
    assert tab.run("document.querySelectorAll('script, main img').length") == 1
    assert {each.head["host"] for each in server.here.asked} == {server.here.url.removeprefix("http://")}


def test_the_pipeline_is_drawn(tab: Tab) -> None:
    choose(tab, "search")
    tab.run("document.querySelector('.drawing').open = true")
    assert tab.until("document.querySelector('.drawing img')?.naturalWidth") > 300
    assert "embedder" in tab.run("document.querySelector('.drawing img').alt")


def test_two_pipelines_are_compared(tab: Tab) -> None:
    tab.run("document.getElementById('compare').click()")
    choose(tab, "search", 1)
    ask(tab)
    tab.until("[...document.querySelectorAll('.state')].filter(e => /all after/.test(e.textContent)).length == 2")
    heads = tab.run("[...document.querySelectorAll('.found h3')].map(e => e.textContent)")
    assert heads == ["Sources", "Found"]
    tab.run("document.getElementById('compare').click()")
    assert tab.run("document.querySelectorAll('.pane').length") == 1


def test_escape_stops_the_answer_and_the_servers_work(tab: Tab, server: Upstream) -> None:
    choose(tab, "slow")
    ask(tab)
    tab.until("document.querySelector('.answer').textContent.startsWith('word word ')")
    assert tab.run("document.querySelector('.answer').getAttribute('aria-busy')") == "true"
    assert not tab.run("document.getElementById('stop').disabled")
    tab.press("Escape")
    tab.until(f"{STATE} == 'Stopped.'")
    assert server.closed.wait(30)
    assert tab.run("document.getElementById('stop').disabled")


def test_a_fault_in_the_stream_is_shown_with_what_came_before(tab: Tab) -> None:
    choose(tab, "failing")
    ask(tab)
    fault = tab.until(f"(each => !each.hidden && each.textContent)({FAULT})")
    assert fault == "failing: out of memory"
    assert tab.run("document.querySelector('.answer').textContent") == "half "


def test_a_narrow_window_needs_no_scrolling_sideways(tab: Tab) -> None:
    tab.shape(360, 700, dark=True)
    ask(tab)
    tab.until(f"/all after/.test({STATE})")
    tab.run("document.querySelectorAll('details').forEach(each => { each.open = true })")
    tab.until("document.querySelector('.drawing img')?.naturalWidth")
    assert tab.run("document.documentElement.scrollWidth") == 360
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(24, 24, 27)"
    tab.shape(1000, 800)


def test_another_tab_without_the_token_says_what_to_do(browser: Tab, page: Page) -> None:
    browser.run("sessionStorage.clear()")
    browser.open(page.url.partition("#")[0])
    said = browser.until("document.querySelector('#trouble .fault')?.textContent")
    assert said.startswith("the token of this page is not the one of the running command")
    assert "Open the URL that the command printed." in said


def test_a_server_that_is_gone_and_a_command_that_ended_are_told(browser: Tab) -> None:
    with upstream() as server:
        with served(work(server)) as page:
            browser.open(page.url)
            browser.until(SHOWN)
            server.here.stop()
            ask(browser)
            fault = browser.until(f"(each => !each.hidden && each.textContent)({FAULT})")
            assert fault.startswith("the server cannot be reached: ")
            assert "Check that the server is running on this port." in fault
        ask(browser)
        fault = browser.until(f"(text => /tritonrepo/.test(text) && text)({FAULT}.textContent)")
        assert "Start it again, and open the URL that it prints." in fault
