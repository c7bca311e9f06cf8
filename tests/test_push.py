"""`tritonrepo push` as a command: what it sends, prints and refuses, and that the next push finishes a killed one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from random import Random

import botocore.client
import pytest

from tests.processes import unmeasured
from tests.pushes import CODE, beside, own_files, push, repository, stored
from tests.servers.gcs import GCSServer
from tests.servers.s3 import S3Server
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.flows.events import Event
from tritonrepo.flows.push import apply_push, plan_push
from tritonrepo.flows.workspace import Workspace
from tritonrepo.stores import open_store
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.store import Capabilities, Fetched, Send, Store, Stored, Tag, Write
from tritonrepo.sync import lock
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.apply import apply
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.place import Place
from tritonrepo.sync.push import plan
from tritonrepo.sync.revision import Object, Revision
from tritonrepo.sync.telling import Began
from tritonrepo.sync.writing import Writer
from tritonrepo.tree import File, Tree, of_bytes, of_text


@pytest.fixture
def uri(s3_server: S3Server) -> str:
    return s3_server.fresh()


@pytest.mark.parametrize("kind", ["s3_server", "gcs_server"], ids=["s3", "gcs"])
def test_a_push_brings_everything_a_second_one_nothing_a_third_what_changed(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    server: S3Server | GCSServer = request.getfixturevalue(kind)
    uri, made = server.fresh(), repository(tmp_path / "m", 1)
    (made / "README.md").write_text("for people", "utf-8")
    assert push(made, uri, "--dry-run") == 0
    planned = capsys.readouterr().out
    assert stored(uri) == {}
    assert push(made, uri) == 0
    assert capsys.readouterr().out == planned
    first = stored(uri)
    (made / "README.md").unlink()
    assert first == own_files(made)
    assert push(made, uri) == 0
    said = capsys.readouterr()
    up_to_date = f"{uri}: revision 1 is up to date, nothing was sent\n"
    assert (said.out, said.err) == (f"{uri}: nothing to do\n", up_to_date)
    assert push(repository(made, 2), uri) == 0
    assert capsys.readouterr().out.split("expand\n")[1] == (
        "  ~ leaf/config.pbtxt  serves versions 1 and 2\n"
        "switch\n  ~ top/config.pbtxt  calls leaf version 2\n"
        "contract\n  ~ leaf/config.pbtxt  serves only version 2\n"
        f"{uri}: 24 to write (936 B), 0 to delete\n"
    )
    assert stored(uri) == {path: first[path] for path in first if path.startswith("leaf/1/")} | own_files(made)
    assert beside(uri) == ["release.json"]


def test_a_push_with_nothing_to_do_is_one_listing(tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = repository(tmp_path / "m", 1)
    assert push(made, uri) == 0
    asked: list[str] = []
    real = botocore.client.BaseClient._make_api_call  # noqa: SLF001  every request of boto3 goes through it

    def call(self: object, operation: str, parameters: object) -> object:
        asked.append(operation)
        return real(self, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)
    assert push(made, uri) == 0
    assert asked == ["GetObject", "ListObjectsV2"]


def test_an_object_that_the_record_does_not_know_is_read_again(tmp_path: Path, uri: str) -> None:
    made = repository(tmp_path / "m", 1)
    assert push(made, uri) == 0
    store, prefix = open_store(uri)
    store.put(f"{prefix}/leaf/1/part-1", of_text("x x"))  # as long as what was there
    assert push(made, uri) == 1
    store.put(f"{prefix}/leaf/1/part-1", of_text("1 1"))
    store.delete(revisions.record_path(prefix))
    assert push(made, uri, "--dry-run") == 0
    assert store.fetch(revisions.record_path(prefix)) is None
    assert push(made, uri) == 0
    assert store.fetch(revisions.record_path(prefix)) is not None


KILL = """
import os, signal, sys
count = int(sys.argv.pop(1))
from tritonrepo import cli
from tritonrepo.stores.s3 import S3Store
from tritonrepo.sync import pace
pace.GRAIN_S = 0
left = [count]
real = S3Store.put
def put(self, path, file, **conditions):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, path, file, **conditions)
S3Store.put = put
cli.main()
"""


def test_a_push_killed_at_five_random_moments_is_each_time_finished_by_the_next(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "GRACE_S", -lock.VALID_S)  # nothing that a killed one sent stays on its way here
    made = repository(tmp_path / "m", 1)
    assert push(made, uri) == 0
    for version, count in enumerate(Random(3).sample(range(25), 5), 2):
        shutil.rmtree(made)
        repository(made, version)
        arguments = [sys.executable, "-c", KILL, str(count), "push", str(made), uri, "--settle", "0"]
        assert subprocess.run(arguments, capture_output=True, check=False, env=unmeasured()).returncode == -9
        assert push(made, uri) == 0
        kept = tuple(f"leaf/{old}/" for old in range(1, version))
        assert {path: content for path, content in stored(uri).items() if not path.startswith(kept)} == own_files(made)
        store, prefix = open_store(uri)
        revision = revisions.read(store, prefix, uri)[0]
        assert revision is not None
        assert {path: known.sha256 for path, known in revision.files.items()} == {
            path: of_bytes(content).sha256 for path, content in own_files(made).items()
        }


REFUSED = {
    "a live version that changed": ("leaf/1/model.py", CODE + "# other\n", 1, "version 1 is being served, but"),
    "a config that the server refuses": ("leaf/config.pbtxt", "max_batch_size: 8.0", 1, "config.pbtxt:1:17: error:"),
    "a name that Triton misreads": ("leaf/1/a b", "", 1, 'has characters other than letters, digits, ".", "-" and "_"'),
}  # fmt: skip


@pytest.mark.parametrize(("path", "text", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_what_may_not_be_pushed_is_told_and_nothing_is_sent(
    tmp_path: Path, uri: str, capsys: pytest.CaptureFixture[str], path: str, text: str, code: int, message: str
) -> None:
    made = repository(tmp_path / "m", 1)
    assert push(made, uri) == 0
    before = stored(uri)
    (made / path).write_text(text, "utf-8")
    capsys.readouterr()
    assert push(made, uri) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert stored(uri) == before


UNUSABLE = {
    "no repository": ("nowhere", "{uri}", "the model repository does not exist or is empty"),
    "a bucket's root": ("m", "s3://http://127.0.0.1:1/models", "the URI is a bucket's root"),
    "nobody listens": ("m", "s3://http://127.0.0.1:1/models/prod", "the endpoint does not respond"),
    "a URI that Triton misreads": ("m", "s3://https://h/models/prod", "the endpoint has no port"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "uri_form", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_used_is_one_message_and_exit_2(
    inside: Path, uri: str, capsys: pytest.CaptureFixture[str], source: str, uri_form: str, message: str
) -> None:
    repository(inside / "m", 1)
    assert push(source, uri_form.format(uri=uri)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.count("fatal:") == 1


NOBODY = "s3://http://127.0.0.1:1/models/prod"
READERS = {
    "serve": ["serve", NOBODY, "--poll", "1"],
    "validate": ["validate", NOBODY],
    "smoke": ["smoke", "http://127.0.0.1:1", NOBODY],
    "push from there": ["push", NOBODY, "there"],
}


@pytest.mark.parametrize("arguments", READERS.values(), ids=READERS)
def test_every_command_that_takes_a_uri_tells_when_nobody_answers_there(
    inside: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.splitlines()[0]) == (
        "",
        f"{NOBODY}: fatal: cannot list: the endpoint does not respond [store-access]",
    )
    assert not list(inside.iterdir())


def test_another_stacks_prefix_is_refused(tmp_path: Path, uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    store, prefix = open_store(uri)
    store.put(revisions.record_path(prefix), revisions.dump(Revision("other")))
    assert push(repository(tmp_path / "m", 1), uri) == 1
    assert 'holds the stack "other", but this is a repository without a stack' in capsys.readouterr().err
    assert stored(uri) == {}


def test_validate_reads_a_bucket(tmp_path: Path, uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert push(repository(tmp_path / "m", 1), uri) == 0
    assert run(["validate", uri]) == 0
    store, prefix = open_store(uri)
    store.put(f"{prefix}/leaf/config.pbtxt", of_text("max_batch_size: 8.0\n"))
    capsys.readouterr()
    assert run(["validate", uri]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{uri}/leaf/config.pbtxt:1:17: error: ")
    assert "1 | max_batch_size: 8.0" in said
    assert run(["validate", f"{uri}-not"]) == 2


def test_a_push_into_a_directory_follows_the_same_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, there = repository(tmp_path / "m", 1), tmp_path / "served"
    assert push(made, there) == 0
    assert push(repository(made, 2), there) == 0
    assert "serves versions 1 and 2" in capsys.readouterr().out
    assert push(made, there) == 0
    assert capsys.readouterr().out == f"{there}: nothing to do\n"


def test_a_store_that_hides_changes_from_servers_takes_a_first_revision_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hiding = Capabilities(stray=Tag("0"), sees_changes=False)
    monkeypatch.setattr(DirectoryStore, "caps", property(lambda _: hiding))
    made, there = repository(tmp_path / "m", 1), tmp_path / "served"
    assert push(made, there) == 0
    before = sorted(there.rglob("*"))
    assert push(made, there) == 0
    assert push(repository(made, 2), there) == 1
    assert f"{there}: error: a polling server does not notice changes in this store to" in capsys.readouterr().err
    assert sorted(there.rglob("*")) == before
    assert push(made, tmp_path / "other") == 0


def test_what_is_written_into_the_directory_during_a_push_is_not_sent(
    tmp_path: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = repository(tmp_path / "m", 1)
    assert push(made, uri) == 0

    def tell(event: Event) -> None:
        if isinstance(event, Began) and event.phase == "expand":
            shutil.rmtree(made)

    planned = plan_push(str(repository(made, 2)), uri, Workspace(tell=tell))
    config = (made / "top" / "config.pbtxt").read_bytes()
    (made / "top" / "config.pbtxt").write_bytes(config.replace(b"model_version: 2", b"model_version: 3"))
    apply_push(planned, Pace(0, time.monotonic, time.sleep))
    assert stored(uri)["top/config.pbtxt"] == config
    assert push(repository(made, 2), uri) == 0
    assert capsys.readouterr().out.endswith(f"{uri}: nothing to do\n")


@pytest.mark.parametrize(
    "change", [Path.unlink, partial(Path.write_text, data=f"{CODE}# other\n")], ids=["gone", "new"]
)
def test_a_file_that_changes_before_it_is_sent_breaks_the_push_off(
    tmp_path: Path, uri: str, change: Callable[[Path], object]
) -> None:
    made = repository(tmp_path / "m", 1)
    assert push(made, uri) == 0
    planned = plan_push(str(repository(made, 2)), uri, Workspace())
    change(made / "leaf" / "2" / "model.py")
    with pytest.raises(Stop, match=r"leaf/2/model.py: error: the file changed while it was being pushed"):
        apply_push(planned, Pace(0, time.monotonic, time.sleep))
    assert b"versions: [ 1 ]" in stored(uri)["leaf/config.pbtxt"]
    (made / "leaf" / "2" / "model.py").write_text(CODE, "utf-8")
    assert push(made, uri) == 0
    assert stored(uri)["leaf/2/model.py"] == CODE.encode()


def test_a_plan_is_not_carried_out_on_what_another_push_changed(tmp_path: Path, uri: str) -> None:
    made = repository(tmp_path / "m", 1)
    planned = plan_push(str(made), uri, Workspace())
    assert push(made, uri) == 0
    before = stored(uri)
    with pytest.raises(Stop, match="the prefix was changed while this push was planned, so nothing was sent"):
        apply_push(planned, Pace(0, time.monotonic, time.sleep))
    assert stored(uri) == before


def test_a_push_beside_another_one_is_refused(tmp_path: Path, uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = repository(tmp_path / "m", 1), repository(tmp_path / "n", 2)
    said: list[int] = []

    def tell(event: Event) -> None:
        if isinstance(event, Began) and event.phase == "files":
            said.append(push(second, uri))

    apply_push(plan_push(str(first), uri, Workspace(tell=tell)), Pace(0, time.monotonic, time.sleep))
    assert said == [1]
    assert "; nothing was sent [push-locked]" in capsys.readouterr().err
    assert stored(uri) == {path: content for path, content in own_files(first).items() if path != "README.md"}
    assert push(second, uri) == 0


def test_a_user_who_has_no_name_can_push(tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert push(repository(tmp_path / "m", 1), uri) == 0
    store, prefix = open_store(uri)
    revision = revisions.read(store, prefix, uri)[0]
    assert revision is not None
    assert revision.made["by"] == f"user {os.getuid()}"


TARGETS = {
    "a release of the future": (
        {"release": "99.01"},
        2,
        'was built for release "99.01", which this tritonrepo does not',
    ),
    "no object": ("26.07", 2, "is not a build record"),
    "a release alone": ({"release": "26.07"}, 0, ""),
}


@pytest.mark.parametrize(("target", "code", "message"), TARGETS.values(), ids=TARGETS)
def test_a_build_record_may_be_of_another_tritonrepo(
    tmp_path: Path, uri: str, capsys: pytest.CaptureFixture[str], target: object, code: int, message: str
) -> None:
    made = repository(tmp_path / "m", 1)
    record = {"schema": 1, "name": "x", "target": target, "files": {}, "local": {}}
    (made / "tritonrepo.json").write_text(json.dumps(record), "utf-8")
    assert push(made, uri, "--dry-run") == code
    assert message in capsys.readouterr().err


class Clock:
    """A clock that moves only during waits and writes; it records what was done when."""

    def __init__(self, root: Path) -> None:
        self.time = 0.0
        self.done: list[tuple[float, str]] = []
        self.store = DirectoryStore(root)
        self.caps = self.store.caps

    @property
    def writer(self) -> Writer:
        return Writer(Place(self, "r", "r"), None)

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def now(self) -> float:
        return self.time

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        self.done.append((self.time, path))
        return self.store.put(path, file, if_absent=if_absent, if_match=if_match)

    def scan(self, prefix: str) -> Tree:
        return self.store.scan(prefix)

    def files(self, prefix: str) -> Iterator[tuple[str, File]]:
        return self.store.files(prefix)

    def fetch(self, path: str) -> Fetched | None:
        return self.store.fetch(path)

    def ticket(self, write: Write, seconds: int) -> Send:
        def send() -> Tag | None:
            self.done.append((self.time, write.path))
            return self.store.ticket(write, seconds)()

        return send

    def delete(self, path: str) -> None:
        self.store.delete(path)

    def revoke(self, directory: str, there: Store | None = None) -> None:
        self.store.revoke(directory, there)

    def tidy(self, prefix: str = "", directories: Collection[str] = ()) -> str:
        return self.store.tidy(prefix, directories)

    def server_environment(self) -> dict[str, str]:
        return {}


def timed(tmp_path: Path, settle_s: float, *, resumed: bool = False) -> dict[str, list[float]]:
    """Push the second version over the first, and return when each path was written."""
    first, second = (repository(tmp_path / str(version), version) for version in (1, 2))
    clock = Clock(tmp_path)
    shutil.copytree(first, tmp_path / "r")
    have = clock.scan("r")
    made = plan(clock.scan(second.name), have, "r", resumed=resumed)
    apply(made, have, clock.writer, Pace(settle_s, clock.now, clock.sleep), lambda _: None)
    times: dict[str, list[float]] = {}
    for moment, path in clock.done:
        times.setdefault(path, []).append(moment)
    return times


def test_servers_get_their_time_between_the_phases(tmp_path: Path) -> None:
    times = timed(tmp_path, 30)
    assert times["r/leaf/2/model.py"] == [0]
    assert times["r/leaf/config.pbtxt"] == [1.1, 61.1]
    assert times["r/top/config.pbtxt"] == [31.1]


def test_two_writes_to_a_model_are_never_in_one_second(tmp_path: Path) -> None:
    times = timed(tmp_path, 0)
    assert times["r/leaf/config.pbtxt"] == pytest.approx([1.1, 3.3])
    assert times["r/top/config.pbtxt"] == pytest.approx([2.2])


def test_after_a_broken_off_push_servers_get_time_for_what_it_wrote(tmp_path: Path) -> None:
    assert timed(tmp_path, 30, resumed=True)["r/leaf/2/model.py"] == [30]


def test_where_nothing_serves_nobody_is_waited_for(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    made = plan(clock.scan(repository(tmp_path / "m", 1).name), {}, "r")
    apply(made, {}, clock.writer, Pace(30, clock.now, clock.sleep), lambda _: None)
    assert clock.time < 10


class Overwritten(Clock):
    """A store in which someone else writes a file right after us."""

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        tag = super().put(path, file, if_absent=if_absent, if_match=if_match)
        if path.endswith("model.py"):
            self.store.put(path, of_bytes(b"theirs"))
        return tag


class Full(Clock):
    """A store without space for a pipeline's config."""

    def ticket(self, write: Write, seconds: int) -> Send:
        if write.path.endswith("top/config.pbtxt") and self.done[2:]:
            raise fatal("store-access", write.path, "cannot write: No space left on device")
        return super().ticket(write, seconds)


