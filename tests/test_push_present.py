"""How a push treats servers that do not serve what is in the bucket: from their index to what it may do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from tests.ending import ending
from tests.pushes import LEAF, TOP
from tests.speaking import Asked, Said, index, plain, speaking
from tests.tabled import tabled
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
LEAF_1 = {"leaf": 1}


def tree(numbers: str, pin: str = "1", leaf: str = "leaf") -> dict[str, Entry]:
    """Return a leaf with these versions, and the pipeline that pins one."""
    found: dict[str, Entry] = {f"{leaf}/{int(number)}/model.py": of_text("") for number in numbers.split(",")}
    found[f"{leaf}/config.pbtxt"] = of_text(LEAF.format(version=numbers).replace("leaf", leaf))
    found["top/config.pbtxt"] = of_text(TOP.format(version=pin).replace("leaf", leaf))
    return found | {"top/1/.keep": of_text("")}


@contextmanager
def saying(*indexes: States, status: int = 200) -> Iterator[Client]:
    """Yield a client of a server with one index after the other, of which the last stays.

    Its pipeline has an older config.
    """
    left = [*indexes]

    def answer(asked: Asked) -> Said:
        if asked.method == "POST":
            return index(left.pop(0) if len(left) > 1 else left[0], status)
        name = asked.path.split("/")[3]
        older = {"max_batch_size": 4} if name == "top" else {}
        return plain({**expected.of(read(tree("1"), target()), "r")[name].config, **older})

    with speaking(answer) as server:
        yield Client(Endpoint(server.url))


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A wait that a fault makes endless is a failure."""
    with ending("wait"):
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


@tabled(("states", "awaited", "broken", "seconds"), STATES.values(), ids=STATES)
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


def there(
    awaited: set[str], *, lies: Tree | None = None, calls: Mapping[str, int] = LEAF_1, altered: str = "top"
) -> There:
    """Return a repository, by default the first version of both, and what its pipeline calls."""
    models = expected.of(read(lies or tree("1"), target()), "r")
    return There(models, {"leaf": {}, "top": calls}, awaited, {altered})


TOP_READY, TOP_LOADING = ("top", "1", "READY", ""), ("top", "1", "LOADING", "")
LEAF_7, NO_LEAF = ("leaf", "7", "READY", ""), ("leaf", "", "", "")
NO_MODULE = {("leaf", "1"): "Internal: no module"}
NOT_LOADED = {"top": "top is not loaded; the server's log says why"}
LOOKS: dict[str, tuple[Sequence[States], There, Present, float]] = {
    "refused at first, and then loaded": (
        [[REFUSED, TOP_LOADING], [READY, TOP_READY]],
        there({"leaf"}),
        Present("", frozenset({("leaf", "1"), ("top", "1")}), frozenset(), {}, {}),
        15,
    ),
    "refused, and retried at each poll": (
        [[REFUSED, TOP_LOADING], [TRIED_AGAIN, TOP_READY]],
        there({"leaf"}),
        Present(
            "",
            frozenset({("top", "1")}),
            frozenset(),
            NO_MODULE,
            {"leaf": "leaf version 1 does not load: Internal: no module"},
        ),
        15,
    ),
    "a version loads that the repository does not have": (
        [[READY, ("leaf", "7", "LOADING", ""), TOP_READY]],
        there({"other"}),
        Present("", frozenset({("leaf", "1"), ("top", "1")}), frozenset({("leaf", "7")}), {}, {}),
        0,
    ),
    "not loaded again after it was being loaded": (
        [[READY, NO_TOP], [READY, TOP_LOADING], [READY, NO_TOP]],
        there({"top"}),
        Present("", frozenset({("leaf", "1")}), frozenset(), {}, NOT_LOADED),
        60,
    ),
}


@pytest.mark.parametrize(("indexes", "repository", "found", "seconds"), LOOKS.values(), ids=LOOKS)
def test_what_a_server_does_is_seen_over_several_looks(
    indexes: Sequence[States], repository: There, found: Present, seconds: float
) -> None:
    time = Time()
    with saying(*indexes) as client:
        seen = present(client, repository, Patience(600, lambda: time.now, time.sleep, lambda _: None))
    assert (seen._replace(url=""), time.now) == (found, seconds)


