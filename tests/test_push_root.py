"""A repository at a bucket's root, whose record is in another bucket (`--record`): one lock, whoever pushes there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.memory import Memory
from tests.pushes import own_files, push, repository, stored
from tests.servers.gcs import GCSServer
from tests.servers.s3 import S3Server
from tests.tabled import tabled
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.push import USUAL
from tritonrepo.stores import located
from tritonrepo.stores.store import Late, Write
from tritonrepo.sync.binding import POINTER, bind, check, unhidden
from tritonrepo.sync.lock import held
from tritonrepo.sync.place import Apart, Place, open_place
from tritonrepo.sync.writing import Writer
from tritonrepo.tree import of_text

S3, AWS, GS = "s3://http://h:9000/models", "s3://models", "gs://models"
WHO = {"by": "ann", "at": "noon"}


@pytest.fixture(params=["s3_server", "gcs_server"], ids=["s3", "gcs"])
def places(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The root of a bucket of its own, and a place for its record in another one."""
    server: S3Server | GCSServer = request.getfixturevalue(request.param)
    return server.uri(server.bucket(), "").rstrip("/"), f"{server.fresh()}/record"


def held_in(record: str) -> dict[str, bytes]:
    """Return what is at the place of a record, without what names a revision."""
    return {path: content for path, content in stored(record).items() if path in {"release.json", "lock.json"}}


