"""How a push treats servers that do not serve what is in the bucket: from their index to what it may do."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from tests.pushes import LEAF, TOP, ending
from tritonrepo.diagnostics import Stop
from tritonrepo.repository import read, target
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.smoke import expected, healing
from tritonrepo.smoke.healing import Change
from tritonrepo.smoke.present import Present, There, present
from tritonrepo.smoke.waiting import Patience, Version
from tritonrepo.sync import gating
from tritonrepo.tree import Entry, Tree, of_text

States = Sequence[tuple[str, str, str, str]]


def tree(numbers: str, pin: str = "1", leaf: str = "leaf") -> dict[str, Entry]:
    """Return a leaf with these versions, and the pipeline that pins one."""
    found: dict[str, Entry] = {f"{leaf}/{int(number)}/model.py": of_text("") for number in numbers.split(",")}
    found[f"{leaf}/config.pbtxt"] = of_text(LEAF.format(version=numbers).replace("leaf", leaf))
    found["top/config.pbtxt"] = of_text(TOP.format(version=pin).replace("leaf", leaf))
    return found | {"top/1/.keep": of_text("")}


@contextmanager
def saying(states: States) -> Iterator[Client]:
    """Yield a client of a server with this index; its pipeline has an older config."""
    index = [dict(zip(("name", "version", "state", "reason"), state, strict=True)) for state in states]

    class Index(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(index).encode())

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            name = self.path.split("/")[3]
            older = {"max_batch_size": 4} if name == "top" else {}
            self.wfile.write(json.dumps({**expected.of(read(tree("1"), target()), "r")[name].config, **older}).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the parent's name
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Client(Endpoint(f"http://127.0.0.1:{listening.server_port}"))
        finally:
            listening.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A wait that a fault makes endless is a failure."""
    with ending():
        yield