@pytest.mark.parametrize(
    ("kind", "message"),
    [(Overwritten, "the file is not what this push saw or wrote"), (Full, "cannot write")],
    ids=["somebody else writes", "the store refuses"],
)
def test_what_breaks_a_push_off_is_told_with_how_far_it_came(tmp_path: Path, kind: type[Clock], message: str) -> None:
    clock = kind(tmp_path)
    made = plan(clock.scan(repository(tmp_path / "m", 1).name), {}, "r")
    with pytest.raises(Stop, match=message) as stop:
        apply(made, {}, clock.writer, Pace(0, clock.now, clock.sleep), lambda _: None)
    assert "the push was interrupted after at least" in str(stop.value)
    assert all(told.severity == "error" for told in stop.value.diagnostics)


WRONG_RECORDS = {"no JSON": b"{", "another schema": json.dumps({"schema": 9}).encode(), "no files": b'{"schema": 1}'}


@pytest.mark.parametrize("content", WRONG_RECORDS.values(), ids=WRONG_RECORDS)
def test_a_wrong_record_is_told(content: bytes) -> None:
    with pytest.raises(Stop, match=r"^r: fatal: the (file is not a release record|release record has schema 9)"):
        revisions.load(content, "r")


def test_a_record_tells_the_versions_that_it_brought() -> None:
    paths = ("m/1/a", "m/1/b", "m/12/a", "m/config.pbtxt", "m/configs/x.pbtxt", "e/1/.keep", "n/config.pbtxt")
    brought = revisions.versions(Revision(files={path: Object("d", 1, Tag("t")) for path in paths}))
    assert brought == {"m": {1, 12}, "e": {1}, "n": set()}


def test_a_record_survives_its_text_and_lends_its_digests_to_what_it_knows() -> None:
    full = Revision("s", {"release": "26.07"}, {"o/m": "./x"}, {"m/1/a": Object("d", 1, Tag("t"))}, {"by": "me"})
    assert revisions.load(revisions.dump(full).content(), "r") == full
    same, other = Stored(1, of_bytes(b"x").read, tag=Tag("t")), Stored(1, of_bytes(b"x").read, tag=Tag("u"))
    known = revisions.known({"m/1/a": same, "m/1/b": same}, full)
    assert [entry.known_sha256 for entry in known.values() if isinstance(entry, File)] == ["d", None]
    (entry,) = revisions.known({"m/1/a": other}, full).values()
    assert isinstance(entry, File)
    assert entry.sha256 == of_bytes(b"x").sha256
