"""How a push waits for a server: what it waits for, when it gives up, and what it can see of a change."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.ending import ending
from tests.pushes import LEAF, hearing
from tests.pushes import push as pushed
from tests.speaking import Asked, Said, Speaking, index, plain, speaking
from tests.tabled import tabled
from tritonrepo.diagnostics import Stop
from tritonrepo.flows import watching
from tritonrepo.flows.prepared import Seen
from tritonrepo.flows.push import Servers, apply_push, plan_push
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import read, target
from tritonrepo.server.client import Client, ModelState
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.shared import directory
from tritonrepo.smoke import expected
from tritonrepo.smoke.healing import Change
from tritonrepo.smoke.present import Present
from tritonrepo.smoke.waiting import Patience, Wanted, lacking, refusals, until_served
from tritonrepo.sync import gating
from tritonrepo.sync.pace import Pace, Watch
from tritonrepo.sync.plan import Action, Delete, Phase, Put
from tritonrepo.tree import of_bytes, of_text

NOTHING: Mapping[str, object] = {}
Index = Sequence[tuple[str, str, str, str]]
READY, LOADING = ("leaf", "1", "READY", ""), ("leaf", "1", "LOADING", "")
REFUSED = ("leaf", "1", "UNAVAILABLE", "no module")


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A wait that a fault makes endless is a failure."""
    with ending("wait"):
        yield


def served(version: str = "1") -> expected.Expected:
    """Return what a server should serve of the leaf."""
    tree = {"leaf/config.pbtxt": of_text(LEAF.format(version=version))}
    tree |= {f"leaf/{number}/model.py": of_text("") for number in version.split(", ")}
    return expected.of(read(tree, target()), "r")["leaf"]


@contextmanager
def scripting(*indexes: Index | int, ready: int = 200, change: Mapping[str, object] = NOTHING) -> Iterator[Speaking]:
    """Run a server with one index after the other, of which the last stays; a number is a status.

    It serves the leaf with this change of its config.
    """
    left = list(indexes)

    def answer(asked: Asked) -> Said:
        if asked.method == "GET":
            return plain({**served().config, **change}, ready if "health" in asked.path else 200)
        now = left.pop(0) if len(left) > 1 else left[0]
        return plain({"error": "busy"}, now) if isinstance(now, int) else index(now)

    with speaking(answer) as server:
        yield server


@contextmanager
def scripted(*indexes: Index | int, ready: int = 200, change: Mapping[str, object] = NOTHING) -> Iterator[Client]:
    """Yield a client of such a server."""
    with scripting(*indexes, ready=ready, change=change) as server:
        client = Client(Endpoint(server.url, 10, 10))
        client.config("leaf", "0")
        yield client