def test_a_buckets_root_has_its_record_elsewhere(
    tmp_path: Path, places: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    root, record = places
    made = repository(tmp_path / "m", 1)
    assert push(made, root, "--record", record, "--dry-run") == 0
    assert stored(root) == stored(record) == {}
    assert push(made, root, "--record", record) == 0
    there = stored(root)
    assert json.loads(there.pop(POINTER)) == {"record": record}
    assert there == own_files(made)
    assert stored(record).keys() == {"release.json"}
    assert json.loads(held_in(record)["release.json"])["repository"] == root
    capsys.readouterr()
    assert push(made, f"{root}/", "--record", f"{record}/") == 0
    assert capsys.readouterr().out == f"{root}/: nothing to do\n"
    assert push(repository(made, 2), root, "--record", record) == 0
    assert stored(root)["leaf/2/part-1"] == b"2 1"
    kept = stored(record)
    assert {path.partition("/")[0] for path in kept} == {"kept", "release.json", "revisions"}
    assert json.loads(kept["revisions/1.json"])["repository"] == root
    assert run(["validate", root]) == 0
    assert capsys.readouterr().out.endswith("2 models: no problems found\n")


def test_a_second_push_finds_the_lock_at_the_place_of_the_record(
    tmp_path: Path, places: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    root, record = places
    with held(open_place(root, record), WHO, USUAL, lambda _: None) as hold:
        assert hold.proven()
        assert held_in(record).keys() == {"lock.json"}
        assert push(repository(tmp_path / "m", 1), root, "--record", record) == 1
    assert "has been pushing to this prefix since noon; nothing was sent [push-locked]" in capsys.readouterr().err
    assert stored(root) == held_in(record) == {}


def test_what_was_prepared_in_the_records_bucket_is_refused_once_another_push_holds_the_lock(
    gcs_server: GCSServer,
) -> None:
    root, record = gcs_server.uri(gcs_server.bucket(), "").rstrip("/"), gcs_server.fresh()
    ours, theirs = open_place(root, record), open_place(root, record)
    with held(ours, WHO, USUAL, lambda _: None):
        send, late = (ours.store.ticket(Write(path, of_text("x"), if_absent=True), 60) for path in ("m/a", "m/b"))
        assert [path.partition("/")[0] for path in stored(record)].count("prepared") == 2
        assert send()
    with held(theirs, WHO, USUAL, lambda _: None), pytest.raises(Late):
        late()
    assert stored(root) == {"m/a": b"x"}
    assert stored(record) == {}


UNFIT = {
    "the repository itself": (S3, S3, "would be in the repository"),
    "a directory in it": (S3, f"{S3}/r", "would be in the repository"),
    "the same bucket without its scheme": (S3, "s3://h:9000/models/r", "would be in the repository"),
    "the same bucket with more slashes": (S3, "s3:///http://h:9000//models//r/", "would be in the repository"),
    "the same host in capitals": (S3, "s3://http://H:9000/models/r", "would be in the repository"),
    "a directory in a prefix": (f"{S3}/prod", f"{S3}/prod/r", "would be in the repository"),
    "a directory of a bucket on AWS": (AWS, f"{AWS}/r", "would be in the repository"),
    "a directory of a bucket of Google's": (GS, f"{GS}/r", "would be in the repository"),
    "around the repository": (f"{GS}/a/prod", f"{GS}/a", "would be among the files of the record"),
    "another endpoint": (S3, "s3://http://i:9000/models/r", "are in different stores"),
    "another protocol": (S3, "s3://https://h:9000/models/r", "are in different stores"),
    "AWS for another endpoint": (S3, AWS, "are in different stores"),
    "another kind of bucket": (S3, GS, "are in different stores"),
    "a directory on this machine": (GS, "r", "are in different stores"),
    "a bucket for a directory": ("r", GS, "are in different stores"),
    "a URI that Triton would misread": (GS, "gs://other//r", "does not merge slashes"),
    "an empty one": (S3, "", "an empty string is not"),
}


@tabled(("uri", "record", "said"), UNFIT.values(), ids=UNFIT)
def test_a_record_cannot_be_in_its_repository_or_in_another_store(uri: str, record: str, said: str) -> None:
    with pytest.raises(Stop, match=said):
        open_place(uri, record)


def test_a_record_is_at_the_place_that_is_named() -> None:
    root = open_place(S3, "s3://http://h:9000/records/prod/")
    assert (root.path("m/1/a"), root.beside("lock.json")) == ("m/1/a", "prod/lock.json")
    assert root.record_store is not root.store
    assert open_place(GS, "gs://records").beside("lock.json") == "lock.json"
    assert open_place(f"{GS}/prod", f"{GS}/prod2").beside("lock.json") == "prod2/lock.json"
    assert open_place(f"{GS}/prod", f"{GS}/prod.tritonrepo/").apart is None, "that is where it is anyway"
    near = open_place(f"{GS}/prod")
    assert (near.path("m/1/a"), near.beside("lock.json")) == ("prod/m/1/a", "prod.tritonrepo/lock.json")
    assert near.record_store is near.store


def told(stop: pytest.ExceptionInfo[Stop]) -> str:
    (one,) = stop.value.diagnostics
    return f"{one.message} | {one.hint}"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A repository that was pushed to `served`, with its record at `record`."""
    assert push(repository(tmp_path / "m", 1), tmp_path / "served", "--record", tmp_path / "record") == 0
    return tmp_path


def refused(here: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Push, and return the message of the refusal, with which nothing was written."""
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert push(here / "m", *arguments) == 2
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before
    said = capsys.readouterr().err
    assert "[record-place]" in said
    return said.replace(str(here), "")


def test_a_repository_has_one_record_and_a_record_one_repository(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {path.name for path in (here / "served").iterdir()} == {POINTER, "leaf", "top"}
    assert "The record" not in refused(here, capsys, here / "served")
    assert "Add `--record /record`." in refused(here, capsys, here / "served")
    assert "is at /record: two records would be two locks" in refused(
        here, capsys, here / "served", "--record", here / "second"
    )
    assert "is that of another repository: /served" in refused(
        here, capsys, here / "other", "--record", here / "record"
    )
    assert push(here / "m", here / "served", "--record", f"{here}/m/../record/") == 0, "it is the same place"
    assert push(here / "m", here / "plain") == 0
    assert "has a record next to it" in refused(here, capsys, here / "plain", "--record", here / "third")
    assert "is that of another repository: the one that is next to it" in refused(
        here, capsys, here / "fourth", "--record", here / "plain.tritonrepo"
    )


def test_the_name_of_a_record_is_foreign_text(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "served" / POINTER).write_text(json.dumps({"record": "$(x)\n\x1b[2J"}), "utf-8")
    assert "  Add `--record '$(x)\\n\\x1b[2J'`.\n" in refused(here, capsys, here / "served")


def test_a_name_of_the_record_that_is_lost_is_written_again(here: Path) -> None:
    (here / "served" / POINTER).unlink()
    assert push(here / "m", here / "served", "--record", here / "record") == 0
    assert json.loads((here / "served" / POINTER).read_bytes()) == {"record": str(here / "record")}


@pytest.mark.parametrize(
    "content", ["", "[]", '{"record": 1}', '{"record": ""}', "[" * 5_000, '{"record": "' + "r" * 10_000 + '"}']
)
def test_a_name_of_the_record_that_cannot_be_read_is_told(
    here: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (here / "served" / POINTER).write_text(content, "utf-8")
    for options in ([], ["--record", here / "record"]):
        assert push(here / "m", here / "served", *options) == 2
        assert f"{POINTER}: fatal: the file does not name the place" in capsys.readouterr().err


def test_the_root_of_a_bucket_that_has_other_repositories_is_refused() -> None:
    store, other = Memory(), Memory()
    store.objects = {"prod/m/config.pbtxt": b"", "prod.tritonrepo/release.json": b""}
    place = Place(store, "", GS, Apart(other, "r", "gs://records/r"))
    have = {path: of_text("") for path in store.objects}
    with pytest.raises(Stop) as stop:
        check(place, have, None)
    assert "the record of another repository is in this one: prod.tritonrepo/release.json" in told(stop)


@tabled(
    ("there", "record", "fits"),
    {
        "a repository with a record": ("prod.tritonrepo/release.json", "prod", False),
        "a directory of one": ("a/prod.tritonrepo/release.json", "a/prod/r/s", False),
        "a repository whose record is elsewhere": (f"prod/{POINTER}", "prod/r", False),
        "such a one at the root": (POINTER, "r", False),
        "a place next to one": ("prod.tritonrepo/release.json", "prod2/r", True),
    }.values(),
)
def test_a_record_cannot_be_in_another_repository(there: str, record: str, *, fits: bool) -> None:
    other = Memory()
    other.objects[there] = b"{}"
    place = Place(Memory(), "", GS, Apart(other, record, f"gs://records/{record}"))
    if fits:
        check(place, {}, None)
        return
    with pytest.raises(Stop) as stop:
        check(place, {}, None)
    assert f"would be in a repository, where every directory is a model: {there} exists" in told(stop)


def test_of_two_first_pushes_with_different_records_one_is_refused() -> None:
    """Neither sees the other's lock; the file that names the record is created once."""
    store = Memory()
    one, other = (Place(store, "", GS, Apart(Memory(), "r", f"gs://{name}/r")) for name in ("one", "other"))
    for place in (one, other):
        check(place, {}, None)
    bind(Writer(one, None), {})
    with pytest.raises(Stop) as stop:
        bind(Writer(other, None), {})
    assert stop.value.diagnostics[0].rule == "push-overtaken"
    assert {path: json.loads(body) for path, body in store.objects.items()} == {POINTER: {"record": "gs://one/r"}}
    bind(Writer(one, None), {})
    with pytest.raises(Stop, match="two records would be two locks"):
        check(other, {POINTER: of_text(store.objects[POINTER].decode())}, None)


@pytest.mark.parametrize(
    ("prefix", "record", "seen"), [("", "r", True), ("prod", "prod/r", True), ("prod", "product", False)]
)
def test_a_lock_that_can_be_seen_in_the_repository_is_given_back(prefix: str, record: str, *, seen: bool) -> None:
    """Two names may lead to one bucket: nothing but the lock shows it."""
    store = Memory()
    place = Place(store, prefix, GS, Apart(store, record, "gs://alias/r"))
    try:
        with held(place, WHO, USUAL, lambda _: None):
            unhidden(place)
        assert not seen
    except Stop as stop:
        assert seen, stop
        assert "is in the repository gs://models itself" in stop.diagnostics[0].message
    assert store.objects == {}


SPELT = {
    "s3://h:9000//models//a/": "s3://http://h:9000/models/a",
    "s3://https://H:443/models": "s3://https://h:443/models",
    "s3://models/a": "s3://models/a",
    "gs://models/": "gs://models",
    "/a/b/../c": "/a/c",
}


@tabled(("uri", "spelt"), SPELT.items(), ids=SPELT)
def test_a_place_is_named_in_one_way(uri: str, spelt: str) -> None:
    assert str(located(uri)) == str(located(spelt)) == spelt


def test_what_is_recorded_elsewhere_is_pulled_and_compared(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "records").mkdir()
    record = ["--record", "records"]
    for version in (1, 2):
        assert push(repository(inside / f"v{version}", version), "s/prod", *record) == 0
    assert run(["pull", "s/prod@1", "now", *record]) == 0
    assert {path.name for path in (inside / "now" / "leaf").iterdir()} == {"1", "config.pbtxt"}
    capsys.readouterr()
    for option in ((), ("--all",)):
        assert run(["pull", "s/prod", "now", *record, *option]) == 0
        assert not (inside / "now" / POINTER).exists(), (
            "another bucket's record is not that of what is pushed from here"
        )
    assert POINTER not in "".join(capsys.readouterr())
    assert push("now", "s/prod", *record, "--dry-run") == 0
    capsys.readouterr()
    assert run(["diff", "v2", "s/prod", "--check", *record]) == 0
    assert run(["diff", "s/prod", "1", "2", "--check", *record]) == 1
    assert "version_policy.specific.versions: [1] → [2]" in capsys.readouterr().out