SECOND_REFUSED = ("leaf", "2", "UNAVAILABLE", "too large")
BROKEN: dict[str, tuple[States, There, dict[str, str], float]] = {
    "two versions": (
        [REFUSED, SECOND_REFUSED, TOP_READY],
        there({"leaf"}, lies=tree("1, 2")),
        {"leaf": "leaf version 1 does not load: Internal: no module"},
        0,
    ),
    "a pipeline over the latest version": ([READY, NO_TOP], there({"top"}, calls={"leaf": -1}), NOT_LOADED, 30),
    "a pipeline over the latest version, which does not load": (
        [REFUSED, NO_TOP],
        there({"top"}, calls={"leaf": -1}),
        {
            "leaf": "leaf version 1 does not load: Internal: no module",
            "top": "top calls leaf, which is not served",
        },
        0,
    ),
    "a pipeline over another version than the one that is served": (
        [READY, NO_TOP],
        there({"top"}, calls={"leaf": 2}),
        {"top": "top calls leaf version 2, which is not served"},
        0,
    ),
    "a pipeline over a model that is not in the repository": (
        [READY, NO_TOP],
        there({"top"}, calls={"ghost": 1}),
        {"top": "top calls ghost version 1, which is not served"},
        0,
    ),
    "a pipeline that calls itself": (
        [READY, NO_TOP],
        there({"top"}, calls={"top": 1}),
        {"top": "top calls top version 1, which is not served"},
        0,
    ),
}


@tabled(("states", "repository", "broken", "seconds"), BROKEN.values(), ids=BROKEN)
def test_why_a_model_is_broken_is_told(
    states: States, repository: There, broken: dict[str, str], seconds: float
) -> None:
    time = Time()
    with saying(states) as client:
        found = present(client, repository, Patience(600, lambda: time.now, time.sleep, lambda _: None))
    assert (found.broken, time.now) == (broken, seconds)


UNSETTLED: dict[str, tuple[States, There, str]] = {
    "another version of a changed model": (
        [LEAF_7, TOP_READY],
        there({"leaf"}, altered="leaf"),
        "leaf: the server serves version 7, but the repository selects version 1",
    ),
    "one version too many of a changed model": (
        [READY, LEAF_7, TOP_READY],
        there({"leaf"}, altered="leaf"),
        "leaf: the server serves versions 1, 7, but the repository selects version 1",
    ),
    "one version too few of a changed model": (
        [READY, TOP_READY],
        there({"leaf"}, lies=tree("1, 2"), altered="leaf"),
        "leaf: the server serves version 1, but the repository selects versions 1, 2",
    ),
    "another config than the repository's, which does not change": (
        [READY, TOP_READY],
        there({"top"}, altered="leaf"),
        "top: max_batch_size: the repository says 0, but the server serves 4",
    ),
    "a pipeline over what may be loaded yet": (
        [NO_LEAF, NO_TOP],
        there({"leaf", "top"}),
        "top waits for leaf",
    ),
}  # fmt: skip


@tabled(("states", "repository", "message"), UNSETTLED.values(), ids=UNSETTLED)
def test_what_may_still_change_is_not_called_broken_when_time_is_up(
    states: States, repository: There, message: str
) -> None:
    time = Time()
    with saying(states) as client, pytest.raises(Stop) as stop:
        present(client, repository, Patience(10, lambda: time.now, time.sleep, lambda _: None))
    (found,) = stop.value.diagnostics
    assert found.message == f"after 10 s the server still does not serve this repository: {message}"


def test_what_nothing_explains_is_broken_when_time_is_up() -> None:
    time = Time()
    with saying([READY, NO_TOP]) as client:
        found = present(client, there({"top"}), Patience(10, lambda: time.now, time.sleep, lambda _: None))
    assert (found.broken, time.now) == (NOT_LOADED, 15)


def test_a_server_that_never_gives_its_index_ends_the_push() -> None:
    time = Time()
    with saying([], status=500) as client, pytest.raises(Stop) as stop:
        present(client, there(set()), Patience(600, lambda: time.now, time.sleep, lambda _: None))
    (found,) = stop.value.diagnostics
    assert found.message == (
        "after 600 s the server still does not serve this repository: /v2/repository/index: HTTP 500"
    )


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
    "a pipeline that one of two servers would end for what it refuses": (
        [server("http://b", "leaf/1 top/1 other/1"), server("http://a", "leaf/1 top/1", "other/1", other="other ...")],
        change(tree("1", leaf="other"), tree("1") | {"other/1/x": of_text("")}, {"top"}, {}),
        "http://a: error: the server refused to load other version 1: reason",
    ),
    "a pipeline that was refused itself, like what it calls": (
        [server("http://a", "", "leaf/1 top/1", leaf="leaf ...", top="top ...")],
        change(tree("1"), tree("1"), {"top"}, {}),
        "http://a: error: the server refused to load top version 1: reason",
    ),
    "a new pipeline over the latest version, which is refused": (
        [server("http://a", "leaf/1", "leaf/2", leaf="leaf ...")],
        change(tree("1, 2", "-1"), {path: file for path, file in tree("1, 2").items() if "leaf" in path}, {"top"}, {}),
        "http://a: error: the server refused to load leaf version 2: reason",
    ),
    "the last push left what no server loads": (
        [server("http://a", "leaf/1", top="top is not loaded")],
        change(tree("1"), tree("1"), set(), {"open": {"top"}}),
        "http://a: error: the server does not serve what is in the repository: top is not loaded",
    ),
}  # fmt: skip


