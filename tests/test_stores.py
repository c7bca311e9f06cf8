"""What every Store promises, tested on each kind of store."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.servers.gcs import GCSServer
from tests.servers.s3 import CREDENTIALS, S3Server
from tests.speaking import Asked, Said, speaking
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.stores import open_store, server_environment
from tritonrepo.stores.directory import STAGING, DirectoryStore
from tritonrepo.stores.listing import as_tree, files
from tritonrepo.stores.store import Conflict, Late, Send, Store, Unconditional, Write, tag_of
from tritonrepo.stores.walk import FOLLOWED
from tritonrepo.tree import Directory, File, Link, Outside, Unreadable, of_bytes, of_text, on_disk

LONG_S = 60


@pytest.fixture
def directory(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def in_directory(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("tmp_path") / "r")


def in_s3(request: pytest.FixtureRequest) -> str:
    server: S3Server = request.getfixturevalue("s3_server")
    return server.uri(server.bucket(), "r")


def in_moto(request: pytest.FixtureRequest) -> str:
    server: S3Server = request.getfixturevalue("moto_server")
    return server.uri(server.bucket(), "r")


def in_gcs(request: pytest.FixtureRequest) -> str:
    server: GCSServer = request.getfixturevalue("gcs_server")
    return server.uri(server.bucket(), "r")


KINDS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "directory": in_directory,
    "s3": in_s3,
    "moto": in_moto,
    "gcs": in_gcs,
}
"""Functions that return the path or URI of an empty location, by kind.