class Time:
    """A clock that moves only while something waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def patience(self, timeout_s: float = 600) -> Patience:
        return Patience(timeout_s, lambda: self.now, self.sleep, hearing(self.told))


LACKS = "leaf: the server does not serve this model, but the repository has it"
WAITS: dict[str, tuple[list[Index | int], bool, float, str]] = {
    "it serves": ([[READY]], False, 0, ""),
    "it loads": ([[LOADING], [LOADING], [READY]], False, 0.5, ""),
    "it does not respond for a while": ([500, [READY]], False, 0.25, ""),
    "it was refused just now": ([[LOADING], [REFUSED]], False, 0.25, "no module"),
    "it was refused before, and then loads": ([[REFUSED], [LOADING], [READY]], True, 0.5, ""),
    "it was refused before, and is retried once": ([[REFUSED], [LOADING], [REFUSED], [READY]], True, 0.75, ""),
    "it was refused before, and is retried twice": (
        [[REFUSED], [LOADING], [LOADING], [REFUSED], [LOADING], [REFUSED], [READY]],
        True,
        1.25,
        "no module",
    ),
}


@tabled(("indexes", "before", "seconds", "reason"), WAITS.values(), ids=WAITS)
def test_a_version_that_stays_is_waited_for_until_it_is_refused_anew(
    indexes: list[Index | int],
    before: bool,  # noqa: FBT001  a table's column
    seconds: float,
    reason: str,
) -> None:
    time = Time()
    wanted = Wanted({"leaf": served()}, {"leaf": ["1"]}, {("leaf", "1")} if before else set())
    with scripted(*indexes) as client:
        if not reason:
            until_served(client, wanted, time.patience())
        else:
            with pytest.raises(Stop) as stop:
                until_served(client, wanted, time.patience())
            assert str(stop.value) == (
                f"{client.url}: error: the server refused to load leaf version 1: no module [server-refused]\n"
                "  Fix this, and use the next version number for the new content."
                " The server keeps what it has loaded."
            )
    assert time.now == seconds


def test_what_is_lacking_is_told_whenever_it_changes() -> None:
    time = Time()
    other = ("leaf", "7", "READY", "")
    with scripted([LOADING], [LOADING], [other], [LOADING], 503, [READY]) as client:
        until_served(client, Wanted({"leaf": served()}, {}, ()), time.patience())
        url = client.url
    selects = "leaf: the server serves version 7, but the repository selects version 1"
    error = "/v2/repository/index: busy"
    assert time.told == [f"waiting for {url}: {lack}" for lack in (LACKS, selects, LACKS, error)]


def test_a_version_that_is_refused_and_does_not_stay_is_not_waited_for() -> None:
    second = ("leaf", "2", "READY", "")
    time = Time()
    wanted = Wanted({"leaf": served("1, 2")}, {"leaf": ["2"]}, ())
    with scripted([REFUSED, second]) as client:
        until_served(client, wanted, time.patience())
        until_served(client, Wanted({"leaf": served()}, {}, ()), time.patience())  # nothing of it is left
        until_served(client, Wanted({}, {"leaf": ["1"]}, ()), time.patience())  # it is nothing of ours
    assert (time.now, time.told) == (0, [])


def test_time_is_up_after_its_end_and_the_servers_own_reason_is_told_where_it_has_one() -> None:
    wanted = Wanted({"leaf": served()}, {"leaf": ["1"]}, {("leaf", "1")})
    time = Time()
    with scripted([]) as client:
        with pytest.raises(Stop) as stop:
            until_served(client, wanted, time.patience(1.5))
        assert str(stop.value) == (
            f"{client.url}: error: after 1.5 s the server still does not serve this repository: {LACKS} [server-late]\n"
            "  Check that the server polls exactly this URI, and read its log."
        )
    assert time.now == 1.75
    with scripted([REFUSED]) as client, pytest.raises(Stop, match="refused to load leaf version 1: no module"):
        until_served(client, wanted, time.patience(1.5))


def test_a_version_is_refused_if_the_index_has_a_reason_for_it() -> None:
    states = [
        ModelState("a", "1", "UNAVAILABLE", "no module"),
        ModelState("b", "1", "UNAVAILABLE", "unloaded"),
        ModelState("c", "1", "UNAVAILABLE", ""),
        ModelState("d", "1", "READY", "odd"),
        ModelState("e", "1", "LOADING", "odd"),
    ]
    assert refusals(states) == {("a", "1"): "no module"}


LACKING: dict[str, tuple[Index, str, dict[str, object], list[str]]] = {
    "nothing": ([READY, ("other", "3", "READY", "")], "1", {}, []),
    "an older config": (
        [READY],
        "1",
        {"max_batch_size": 4},
        ["leaf: max_batch_size: the repository says 0, but the server serves 4"],
    ),
    "what only loads": ([LOADING], "1", {}, [LACKS]),
    "one of two versions": (
        [READY, ("leaf", "2", "LOADING", "")],
        "1, 2",
        {},
        ["leaf: the server serves version 1, but the repository selects versions 1, 2"],
    ),
}


@pytest.mark.parametrize(("index", "versions", "change", "lacks"), LACKING.values(), ids=LACKING)
def test_what_a_server_lacks_is_in_its_index_and_in_the_config_of_the_last_version(
    index: Index, versions: str, change: dict[str, object], lacks: list[str]
) -> None:
    states = [ModelState(*state) for state in index]
    model = served(versions)
    with scripted(index, change=change) as client:
        assert list(lacking(client, states, {"leaf": model})) == lacks


CODE = "class TritonPythonModel: ...\n"
TEXT = LEAF.format(version=1)
BOTH = LEAF.format(version="1, 2")


def puts(files: Mapping[str, str]) -> list[Action]:
    return [Put(Phase.EXPAND, path, of_text(text), "") for path, text in files.items()]


def leaf(place: Path, version: int, text: str = "") -> Path:
    """Write a repository of one model."""
    (place / "leaf" / str(version)).mkdir(parents=True)
    (place / "leaf" / "config.pbtxt").write_text(text or LEAF.format(version=version), "utf-8")
    (place / "leaf" / str(version) / "model.py").write_text(CODE, "utf-8")
    return place


def sharing(place: Path, version: int, packages: bytes) -> tuple[Path, Path]:
    """Write the leaf with packages that versions share; return the repository, and the path of a package in it."""
    made, top = leaf(place, version), directory({"p.py": of_bytes(packages)})
    (made / "leaf" / top).mkdir()
    (made / "leaf" / top / "p.py").write_bytes(packages)
    (made / "leaf" / str(version) / "settings.json").write_text(f'{{"packages": "{top}"}}', "utf-8")
    return made, Path("leaf", top, "p.py")


def watched(place: Path, *servers: tuple[Client, Present], time: Time | None = None) -> Watch:
    """Return what waits for these servers while a second version of the leaf is pushed over the first."""
    assert pushed(leaf(place / "1", 1), place / "served") == 0
    made = plan_push(leaf(place / "2", 2), place / "served", Workspace())
    change = Change(gating.models(made.want, made.server), {"leaf"}, set(), set(), {"leaf": ["1"]})
    patience = (time or Time()).patience(1)
    clients, presents = [client for client, _ in servers], [present for _, present in servers]
    return watching.watch(Seen(tuple(clients), tuple(presents), change, (), (), patience), made)


def test_a_change_is_seen_if_every_written_model_says_something_else_afterwards(tmp_path: Path) -> None:
    latest = TEXT.replace("specific { versions: [ 1 ] }", "latest { num_versions: 1 }")
    new = {"new/1/model.py": CODE, "new/config.pbtxt": TEXT.replace('"leaf"', '"new"')}
    rounds: list[tuple[dict[str, str], bool]] = [
        ({"leaf/config.pbtxt": TEXT}, False),
        ({"leaf/config.pbtxt": latest}, False),  # the same version is loaded, and a server does not tell its policy
        ({"leaf/2/model.py": CODE}, True),
        ({"leaf/config.pbtxt": BOTH}, True),
        ({"leaf/config.pbtxt": BOTH}, False),
        ({"leaf/config.pbtxt": BOTH.replace("max_batch_size: 0", "max_batch_size: 8")}, True),
        ({"leaf/config.pbtxt": 'name: "leaf.uploading"'}, True),  # nothing of it is to serve
        (new, True),
        (new, False),
        ({**new, "leaf/config.pbtxt": BOTH}, False),  # one of the two cannot be seen
    ]
    watch = watched(tmp_path)
    assert [watch(puts(files)) for files, _ in rounds] == [told for _, told in rounds]


def test_the_config_of_the_last_version_is_what_a_server_is_asked_for() -> None:
    states = [("leaf", version, "READY", "") for version in "12"]
    with scripting(states) as server:
        client = Client(Endpoint(server.url))
        assert list(lacking(client, [ModelState(*state) for state in states], {"leaf": served("1, 2")})) == []
    assert server.asked[-1].path == "/v2/models/leaf/versions/2/config"


WELL = frozenset({("leaf", "1")})


def test_each_phase_waits_for_each_server_to_serve_what_was_written(tmp_path: Path) -> None:
    time = Time()
    second = ("leaf", "2", "READY", "")
    with (
        scripted([READY, second]) as whole,
        scripted([READY], [READY], [READY, second], [READY]) as slow,
    ):
        there = [(client, Present(client.url, WELL, frozenset(), {}, {})) for client in (whole, slow)]
        watch = watched(tmp_path, *there, time=time)
        assert watch(puts({"leaf/2/model.py": CODE}))
        assert time.told == []
        assert watch(puts({"leaf/config.pbtxt": BOTH}))
        lack = "leaf: the server serves version 1, but the repository selects versions 1, 2"
        assert time.told == [f"waiting for {slow.url}: {lack}"]
        with pytest.raises(Stop, match=f"{slow.url}: error: after 1 s the server still does not serve"):
            watch(puts({"leaf/config.pbtxt": BOTH}))


def test_nobody_waits_for_what_a_gate_hides_or_what_was_removed(tmp_path: Path) -> None:
    second = ("leaf", "2", "READY", "")
    with scripted([second]) as client:
        watch = watched(tmp_path, (client, Present(client.url, WELL, frozenset(), {}, {})))
        assert watch(puts({"leaf/config.pbtxt": 'name: "leaf.uploading"'}))
        removed: list[Action] = [Delete(Phase.FILES, "leaf/1/model.py", "")]
        assert watch([*removed, *puts({"leaf/2/model.py": CODE, "leaf/config.pbtxt": BOTH})])


def test_at_its_end_a_push_waits_for_all_that_it_was_to_bring_into_service(tmp_path: Path) -> None:
    with scripted([]) as client:
        watch = watched(tmp_path, (client, Present(client.url, WELL, frozenset(), {}, {})))
        assert watch(puts({"leaf/2/model.py": CODE}))
        with pytest.raises(Stop, match=f"after 1 s the server still does not serve this repository: {LACKS}"):
            watch(puts({"leaf/2/part": ""}))  # the second of two actions


def test_a_push_that_changes_nothing_of_what_a_server_refuses_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "served"
    assert pushed(leaf(tmp_path / "1", 1), place) == 0
    with scripted([REFUSED]) as client:
        servers = Servers([client.endpoint])
        with pytest.raises(Stop, match="the server refused to load leaf version 1: no module"):
            plan_push(leaf(tmp_path / "2", 1, f"# another comment\n{TEXT}"), place, Workspace(), servers)
        larger = TEXT.replace("max_batch_size: 0", "max_batch_size: 8")
        assert plan_push(leaf(tmp_path / "3", 1, larger), place, Workspace(), servers).plan


def test_a_push_is_carried_out_at_the_pace_of_its_servers(tmp_path: Path) -> None:
    place, pace = tmp_path / "served", Pace(0, lambda: 1000, lambda _: None)
    assert pushed(leaf(tmp_path / "1", 1), place) == 0
    with scripted([READY]) as client:
        planned = plan_push(leaf(tmp_path / "2", 2), place, Workspace(), Servers([client.endpoint], 0.01))
        with pytest.raises(Stop) as stop:
            apply_push(planned, pace)
    late, broken_off = stop.value.diagnostics
    assert late.message == (
        "after 0.01 s the server still does not serve this repository:"
        " leaf: the server serves version 1, but the repository selects version 2"
    )
    assert broken_off.rule == "push-broken-off"


def test_a_refusal_of_the_version_that_is_pushed_ends_the_push_and_one_that_goes_does_not(tmp_path: Path) -> None:
    no_second = ("leaf", "2", "UNAVAILABLE", "no module")
    with scripted([REFUSED, no_second]) as client:
        present = Present(client.url, frozenset(), frozenset(), {("leaf", "1"): "no module"}, {"leaf": "..."})
        watch = watched(tmp_path, (client, present))
        assert not watch(puts({"leaf/config.pbtxt": TEXT}))  # nobody waits for what goes
        with pytest.raises(Stop, match="refused to load leaf version 2: no module"):
            watch(puts({"leaf/2/model.py": CODE, "leaf/config.pbtxt": LEAF.format(version=2)}))


def test_what_a_push_changes_is_compared_with_what_a_server_tells(tmp_path: Path) -> None:
    place = tmp_path / "served"
    assert pushed(leaf(tmp_path / "1", 1), place) == 0
    with scripted([READY]) as client:
        servers = Servers([client.endpoint])
        made = plan_push(leaf(tmp_path / "2", 2), place, Workspace(), servers)
        assert made.seen
        change = made.seen.change
        assert (change.touched, change.altered, change.open, change.there) == ({"leaf"}, set(), set(), {"leaf": ("1",)})
        assert made.seen.presents == (Present(client.url, WELL, frozenset(), {}, {}),)
        assert (made.seen.dead, made.warnings) == (set(), ())

        larger = LEAF.format(version=2).replace("max_batch_size: 0", "max_batch_size: 8")
        made = plan_push(leaf(tmp_path / "3", 2, larger), place, Workspace(), servers)
        assert made.seen
        assert made.seen.change.altered == {"leaf"}

        beside = leaf(tmp_path / "4", 1)
        (beside / "leaf" / "warmup").mkdir()
        (beside / "leaf" / "warmup" / "data").write_bytes(b"")
        made = plan_push(beside, place, Workspace(), servers)
        assert made.seen
        assert made.seen.change.altered == {"leaf"}

        (place / "leaf" / "config.pbtxt").write_text(TEXT + "\n", "utf-8")
        made = plan_push(tmp_path / "1", place, Workspace(), servers)
        assert made.seen
        assert made.seen.change.open == {"leaf"}


def test_a_version_that_no_server_serves_is_planned_away_and_told(tmp_path: Path) -> None:
    place = tmp_path / "served"
    assert pushed(leaf(tmp_path / "1", 1), place) == 0
    with scripted([REFUSED]) as client:
        made = plan_push(leaf(tmp_path / "2", 2), place, Workspace(), Servers([client.endpoint]))
        unchanged = "leaf version 1 does not load: no module"
        (note,) = made.warnings
        assert str(note) == f"{client.url}: warning: {unchanged} [server-broken]"
        assert made.seen
        assert made.seen.dead == {("leaf", 1)}
        assert [action.reason for action in made.plan.actions][-1:] == [
            "serves version 2 without version 1, which does not load"
        ]
        other = leaf(tmp_path / "3", 1)
        (other / "new" / "1").mkdir(parents=True)
        (other / "new" / "config.pbtxt").write_text(TEXT.replace("leaf", "new"), "utf-8")
        (other / "new" / "1" / "model.py").write_text(CODE, "utf-8")
        (note,) = plan_push(other, place, Workspace(), Servers([client.endpoint])).warnings
        assert note.hint == "This push does not fix it. Fix it with the next one."


def test_a_server_that_is_not_ready_is_told_or_refused_by_what_its_index_says(tmp_path: Path) -> None:
    place = tmp_path / "served"
    assert pushed(leaf(tmp_path / "1", 1), place) == 0
    second = leaf(tmp_path / "2", 2)
    with scripted([("other", "1", "READY", ""), REFUSED], ready=400) as client:
        first, *_ = plan_push(second, place, Workspace(), Servers([client.endpoint])).warnings
        assert str(first) == (
            f"{client.url}: warning: the server is not ready: with strict readiness, one model that does not load is"
            " enough [server-not-ready]\n"
            "  Start it with --strict-readiness=false, so that it stays ready while models load."
        )
    for indexes in ([READY], 500):
        with scripted(indexes, ready=400) as client, pytest.raises(Stop) as stop:
            plan_push(second, place, Workspace(), Servers([client.endpoint]))
        assert str(stop.value) == (
            f"{client.url}: error: the server is not ready, so nothing was sent [server-not-ready]\n"
            "  Start it with --strict-readiness=false. Otherwise, one broken model makes it not ready."
        )
    with pytest.raises(Stop, match="fatal: the server cannot be reached: "):
        plan_push(second, place, Workspace(), Servers([client.endpoint]))


def test_a_server_that_does_not_say_whether_it_is_ready_is_of_no_use(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Stop) as stop:
            plan_push(leaf(tmp_path / "1", 1), tmp_path / "served", Workspace(), Servers([Endpoint(url, 5, 0.1)]))
    assert str(stop.value) == f"{url}: fatal: the response was not complete within 0.1 s [server-late]"


def test_a_push_waits_ten_minutes_for_a_server_unless_told_otherwise() -> None:
    assert Servers() == ((), 600.0)


def test_only_a_shared_file_that_a_named_version_lacks_makes_a_server_load_it_again(tmp_path: Path) -> None:
    """Seen on 24.10: a poll that finds a newer file loads what is not served, and leaves alone what is."""
    place = tmp_path / "served"
    first, package = sharing(tmp_path / "1", 1, b"1")
    assert pushed(first, place) == 0
    with scripted([READY]) as client:
        servers = Servers([client.endpoint])
        made = plan_push(sharing(tmp_path / "2", 2, b"2")[0], place, Workspace(), servers)
        assert made.seen
        assert made.seen.change.altered == set()
        (place / package).unlink()
        made = plan_push(first, place, Workspace(), servers)
        assert [action.path for action in made.plan.actions] == [package.as_posix()]
        assert made.seen
        assert made.seen.change.altered == {"leaf"}