class Time:
    """A clock that advances by 15 s with each wait."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, _: float) -> None:
        self.now += 15


READY = ("leaf", "1", "READY", "")
NO_TOP = ("top", "", "", "")
REFUSED = ("leaf", "1", "UNAVAILABLE", "Internal: no module")
TRIED_AGAIN = ("leaf", "1", "LOADING", "")
STATES: dict[str, tuple[States, set[str], dict[str, str], float]] = {
    "a pipeline over what was refused": (
        [REFUSED, NO_TOP],
        {"leaf", "top"},
        {
            "leaf": "leaf version 1 does not load: Internal: no module",
            "top": "top calls leaf version 1, which is not served",
        },
        0,
    ),
    "what nothing tells of gets its time": (
        [READY, NO_TOP],
        {"top"},
        {"top": "top is not loaded; the server's log says why"},
        30,
    ),
    "what is not awaited gets none": ([READY, NO_TOP], {"leaf"}, {}, 0),
    "what goes on with an older config": (
        [READY, ("top", "1", "READY", "")],
        {"top"},
        {"top": "top still has an older config: max_batch_size: the repository says 0, but the server serves 4"},
        30,
    ),
    "what is not awaited and loads for ever": ([READY, ("top", "1", "LOADING", "")], {"other"}, {}, 615),
}


@pytest.mark.parametrize(("states", "awaited", "broken", "seconds"), STATES.values(), ids=STATES)
def test_what_is_broken_is_told_from_what_is_only_slow(
    states: States, awaited: set[str], broken: dict[str, str], seconds: float
) -> None:
    time = Time()
    with saying(states) as client:
        found = present(client, there(awaited), Patience(600, lambda: time.now, time.sleep, lambda _: None))
    assert (found.broken, time.now) == (broken, seconds)


LATE: dict[str, tuple[States, str]] = {
    "nothing of that name": ([READY], "top: the server does not serve this model, but the repository has it"),
    "it loads for ever": ([TRIED_AGAIN, NO_TOP], "leaf is loading"),
    "another version": (
        [("leaf", "7", "READY", ""), NO_TOP],
        "leaf: the server serves version 7, but the repository selects version 1",
    ),
    "no index": ([("", "", "", "")] * 0, "leaf: the server does not serve this model, but the repository has it"),
}


@pytest.mark.parametrize(("states", "message"), LATE.values(), ids=LATE)
def test_what_is_under_way_still_when_time_is_up_ends_the_push(states: States, message: str) -> None:
    time = Time()
    with saying(states) as client, pytest.raises(Stop, match="after 600 s the server still does not serve") as stop:
        present(client, there({"leaf", "top"}), Patience(600, lambda: time.now, time.sleep, lambda _: None))
    assert message in str(stop.value)


def there(awaited: set[str]) -> There:
    lies = tree("1")
    return There(expected.of(read(lies, target()), "r"), {"leaf": {}, "top": {"leaf": 1}}, awaited, {"top"})


def server(url: str, ready: str, refused: str = "", **broken: str) -> Present:
    """Return a server that serves and refuses these versions, with the reasons for broken models."""

    def versions(text: str) -> list[Version]:
        return [(one.split("/")[0], one.split("/")[1]) for one in text.split()]

    return Present(url, frozenset(versions(ready)), frozenset(), dict.fromkeys(versions(refused), "reason"), broken)


def change(want: Tree, have: Tree, touched: set[str], more: Mapping[str, set[str]]) -> Change:
    before = {name: model.versions for name, model in expected.of(read(have, target()), "r").items()}
    return Change(gating.models(want, target()), touched, more.get("altered", set()), more.get("open", set()), before)


DEAD = server("http://a", "", "leaf/1", leaf="leaf ...", top="top ...")
WELL = server("http://a", "leaf/1 top/1")
HALF = server("http://a", "leaf/1 top/1", "leaf/2", leaf="leaf ...")
MOVED = tree("2", "2")
WAYS: dict[str, tuple[list[Present], Change, str]] = {
    "a new version instead of the refused one": ([DEAD], change(MOVED, tree("1"), {"leaf", "top"}, {}), ""),
    "the same version with another config": ([DEAD], change(tree("1"), tree("1"), {"leaf"}, {"altered": {"leaf"}}), ""),
    "nothing changes of what was refused before": ([DEAD], change(tree("1"), tree("1"), {"top"}, {}), ""),
    "what this release brought was refused": (
        [HALF],
        change(MOVED, tree("1, 2"), {"leaf", "top"}, {"open": {"leaf"}}),
        "http://a: error: the server refused to load leaf version 2: reason",
    ),
    "it was refused by one of two": (
        [server("http://b", "leaf/1 leaf/2 top/1"), HALF],
        change(MOVED, tree("1, 2"), {"leaf", "top"}, {"open": {"leaf"}}),
        "http://a: error: the server refused to load leaf version 2: reason",
    ),
    "a refused version that nothing names any more": (
        [server("http://a", "leaf/1 top/1", "leaf/2")],
        change(MOVED, tree("1"), {"leaf", "top"}, {}),
        "",
    ),
    "a new pipeline over what one of two refuses": (
        [WELL, server("http://b", "", "leaf/1", leaf="leaf ...")],
        change(tree("1"), {path: file for path, file in tree("1").items() if "leaf" in path}, {"top"}, {}),
        "",
    ),
    "a new pipeline over what all refuse": (
        [server("http://a", "", "leaf/1", leaf="leaf ...")],
        change(tree("1"), {path: file for path, file in tree("1").items() if "leaf" in path}, {"top"}, {}),
        "http://a: error: the server refused to load leaf version 1: reason",
    ),
    "a pipeline that serves would call what is refused": (
        [server("http://a", "leaf/1 top/1", "other/1", other="other ...")],
        change(
            tree("1", leaf="other"),
            tree("1") | {"other/1/x": of_text("")},
            {"top"},
            {},
        ),
        "http://a: error: the server refused to load other version 1: reason",
    ),
    "the last push left what no server loads": (
        [server("http://a", "leaf/1", top="top is not loaded")],
        change(tree("1"), tree("1"), set(), {"open": {"top"}}),
        "http://a: error: the server does not serve what is in the repository: top is not loaded",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("presents", "made", "message"), WAYS.values(), ids=WAYS)
def test_a_push_that_would_be_in_vain_or_do_harm_is_stopped_and_no_other(
    presents: list[Present], made: Change, message: str
) -> None:
    found = "\n".join(str(stop) for stop in healing.in_the_way(presents, made))
    assert found.startswith(message)
    assert bool(found) == bool(message)


def test_a_version_is_dead_where_no_server_serves_it_and_the_others_are_held_up_by_it() -> None:
    made = change(MOVED, tree("1"), {"leaf", "top"}, {})
    named = {"leaf": ["1"], "top": ["1"]}
    assert healing.dead([DEAD], named) == {("leaf", 1), ("top", 1)}
    assert healing.dead([DEAD, WELL], named) == set()
    side_by_side = gating.models(tree("1, 2", "2"), target())
    assert healing.held_up(DEAD, side_by_side, made.want) == {"leaf", "top"}
    assert healing.held_up(WELL, side_by_side, made.want) == set()
    assert healing.held_up(DEAD, gating.models(MOVED, target()), made.want) == set()


def test_a_pipeline_that_a_push_may_bring_back_is_waited_for_at_its_end() -> None:
    one = server("http://a", "", "leaf/1", leaf="leaf ...", top="top calls leaf")
    mended = change(tree("1"), tree("1"), {"leaf"}, {"altered": {"leaf"}})
    assert healing.due(one, mended) == {"leaf", "top"}
    assert healing.due(one, change(tree("1"), tree("1"), set(), {})) == set()