@tabled(("presents", "made", "message"), WAYS.values(), ids=WAYS)
def test_a_push_that_would_be_in_vain_or_do_harm_is_stopped_and_no_other(
    presents: list[Present], made: Change, message: str
) -> None:
    found = "\n".join(str(stop) for stop in healing.in_the_way(presents, made))
    assert found.startswith(message)
    assert found.count(": error: ") == bool(message)


def test_a_version_is_dead_where_no_server_serves_it_and_the_others_are_held_up_by_it() -> None:
    made = change(MOVED, tree("1"), {"leaf", "top"}, {})
    named = {"leaf": ["1"], "top": ["1"]}
    assert healing.dead([DEAD], named) == {("leaf", 1), ("top", 1)}
    assert healing.dead([DEAD, WELL], named) == set()
    loads = DEAD._replace(loading=frozenset({("leaf", "1")}), refused={})
    assert healing.dead([loads, DEAD], named) == {("top", 1)}
    side_by_side = gating.models(tree("1, 2", "2"), target())
    assert healing.held_up(DEAD, side_by_side, made.want) == {"leaf", "top"}
    assert healing.held_up(WELL, side_by_side, made.want) == set()
    assert healing.held_up(DEAD, gating.models(MOVED, target()), made.want) == set()


def test_a_pipeline_that_a_push_may_bring_back_is_waited_for_at_its_end() -> None:
    one = server("http://a", "", "leaf/1", leaf="leaf ...", top="top calls leaf")
    mended = change(tree("1"), tree("1"), {"leaf"}, {"altered": {"leaf"}})
    assert healing.due(one, mended) == {"leaf", "top"}
    assert healing.due(one, change(tree("1"), tree("1"), set(), {})) == set()
    assert healing.due(HALF, change(MOVED, tree("1, 2"), {"leaf", "top"}, {})) == set()
    over_half = server("http://a", "leaf/1", "leaf/2", leaf="leaf ...", top="top calls leaf")
    assert healing.due(over_half, change(MOVED, tree("1, 2"), {"leaf"}, {})) == set()


def test_a_model_that_a_push_removes_is_neither_waited_for_nor_in_the_way() -> None:
    one = server("http://a", "leaf/1 top/1", "gone/1", gone="gone version 1 does not load: reason")
    removes = change(MOVED, tree("1") | tree("1", leaf="gone"), {"leaf", "top", "gone"}, {})
    assert healing.due(one, removes) == {"leaf", "top"}
    assert healing.in_the_way([one], removes) == []
    assert healing.held_up(one, gating.models(tree("1", leaf="gone"), target()), removes.want) == set()


def test_refusals_are_told_in_the_order_of_the_models() -> None:
    both = tree("1") | {path: file for path, file in tree("1", leaf="other").items() if "other" in path}
    one = server("http://a", "", "other/1 leaf/1", other="other ...", leaf="leaf ...")
    found = healing.in_the_way([one], change(both, both, {"leaf", "other"}, {}))
    assert [stop.diagnostics[0].message for stop in found] == [
        "the server refused to load leaf version 1: reason",
        "the server refused to load other version 1: reason",
    ]


def test_only_a_refused_version_that_goes_holds_up_the_new_one() -> None:
    first, second = gating.models(tree("1"), target()), gating.models(MOVED, target())
    assert healing.held_up(DEAD, first, second) == {"leaf", "top"}
    assert healing.held_up(DEAD, first, first) == set()  # it stays
    assert healing.held_up(HALF, first, second) == set()  # another version was refused


def test_a_pipeline_needs_what_the_pipelines_that_it_calls_need() -> None:
    over = of_text(TOP.format(version=1).replace("top", "over").replace("leaf", "top"))
    models = gating.models({**tree("1"), "over/config.pbtxt": over, "over/1/.keep": of_text("")}, target())
    assert healing.below("over", models) == {"over", "top", "leaf"}
    assert healing.below("top", models) == {"top", "leaf"}