S3 is SeaweedFS and moto; GCS is an emulator behind a proxy that enforces the conditions on generations, which the
emulator by itself ignores.
"""

HONEST = {name: kind for name, kind in KINDS.items() if name != "moto"}
"""Those that look at signatures, and so at the time of a request."""

BUCKETS = {name: kind for name, kind in KINDS.items() if name != "directory"}


@pytest.fixture(params=KINDS.values(), ids=list(KINDS))
def store(request: pytest.FixtureRequest) -> Store:
    """A Store of each kind."""
    return open_store(request.param(request))[0]


def content(store: Store, path: str) -> bytes:
    prefix, _, name = path.partition("/")
    entry = store.scan(prefix)[name]
    assert isinstance(entry, File)
    return entry.content()


def read(store: Store, path: str) -> bytes:
    found = store.fetch(path)
    assert found is not None
    return found.content


def test_what_is_put_is_found(store: Store) -> None:
    store.put("repo/a/1/model.onnx", of_bytes(b"x" * 3_000_000))
    store.put("repo/é.txt", of_bytes(b""))
    tree = store.scan("repo")
    assert sorted(tree) == ["a/1/model.onnx", "é.txt"]
    assert content(store, "repo/a/1/model.onnx") == b"x" * 3_000_000


ODD = {
    "two slashes": "q//z",
    "dots": "q/../z",
    "a dot": "q/./z",
    "a space": "q/a b",
    "a newline": "q/é\n",
    "an escape": "q/%2F",
    "a plus": "q/+",
    "a backslash": "q/a\\b",
    "a query": "q/z?x=1#f",
    "a control character": "q/\x01",
    "a tilde": "q/~",
    "emoji": "q/🦙",
}
REFUSED = {("s3", "dots"), ("s3", "a dot"), ("moto", "a newline")}
MERGED = {("s3", "two slashes"), ("s3", "a backslash")}
"""SeaweedFS knows several keys of one object: a push finds that what it wrote is not there."""


@pytest.mark.parametrize("kind", BUCKETS)
def test_an_odd_key_is_kept_as_it_is_or_refused(request: pytest.FixtureRequest, kind: str) -> None:
    store = open_store(BUCKETS[kind](request))[0]
    for place, key in enumerate(ODD):
        kept_or_refused(store, f"r{place}", (kind, key))


def kept_or_refused(store: Store, prefix: str, case: tuple[str, str]) -> None:
    """Judge one key in a directory of its own."""
    path = ODD[case[1]]
    if case in REFUSED:
        with pytest.raises(Stop):
            store.put(f"{prefix}/{path}", of_bytes(b"1"))
        return
    tag = store.put(f"{prefix}/{path}", of_bytes(b"1"), if_absent=True)
    found = dict(store.scan(prefix))
    if case in MERGED:
        assert path not in found, case
        return
    entry = found.pop(path)
    assert found == {}, case
    assert isinstance(entry, File), case
    assert (entry.content(), tag_of(entry), store.fetch(f"{prefix}/{path}")) == (b"1", tag, (b"1", tag)), case
    store.ticket(Write(f"{prefix}/{path}", of_bytes(b"2"), if_match=tag), LONG_S)()
    assert read(store, f"{prefix}/{path}") == b"2", case
    store.delete(f"{prefix}/{path}")
    assert store.scan(prefix) == {}, case


def test_a_part_is_what_a_slice_is(store: Store) -> None:
    body = bytes(range(10))
    store.put("r/a", of_bytes(body))
    entry = store.scan("r")["a"]
    assert isinstance(entry, File)
    for offset in (0, 1, 9, 10, 11):
        for n in (1, 9, 10, 11):
            assert entry.read(offset, n) == body[offset : offset + n]


def test_an_absent_prefix_is_an_empty_tree(store: Store) -> None:
    assert store.scan("nothing") == {}


def test_a_scan_takes_what_is_under_the_prefix_and_no_caches_of_python(store: Store) -> None:
    for path in ("r/m/x", "r/__pycache__/y.pyc", "r/m/__pycache__/y.pyc", "r2/z", "r.tritonrepo/z", "z"):
        store.put(path, of_bytes(b""))
    assert list(store.scan("r")) == ["m/x"]


def test_paths_come_sorted_by_their_bytes(store: Store) -> None:
    for name in ("b", "B", "a/z", "a.b", "é", "10", "9"):
        store.put(f"r/{name}", of_bytes(b""))
    assert list(store.scan("r")) == sorted(store.scan("r"), key=os.fsencode)


def test_a_put_replaces_the_whole_file(store: Store) -> None:
    store.put("r/a", of_bytes(b"long content"))
    assert read(store, "r/a") == b"long content"
    store.put("r/a", of_bytes(b"short"))
    assert content(store, "r/a") == read(store, "r/a") == b"short"


def test_a_put_if_absent_is_refused_where_a_file_is(store: Store) -> None:
    store.put("r/a", of_bytes(b"1"), if_absent=True)
    with pytest.raises(Conflict):
        store.put("r/a", of_bytes(b"2"), if_absent=True)
    assert content(store, "r/a") == b"1"


def test_a_put_if_match_is_refused_where_the_content_is_another(store: Store) -> None:
    tag = store.put("r/a", of_bytes(b"1"))
    store.put("r/a", of_bytes(b"2"), if_match=tag)
    with pytest.raises(Conflict):
        store.put("r/a", of_bytes(b"3"), if_match=tag)
    with pytest.raises(Conflict):
        store.put("r/b", of_bytes(b"3"), if_match=tag)
    assert content(store, "r/a") == b"2"


def test_no_file_has_the_stray_tag(store: Store) -> None:
    store.put("r/a", of_bytes(b"1"))
    with pytest.raises(Conflict):
        store.put("r/a", of_bytes(b"2"), if_match=store.caps.stray)
    assert content(store, "r/a") == b"1"


def test_a_large_file_is_put_where_none_is_and_refused_where_one_is(store: Store) -> None:
    body = bytes(range(256)) * 80_000
    tag = store.put("r/weights", of_bytes(body), if_absent=True)
    with pytest.raises(Conflict):
        store.put("r/weights", of_bytes(b"2" * len(body)), if_absent=True)
    entry = store.scan("r")["weights"]
    assert isinstance(entry, File)
    assert (entry.sha256, tag_of(entry)) == (of_bytes(body).sha256, tag)


def test_a_ticket_writes_and_removes(store: Store) -> None:
    tag = store.ticket(Write("r/a", of_bytes(b"1")), LONG_S)()
    assert store.fetch("r/a") == (b"1", tag)
    assert store.ticket(Write("r/a", None), LONG_S)() is None
    assert store.ticket(Write("r/a", None), LONG_S)() is None
    assert store.fetch("r/a") is None
    large = os.urandom(300_000)
    tag = store.ticket(Write("r/a", of_bytes(large), if_absent=True), LONG_S)()
    assert store.fetch("r/a") == (large, tag)


def test_a_tickets_condition_is_judged_when_it_is_sent(store: Store) -> None:
    first = store.put("r/a", of_bytes(b"1"))
    absent = store.ticket(Write("r/b", of_bytes(b"mine"), if_absent=True), LONG_S)
    match = store.ticket(Write("r/a", of_bytes(b"mine"), if_match=first), LONG_S)
    for path in ("r/a", "r/b"):
        store.put(path, of_bytes(b"theirs"))
    for send in (absent, match):
        with pytest.raises(Conflict):
            send()
    assert read(store, "r/a") == read(store, "r/b") == b"theirs"


def in_time(send: Send) -> bool:
    try:
        send()
    except Late:
        return False
    return True


@pytest.mark.parametrize("store", HONEST.values(), ids=list(HONEST), indirect=True)
@pytest.mark.parametrize("file", [of_bytes(b"mine"), None], ids=["a write", "a removal"])
def test_a_ticket_changes_nothing_once_its_time_is_over(store: Store, file: File | None) -> None:
    send, deadline = store.ticket(Write("r/a", file), 1), time.monotonic() + LONG_S
    while in_time(send):
        assert time.monotonic() < deadline
    store.put("r/a", of_bytes(b"theirs"))
    with pytest.raises(Late):
        send()
    assert read(store, "r/a") == b"theirs"


def test_a_delete_takes_the_directories_that_it_leaves_empty(store: Store) -> None:
    store.put("r/a/1/x", of_bytes(b""))
    store.put("r/a/y", of_bytes(b""))
    store.delete("r/a/1/x")
    store.delete("r/a/1/x")
    assert list(store.scan("r")) == ["a/y"]


def test_entries_of_every_kind_are_told_apart(directory: DirectoryStore, tmp_path: Path) -> None:
    top = tmp_path / "r"
    (top / "empty").mkdir(parents=True)
    (top / "__pycache__").mkdir()
    (top / "__pycache__" / "x.pyc").touch()
    (top / "file").write_bytes(b"1")
    (top / "link").symlink_to("file")
    (top / "loop").symlink_to("loop")
    (top / "out").symlink_to("/")
    (top / "gone").symlink_to("nowhere")
    os.mkfifo(top / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(top / "sock"))
        found = dict(directory.scan("r"))
    assert isinstance(found.pop("file"), File)
    assert isinstance(found.pop("link"), File)
    assert found == {
        "empty": Directory(),
        "loop": Unreadable.DANGLING,
        "out": Outside("/"),
        "gone": Unreadable.DANGLING,
        "fifo": Unreadable.FIFO,
        "sock": Unreadable.SOCKET,
    }


def test_a_link_to_a_directory_is_followed_within_the_tree_and_never_round(tmp_path: Path) -> None:
    top = tmp_path / "r"
    for name in ("a", "b"):
        (top / name / "1").mkdir(parents=True)
    (top / "a" / "1" / "model").write_bytes(b"weights")
    (top / "a" / "2").symlink_to("1")
    (top / "c").symlink_to(top / "a")
    (top / "a" / "1" / "up").symlink_to("../..")
    (top / "b" / "to-a").symlink_to("../a/1")
    (tmp_path / "r2").mkdir()
    (top / "out").symlink_to("../r2")
    found = dict(DirectoryStore(tmp_path).scan("r"))
    links = {path: entry.target for path, entry in found.items() if isinstance(entry, Link)}
    assert sorted(path for path, entry in found.items() if isinstance(entry, File)) == [
        "a/1/model",
        "a/2/model",
        "b/to-a/model",
        "c/1/model",
        "c/2/model",
    ]
    assert links.pop("out") == "../r2"
    assert set(links) == {"a/1/up", "a/2/up", "b/to-a/up", "c/1/up", "c/2/up"}
    assert found["b/1"] == Directory()


def test_digests_are_asked_of_what_was_handed_in_and_once(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "a").write_bytes(b"1")
    asked: list[str] = []

    def cached(file: File) -> str:
        asked.append(str(file.path))
        return "cached"

    found = DirectoryStore(tmp_path, (), cached).scan("r")["a"]
    assert isinstance(found, File)
    assert (found.sha256, found.sha256, asked) == ("cached", "cached", [f"{tmp_path}/r/a"])


def test_links_that_multiply_without_end_are_left_as_links(tmp_path: Path) -> None:
    top = tmp_path / "r"
    for number in range(40):
        (top / f"{number}").mkdir(parents=True)
        for name in ("x", "y", "z"):
            (top / f"{number}" / name).symlink_to(f"../{number + 1}")
    (top / "40").mkdir()
    assert len(DirectoryStore(tmp_path).scan("r")) < 3 * FOLLOWED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not read")
def test_what_this_user_cannot_list_or_read_is_an_entry() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as given:  # pytest's own, and TMPDIR, may be closed to other users
        place = Path(given)
        place.chmod(0o755)
        top = place / "r"
        (top / "locked").mkdir(parents=True)
        (top / "file").touch(0o600)
        (top / "locked").chmod(0o700)
        os.seteuid(65534)
        try:
            found = dict(DirectoryStore(place).scan("r"))
        finally:
            os.seteuid(0)
    assert found == {"locked": Unreadable.LOCKED, "file": Unreadable.FORBIDDEN}


def test_a_file_that_nobody_may_write_is_linked_and_others_are_copied(
    directory: DirectoryStore, tmp_path: Path
) -> None:
    for name, mode in (("cached", 0o444), ("own", 0o644)):
        source = tmp_path / name
        source.write_bytes(b"weights")
        source.chmod(mode)
        directory.put(f"r/{name}", on_disk(source, 7))
    assert (tmp_path / "r" / "cached").samefile(tmp_path / "cached")
    assert not (tmp_path / "r" / "own").samefile(tmp_path / "own")
    assert content(directory, "r/own") == b"weights"


def test_files_are_as_open_as_the_user_has_them(directory: DirectoryStore, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        directory.put("r/a", of_bytes(b"x"))
    finally:
        os.umask(before)
    assert (tmp_path / "r" / "a").stat().st_mode & 0o777 == 0o600


def test_nothing_half_written_is_ever_in_the_repository(directory: DirectoryStore, tmp_path: Path) -> None:
    class BrokenError(Exception):
        pass

    def read(offset: int, n: int) -> bytes:
        if offset:
            raise BrokenError
        return b"x" * n

    directory.put("r/a", of_bytes(b"whole"))
    with pytest.raises(BrokenError):
        directory.put("r/a", File(1 << 30, read))
    assert content(directory, "r/a") == b"whole"
    assert not [path for path in (tmp_path / STAGING).rglob("*") if path.is_file()]


def test_what_a_killed_run_left_is_swept_away(directory: DirectoryStore, tmp_path: Path) -> None:
    directory.put("r/a", of_bytes(b""))
    with subprocess.Popen(["true"]) as ended:
        pass
    (tmp_path / STAGING / f"{ended.pid}-0").mkdir()
    (tmp_path / STAGING / f"{ended.pid}-0" / "half").write_bytes(b"x")
    directory.tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r"]


def test_tidying_takes_nothing_from_a_run_that_goes_on(directory: DirectoryStore, tmp_path: Path) -> None:
    other = DirectoryStore(tmp_path)

    def read(offset: int, n: int) -> bytes:  # noqa: ARG001  a File's signature
        directory.tidy()
        return b"" if offset else b"whole"

    other.put("r/a", File(5, read))
    assert (tmp_path / "r" / "a").read_bytes() == b"whole"
    other.tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r"]


TROUBLE = {
    "the repository is a file": ("r", "r", "the path is not a directory"),
    "a file where a directory is needed": ("r/a", "r/a/1/x", "cannot write"),
}


@pytest.mark.parametrize(("file", "path", "message"), TROUBLE.values(), ids=TROUBLE)
def test_what_the_system_refuses_is_told(
    directory: DirectoryStore, tmp_path: Path, file: str, path: str, message: str
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    with pytest.raises(Stop, match=message):
        directory.scan(path) if path == file else directory.put(path, of_bytes(b""))


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.fetch("r/nothing") is None


def test_a_tag_changes_with_the_content_and_a_scan_gives_it(store: Store) -> None:
    first, second = store.put("r/a", of_bytes(b"1")), store.put("r/a", of_bytes(b"2"))
    assert first != second
    entry = store.scan("r")["a"]
    assert isinstance(entry, File)
    assert tag_of(entry) == second


def test_a_large_object_goes_in_parts_and_comes_back_whole(store: Store) -> None:
    body = bytes(range(256)) * 80_000
    store.put("r/weights", of_bytes(body))
    entry = store.scan("r")["weights"]
    assert isinstance(entry, File)
    assert (entry.size, entry.sha256) == (len(body), of_bytes(body).sha256)
    assert (entry.read(5, 3), entry.read(len(body), 3), entry.read(len(body) - 1, 3)) == (body[5:8], b"", body[-1:])


@pytest.mark.parametrize("store", BUCKETS.values(), ids=list(BUCKETS), indirect=True)
def test_an_object_that_was_overwritten_since_its_scan_is_not_read_for_the_old_one(store: Store) -> None:
    store.put("r/a", of_bytes(b"old"))
    entry = store.scan("r")["a"]
    store.put("r/a", of_bytes(b"new"))
    assert isinstance(entry, File)
    with pytest.raises(Stop, match="a: error: the object was overwritten or removed while it was being read"):
        entry.content()


def test_a_key_that_is_an_object_and_a_directory_is_the_object() -> None:
    entry = of_bytes(b"")
    assert as_tree([("m", entry), ("m/", entry), ("n/", entry)]) == {"m": entry, "n": Directory()}


def test_a_marker_is_a_directory_only_if_nothing_is_in_it() -> None:
    entry = of_bytes(b"")
    keys = ["a/", "a/b/", "c/", "c/d", "e/f/", "e/f/__pycache__/g", "", "__pycache__"]
    found = as_tree((key, entry) for key in keys)
    assert found == {"__pycache__": entry, "a/b": Directory(), "c/d": entry, "e/f": Directory()}
    assert list(files((key, entry) for key in keys)) == [("c/d", entry), ("__pycache__", entry)]


def test_a_prefix_ends_at_its_slash_and_markers_are_directories(s3_server: S3Server) -> None:
    bucket = s3_server.bucket()
    for key in ("r/m/1/", "r/m/2/", "r/m/2/x", "r.tritonrepo/release.json", "r2/y", "r/n/__pycache__/z"):
        s3_server.client().put_object(Bucket=bucket, Key=key, Body=b"")
    store, prefix = open_store(s3_server.uri(bucket, "r/"))
    found = dict(store.scan(prefix))
    assert isinstance(found.pop("m/2/x"), File)
    assert found == {"m/1": Directory()}


def test_a_listing_of_many_pages_is_whole(s3_server: S3Server) -> None:
    store, _ = open_store(s3_server.uri(s3_server.bucket(), "r"))
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: store.put(f"r/{number}", of_bytes(b"x")), range(1100)))
    assert len(store.scan("r")) == 1100


def looked_into(uri: str) -> None:
    store, prefix = open_store(uri)
    store.scan(prefix)


NOBODY = "s3://http://127.0.0.1:1/models/prod"
UNUSABLE: dict[str, tuple[dict[str, str | None], str, str]] = {
    "nobody listens": ({}, NOBODY, "the endpoint does not respond"),
    "no such bucket": ({}, "", "the bucket does not exist (NoSuchBucket)"),
    "an unknown key": ({"AWS_ACCESS_KEY_ID": "x"}, "", "the store does not know the access key (InvalidAccessKeyId)"),
    "a wrong secret": ({"AWS_SECRET_ACCESS_KEY": "x"}, "", "the secret key does not match the access key"),
    "a profile that is not there": ({"AWS_PROFILE": "x"}, "", "The config profile (x) could not be found"),
    "no credentials": (
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"},
        "",
        "no credentials were found",
    ),
}


@pytest.mark.parametrize(("variables", "uri", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_bucket_that_cannot_be_used_is_told_in_one_message(
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str | None],
    uri: str,
    message: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(Stop) as stop:
        looked_into(uri or s3_server.uri("no-such-bucket", "prod"))
    (told,) = stop.value.diagnostics
    assert message in told.message
    assert told.severity is Severity.FATAL
    assert told.hint


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_wrong_by_an_hour_is_told(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    import botocore.auth

    now = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *given: now(*given) + timedelta(hours=hours))
    with pytest.raises(Stop, match=r"clock differs too much from the store's \(RequestTimeTooSkewed\)"):
        looked_into(s3_server.fresh())


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(Stop, match=r"s3:// URIs need boto3 and obstore: .*\n  Run `pip install 'tritonrepo\[s3\]'`."):
        open_store("s3://bucket/prefix")


REDIRECTS = 301
"""A redirect from http to https, as from a proxy: without the region that AWS adds."""


@pytest.mark.parametrize(
    ("status", "message"),
    [(REDIRECTS, "cannot list: the endpoint redirects every request"), (400, "cannot list: Bad Request (400)")],
    ids=["a redirect", "a bad request"],
)
def test_an_endpoint_that_is_no_store_is_told_with_the_next_step(status: int, message: str) -> None:
    with unwilling(status, times=1000, body=b"") as endpoint, pytest.raises(Stop) as stop:
        looked_into(f"s3://{endpoint}/models/prod")
    (told,) = stop.value.diagnostics
    assert (told.severity, told.message) == (Severity.FATAL, message)
    assert "Check that this is the S3 API of a store" in told.hint


def test_a_store_that_knows_no_conditions_says_so() -> None:
    body = b"<Error><Code>NotImplemented</Code></Error>"
    with unwilling(501, times=1000, body=body) as endpoint:
        store, prefix = open_store(f"s3://{endpoint}/models/prod")
        with pytest.raises(Unconditional):
            store.put(prefix, of_text("x"), if_absent=True)


def test_a_server_gets_a_buckets_credentials_unless_it_has_a_file_of_its_own(
    s3_server: S3Server, tmp_path: Path
) -> None:
    assert server_environment(s3_server.fresh(), {}) == CREDENTIALS | {"AWS_SESSION_TOKEN": ""}
    assert server_environment(str(tmp_path), {}) == {}
    assert server_environment(s3_server.fresh(), {"TRITON_CLOUD_CREDENTIAL_PATH": "credentials.json"}) == {}


def test_an_empty_text_is_no_place_and_a_step_up_is_the_directory_it_leads_to(inside: Path) -> None:
    with pytest.raises(Stop, match="an empty string is not a directory or a bucket URI"):
        open_store("")
    (inside / "below").mkdir()
    assert open_store(f"{inside}/below/..")[1] == "inside"
    assert open_store(".")[1] == "inside"


@pytest.mark.parametrize("number", [503, 500], ids=["slow down", "internal error"])
def test_a_store_that_is_busy_is_asked_again(number: int) -> None:
    """The first request has a short timeout for an absent endpoint, but not for one that asks for time."""
    with unwilling(number, times=2) as endpoint:
        store, prefix = open_store(f"s3://{endpoint}/models/prod")
        assert store.scan(prefix) == {}


SLOW = b"<Error><Code>SlowDown</Code></Error>"


@contextmanager
def unwilling(status: int, times: int, body: bytes = SLOW) -> Iterator[str]:
    """Yield the endpoint of a store that refuses some requests and then lists nothing."""
    refusals = iter([status] * times)

    def answer(_: Asked) -> Said:
        code = next(refusals, 200)
        return Said(b"<ListBucketResult></ListBucketResult>" if code == 200 else body, code)

    with speaking(answer) as server:
        yield server.url
