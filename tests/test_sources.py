"""Where files come from: the cache that keeps them whole, wheels that are never installed, directories."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tritonrepo.diagnostics import Severity, Span, Stop
from tritonrepo.sources import package, vendored
from tritonrepo.sources.cache import Cache, default_root
from tritonrepo.sources.package import WheelTag
from tritonrepo.sources.resolve import resolve
from tritonrepo.spec.lock import Pin
from tritonrepo.spec.source import parse_source
from tritonrepo.tree import of_bytes

AT = Span("stack.yaml", 3, 5)


@pytest.fixture
def own(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def writing(content: bytes, calls: list[int]) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        calls.append(1)
        (place / "a").mkdir()
        (place / "a" / "b").write_bytes(content)
        (place / "c").write_bytes(content)

    return make


def test_a_tree_is_made_once_and_equal_files_lie_there_once(own: Cache) -> None:
    calls: list[int] = []
    tree = own.tree("key", "making", writing(b"x", calls))
    for again in (tree, own.tree("key", "making", writing(b"x", calls))):
        assert {path: file.content() for path, file in again.items()} == {"a/b": b"x", "c": b"x"}
    assert len(calls) == 1
    assert tree["a/b"].path == tree["c"].path


def test_people_are_told_only_of_what_is_made(tmp_path: Path) -> None:
    said: list[str] = []
    own = Cache(tmp_path / "cache", said.append)
    for _ in range(2):
        own.tree("key", "making it", writing(b"x", []))
    assert said == ["making it"]


def test_a_failed_making_leaves_nothing(own: Cache) -> None:
    def make(place: Path) -> None:
        (place / "half").write_bytes(b"x")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        own.tree("key", "making", make)
    assert not list((own.root / "work").iterdir())
    assert not [path for path in own.root.rglob("*") if path.is_file()]
    calls: list[int] = []
    own.tree("key", "making", writing(b"x", calls))
    assert calls


def test_what_a_killed_process_left_half_made_is_removed_and_what_a_living_one_makes_is_not(own: Cache) -> None:
    killed = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tritonrepo.sources.cache import Cache\n"
        "def make(place):\n"
        "    (place / 'half').write_bytes(b'x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Cache(Path(sys.argv[1])).tree('key', 'making', make)\n"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(own.root)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = (own.root / "work").iterdir()

    def make(place: Path) -> None:
        assert not left.exists()
        (place / "a").write_bytes(b"x")
        own.tree("other", "making another", writing(b"y", []))
        assert (place / "a").is_file()

    assert own.tree("key", "making", make)["a"].content() == b"x"
    assert not list((own.root / "work").iterdir())


def gone(blob: Path) -> None:
    blob.unlink()


def cut(blob: Path) -> None:
    blob.chmod(0o644)
    blob.write_bytes(b"")


def written_to(blob: Path) -> None:
    """Change the content only: mode and size stay, as when root writes."""
    made = blob.stat().st_mtime_ns
    blob.chmod(0o644)
    blob.write_bytes(b"CONTENT")
    blob.chmod(0o444)
    os.utime(blob, ns=(made, made + 10**9))


def opened_and_written_to(blob: Path) -> None:
    blob.chmod(0o644)
    before = blob.stat()
    blob.write_bytes(b"CONTENT")
    os.utime(blob, ns=(before.st_atime_ns, before.st_mtime_ns))


TORN = {"gone": gone, "cut": cut, "written to": written_to, "opened and written to": opened_and_written_to}


@pytest.mark.parametrize("tear", TORN.values(), ids=TORN)
def test_a_torn_tree_is_made_anew(own: Cache, tear: Callable[[Path], None]) -> None:
    calls: list[int] = []
    path = own.tree("key", "making", writing(b"content", calls))["c"].path
    assert path is not None
    tear(path)
    assert own.tree("key", "making", writing(b"content", calls))["c"].content() == b"content"
    assert len(calls) == 2


def test_a_directory_never_hands_on_what_was_spoilt_through_its_links(own: Cache) -> None:
    place = own.directory("name", own.tree("key", "making", writing(b"content", [])))
    written_to(place / "c")
    again = own.directory("name", own.tree("key", "making", writing(b"content", [])))
    assert again == place
    assert (place / "c").read_bytes() == (place / "a" / "b").read_bytes() == b"content"


def test_a_directory_is_made_of_copies_where_nothing_can_be_linked(own: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    tree = own.tree("key", "making", writing(b"content", []))
    place = own.directory("name", tree)
    made = (place / "c").stat()
    (place / "mark").touch()
    assert own.directory("name", tree) == place
    assert (place / "c").read_bytes() == b"content"
    assert (place / "mark").exists()  # nothing was made anew
    (place / "c").unlink()
    (place / "c").write_bytes(b"cut")
    os.utime(place / "c", ns=(made.st_atime_ns, made.st_mtime_ns))
    assert own.directory("name", tree) == place
    assert (place / "c").read_bytes() == b"content"


def test_a_blob_that_another_tree_spoilt_is_not_taken_for_the_new_one(own: Cache) -> None:
    path = own.tree("first", "making", writing(b"content", []))["c"].path
    assert path is not None
    written_to(path)
    assert own.tree("second", "making", writing(b"content", []))["c"].content() == b"content"


def opened(link: Path) -> None:
    link.chmod(0o644)


def touched(link: Path) -> None:
    later = link.stat().st_mtime_ns + 10**9
    os.utime(link, ns=(later, later))


@pytest.mark.parametrize("change", [opened, touched])
def test_a_link_that_was_changed_but_holds_the_same_is_left_alone_and_the_cache_keeps_a_copy(
    own: Cache, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    calls: list[int] = []
    path = own.tree("key", "making", writing(b"content", calls))["c"].path
    assert path is not None
    link = tmp_path / "link"
    link.hardlink_to(path)
    change(link)
    facts = link.stat()
    for _ in range(2):
        again = own.tree("key", "making", writing(b"content", calls))["c"]
        assert again.content() == b"content"
    assert len(calls) == 1
    assert link.stat().st_mode == facts.st_mode
    assert link.stat().st_mtime_ns == facts.st_mtime_ns
    assert path.stat().st_mode & 0o777 == 0o444
    assert path.stat().st_nlink == 1
    assert not list((own.root / "work").iterdir())


def test_a_copy_that_the_cache_keeps_is_taken_as_it_is_from_then_on(own: Cache, tmp_path: Path) -> None:
    path = own.tree("key", "making", writing(b"content", []))["c"].path
    assert path is not None
    (tmp_path / "link").hardlink_to(path)
    touched(tmp_path / "link")
    own.tree("key", "making", writing(b"content", []))
    kept = path.stat()
    own.tree("key", "making", writing(b"content", []))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert not path.samefile(tmp_path / "link")


@pytest.mark.parametrize("mode", [0o644, 0o464, 0o446], ids=["its owner", "its group", "everyone"])
def test_a_blob_that_anyone_may_write_is_read_before_it_is_trusted(own: Cache, mode: int) -> None:
    calls: list[int] = []
    path = own.tree("key", "making", writing(b"content", calls))["c"].path
    assert path is not None
    opened_and_written_to(path)
    path.chmod(mode)
    assert own.tree("key", "making", writing(b"content", calls))["c"].content() == b"content"
    assert len(calls) == 2


def test_a_cache_that_keeps_no_copy_works_as_well(own: Cache) -> None:
    path = own.tree("key", "making", writing(b"content", []))["c"].path
    assert path is not None
    touched(path)
    (own.root / "work").rmdir()
    assert own.tree("key", "making", writing(b"content", []))["c"].content() == b"content"


def test_each_key_has_its_own_tree_and_equal_content_its_one_file(own: Cache) -> None:
    first = own.tree("one", "making", writing(b"content", []))["c"].path
    assert first is not None
    number = first.stat().st_ino
    assert own.tree("two", "making", writing(b"other", []))["c"].content() == b"other"
    assert own.tree("three", "making", writing(b"content", []))["c"].path == first
    assert own.tree("one", "making", writing(b"x", []))["c"].content() == b"content"
    assert first.stat().st_ino == number
    assert not list((own.root / "work").iterdir())


def test_a_directory_is_that_of_its_name_and_files(own: Cache) -> None:
    one = own.tree("one", "making", writing(b"content", []))
    two = own.tree("two", "making", writing(b"other", []))
    places = [
        own.directory("a", one),
        own.directory("b", one),
        own.directory("a", two),
        own.directory("a", {"c": one["c"]}),
    ]
    assert len(set(places)) == 4
    assert [place.name.partition("-")[0] for place in places] == ["a", "b", "a", "a"]
    (places[0] / "c").unlink()
    assert own.directory("a", one) == places[0]
    assert (places[0] / "c").read_bytes() == b"content"
    assert sorted(path.name for path in places[0].parent.iterdir()) == sorted(place.name for place in places)


def test_a_directory_that_another_process_makes_meanwhile_is_taken(own: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, rename = own.tree("key", "making", writing(b"content", [])), Path.rename

    def overtaken(self: Path, target: Path) -> Path:
        target.mkdir()
        (target / "c").write_bytes(b"theirs")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    place = own.directory("name", tree)
    assert (place / "c").read_bytes() == b"theirs"
    assert list(place.parent.iterdir()) == [place]


def test_a_torn_listing_is_made_anew(own: Cache) -> None:
    calls: list[int] = []
    own.tree("key", "making", writing(b"x", calls))
    (listing,) = (own.root / "trees").iterdir()
    listing.write_text("{")
    own.tree("key", "making", writing(b"x", calls))
    assert len(calls) == 2


def test_several_at_once_do_not_disturb_each_other(own: Cache) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: own.tree("key", "making", writing(b"x", []))["c"].content(), range(24)))
    assert set(found) == {b"x"}
    assert not list((own.root / "work").iterdir())


def test_files_of_the_cache_are_read_only_and_a_directory_links_them(own: Cache) -> None:
    tree = own.tree("key", "making", writing(b"x", []))
    place = own.directory("name", tree)
    assert own.directory("name", tree) == place
    path = tree["c"].path
    assert path is not None
    assert (place / "a" / "b").samefile(path)
    assert path.stat().st_mode & 0o777 == 0o444


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Stop, match="the cache cannot be written: Not a directory"):
        Cache(tmp_path / "file").tree("key", "making", writing(b"x", []))
    with pytest.raises(Stop, match="the cache cannot be written: Not a directory"):
        Cache(tmp_path / "file").directory("name", {"c": of_bytes(b"x")})


ROOTS = {
    "the variable": ({"XDG_CACHE_HOME": "/c"}, Path("/c/tritonrepo")),
    "none": ({}, Path.home() / ".cache" / "tritonrepo"),
    "an empty one counts as none": ({"XDG_CACHE_HOME": ""}, Path.home() / ".cache" / "tritonrepo"),
    "a relative one counts as none": ({"XDG_CACHE_HOME": "c"}, Path.home() / ".cache" / "tritonrepo"),
}


@pytest.mark.parametrize(("environment", "root"), ROOTS.values(), ids=ROOTS)
def test_the_cache_lies_where_the_xdg_specification_says(environment: dict[str, str], root: Path) -> None:
    assert default_root(environment) == root


def wheel(place: Path, *members: str) -> Path:
    path = place / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "x-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: x\nVersion: 1\nRequires-Dist: nowhere\n"
        )
        archive.writestr("x-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        for member in members:
            archive.writestr(member, b"content")
    return path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of wheels that pip uses instead of an index."""
    place = tmp_path / "shelf"
    place.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    return place


def test_a_wheel_is_downloaded_by_pip_once_and_unpacked(
    own: Cache, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it depends on is not downloaded, and a user's own warnings do not end pip."""
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    made = wheel(shelf, "x/model/a", "x/b")
    sha256 = hashlib.sha256(made.read_bytes()).hexdigest()
    found, pin = package.unpacked("x==1", WheelTag("x86_64"), own, None, AT)
    made_size = len(made.read_bytes())
    made.unlink()
    again = package.unpacked("x==1", WheelTag("x86_64"), own, Pin(sha256, "x-1-py3-none-any.whl"), AT)
    assert (again[1], sorted(again[0])) == (pin, sorted(found))
    assert pin == Pin(sha256, "x-1-py3-none-any.whl", size=made_size)
    with pytest.raises(Stop) as stop:
        package.unpacked("x==1", WheelTag("x86_64"), own, Pin("0" * 64, "x-1-py3-none-any.whl"), AT)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.severity, told.at) == ("source-changed", Severity.FATAL, AT)
    assert told.message == (
        f"x==1 is x-1-py3-none-any.whl {sha256[:12]}…, but the lock pins x-1-py3-none-any.whl 000000000000…"
    )
    assert told.hint == (
        "Check why the file of this version has changed. To accept it, run `tritonrepo lock --upgrade package:x==1`."
    )
    own_files = {path: file.content() for path, file in found.items() if ".dist-info" not in path}
    assert own_files == {"x/b": b"content", "x/model/a": b"content"}
    assert pin.file == "x-1-py3-none-any.whl"
    assert len(pin.sha256) == 64


def tagged(place: Path, name: str, *tags: str) -> None:
    """Write a wheel for each tag, with a library that says which one it is."""
    for tag in tags:
        with zipfile.ZipFile(place / f"{name}-1-{tag}.whl", "w") as archive:
            archive.writestr(f"{name}-1.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
            archive.writestr(f"{name}-1.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
            archive.writestr(f"{name}/core.so", tag)
            archive.writestr(f"{name}/__init__.py", "")


WHEELS = {
    "of its own Python": ("bound", WheelTag("x86_64", "3.12"), "cp312-cp312-manylinux_2_28_x86_64"),
    "of another one": ("bound", WheelTag("x86_64", "3.11"), "cp311-cp311-manylinux_2_28_x86_64"),
    "of another processor": ("bound", WheelTag("aarch64", "3.12"), "cp312-cp312-manylinux_2_28_aarch64"),
    "of every Python": ("free", WheelTag("x86_64", "3.12"), "cp310-abi3-manylinux_2_28_x86_64"),
    "of every Python on another processor": ("free", WheelTag("aarch64", "3.11"), "cp310-abi3-manylinux_2_28_aarch64"),
}


@pytest.fixture
def packages(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two packages that steps could carry: `bound` has a wheel for each Python, `free` one for all."""
    tagged(shelf, "bound", *(f"cp{p}-cp{p}-manylinux_2_28_{a}" for p in (311, 312) for a in ("x86_64", "aarch64")))
    tagged(shelf, "free", *(f"cp310-abi3-manylinux_2_28_{a}" for a in ("x86_64", "aarch64")))
    monkeypatch.setattr(vendored, "VERSIONS", {"bound": "1", "free": "1"})
    monkeypatch.setattr(vendored, "NATIVE", frozenset({"bound", "free"}))
    monkeypatch.setattr(vendored, "EVERY_PYTHON", frozenset({"free"}))


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(("name", "tag", "wheel"), WHEELS.values(), ids=WHEELS)
def test_a_vendored_package_is_that_of_the_servers_processor_and_python(
    own: Cache, name: str, tag: WheelTag, wheel: str
) -> None:
    for _ in ("downloaded", "cached"):
        found, pins = vendored.vendored({name}, tag, own, {}, AT)
        assert found[name][f"{name}/core.so"].content().decode() == wheel
        assert pins[f"package:{name}==1"].file == f"{name}-1-{wheel}.whl"


@pytest.mark.usefixtures("packages")
def test_two_servers_differ_in_the_packages_whose_wheels_differ() -> None:
    here = WheelTag("x86_64", "3.11")
    names = {"bound", "free", "unknown"}
    assert vendored.differing(names, here, here) == set()
    assert vendored.differing(names, WheelTag("x86_64", "3.12"), here) == {"bound"}
    assert vendored.differing(names, WheelTag("aarch64", "3.11"), here) == {"bound", "free"}


@pytest.mark.usefixtures("packages")
def test_a_cache_keeps_the_wheel_of_each_processor_and_python_apart(own: Cache) -> None:
    tags = [WheelTag("x86_64", "3.12"), WheelTag("aarch64", "3.12"), WheelTag("aarch64", "3.11")]
    for tag in (*tags, *tags):
        found, _ = vendored.vendored({"bound"}, tag, own, {}, AT)
        said = found["bound"]["bound/core.so"].content().decode()
        assert said.startswith(f"cp{(tag.python or '').replace('.', '')}-")
        assert said.endswith(tag.arch)


PLATFORMS = {
    "the glibc of the oldest image": ("cp310-abi3-manylinux_2_28_aarch64", True),
    "an older glibc": ("cp310-abi3-manylinux_2_17_aarch64", True),
    "an older glibc by its old name": ("cp310-cp310-manylinux2014_aarch64", True),
    "a later glibc": ("cp310-abi3-manylinux_2_34_aarch64", False),
    "a later Python": ("cp311-abi3-manylinux_2_28_aarch64", False),
    "another processor": ("cp310-abi3-manylinux_2_28_x86_64", False),
}


@pytest.mark.parametrize(("tag", "good"), PLATFORMS.values(), ids=PLATFORMS)
def test_a_source_is_a_wheel_that_runs_on_the_oldest_python_and_that_processor(
    own: Cache, shelf: Path, tag: str, *, good: bool
) -> None:
    """Triton 24.10 has Python 3.10 on Ubuntu 22.04."""
    tagged(shelf, "x", tag)
    source = parse_source("package:x==1/x/core.so")
    if good:
        found = resolve(source, "aarch64", own, None, AT)
        assert (list(found.files), found.files["core.so"].content()) == (["core.so"], tag.encode())
        assert found.pin.file == f"x-1-{tag}.whl"
    else:
        with pytest.raises(Stop, match=r"stack.yaml:3:5: fatal: x==1 cannot be downloaded .source-package."):
            resolve(source, "aarch64", own, None, AT)


MEMBERS = (
    "Bound/__init__.py",
    "Bound/core.so",
    "Bound/core.pyi",
    "Bound/py.typed",
    "Bound/below/a.py",
    "Bound-1.dist-info/licenses/LICENSE.txt",
    "Bound-1.dist-info/license.md",
    "Bound-1.dist-info/COPYING",
)
TAKEN = {"bound/LICENSE.txt", "bound/license.md", "Bound/__init__.py", "Bound/below/a.py"}


@pytest.mark.parametrize(
    ("native", "taken"), [(["bound"], TAKEN | {"Bound/core.so"}), ([], TAKEN)], ids=["native", "of Python alone"]
)
def test_a_step_gets_code_libraries_where_they_belong_and_licences(
    own: Cache, shelf: Path, monkeypatch: pytest.MonkeyPatch, native: list[str], taken: set[str]
) -> None:
    tagged(shelf, "Bound", "py3-none-any")
    with zipfile.ZipFile(shelf / "Bound-1-py3-none-any.whl", "a") as archive:
        for member in {*MEMBERS} - {*archive.namelist()} - {"Bound/__init__.py"}:
            archive.writestr(member, "content")
    monkeypatch.setattr(vendored, "VERSIONS", {"bound": "1"})
    monkeypatch.setattr(vendored, "NATIVE", frozenset(native))
    found, pins = vendored.vendored({"bound"}, WheelTag("x86_64", "3.12"), own, {}, AT)
    assert set(found["bound"]) == taken
    with pytest.raises(Stop, match=r"but the lock pins other\.whl"):
        vendored.vendored(
            {"bound"}, WheelTag("x86_64", "3.12"), own, {**pins, "package:bound==1": Pin("0", "other.whl")}, AT
        )


def test_a_path_in_a_wheel_is_a_file_or_a_directory(own: Cache, shelf: Path) -> None:
    wheel(shelf, "x/model/a", "x/b", "top.py")
    for text, paths in (
        ("package:x==1/top.py", ["top.py"]),
        ("package:x==1/x/model", ["a"]),
        ("package:x==1/x/b", ["b"]),
        ("package:x==1/x", ["b", "model/a"]),
        ("package:x==1", ["top.py", "x-1.dist-info/METADATA", "x-1.dist-info/WHEEL", "x/b", "x/model/a"]),
    ):
        assert sorted(resolve(parse_source(text), "x86_64", own, None, AT).files) == paths
    with pytest.raises(Stop) as stop:
        resolve(parse_source("package:x==1/x/mod"), "x86_64", own, None, AT)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.at) == ("source-missing", AT)
    assert told.message == '"x/mod" does not exist in package:x==1'
    assert told.hint == "Check the path. The source contains: top.py, x, x-1.dist-info, x/model."


def test_another_wheel_than_the_pinned_one_is_refused(own: Cache, shelf: Path) -> None:
    wheel(shelf, "x/a")
    with pytest.raises(
        Stop, match=r"^stack.yaml:3:5: fatal: x==1 is x-1-py3-none-any.whl .*, but the lock pins old.whl"
    ):
        package.unpacked("x==1", WheelTag("x86_64"), own, Pin("0" * 64, "old.whl"), AT)


@pytest.mark.parametrize("member", ["../../evil", "/tmp/evil", "x/../../../evil"])
def test_a_wheel_that_leads_out_of_itself_is_refused(own: Cache, shelf: Path, tmp_path: Path, member: str) -> None:
    wheel(shelf, member)
    with pytest.raises(Stop, match=re.escape(f"contains the path {member}, which is outside the wheel")):
        package.unpacked("x==1", WheelTag("x86_64"), own, None, AT)
    assert not list(tmp_path.rglob("evil"))


def test_a_link_in_a_wheel_becomes_a_plain_file(own: Cache, shelf: Path) -> None:
    link = zipfile.ZipInfo("x/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(wheel(shelf, "x/a"), "a") as archive:
        archive.writestr(link, "/etc/hostname")
        archive.writestr("x/link2/below", "content")
    found, _ = package.unpacked("x==1", WheelTag("x86_64"), own, None, AT)
    assert found["x/link"].content() == b"/etc/hostname"


@pytest.mark.usefixtures("shelf")
def test_a_package_that_is_nowhere_is_told_with_pips_words(own: Cache) -> None:
    with pytest.raises(Stop, match=r"x==1 cannot be downloaded(?s:.*)No matching distribution found"):
        package.unpacked("x==1", WheelTag("x86_64"), own, None, AT)


PIP_SAYS = {
    "errors": ("WARNING: x\nERROR: no version\nERROR: none at all\n", "ERROR: no version\nERROR: none at all"),
    "a traceback": (
        "ERROR: Exception:\nTraceback\n  File\nOSError: [Errno 28] No space left",
        "OSError: [Errno 28] No space left",
    ),
    "other words": ("a\nb\n", "b"),
    "nothing": ("", "pip said nothing"),
}


@pytest.mark.parametrize(("said", "reason"), PIP_SAYS.values(), ids=PIP_SAYS)
def test_of_what_pip_says_the_cause_is_told(said: str, reason: str) -> None:
    assert package.reason(said) == reason


def test_a_python_without_pip_is_told(own: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # noqa: ARG005
    with pytest.raises(Stop, match=r"has no pip to download it (?s:.*)ensurepip"):
        package.unpacked("x==1", WheelTag("x86_64"), own, None, AT)


def test_a_directory_counts_from_the_stack_file(own: Cache, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "a").write_bytes(b"1")
    at = Span(str(tmp_path / "stack.yaml"), 1, 1)
    resolved = resolve(parse_source("./weights"), "x86_64", own, None, at)
    assert list(resolved.files) == ["a"]
    assert list(resolve(parse_source("./weights/a"), "x86_64", own, None, at).files) == ["a"]
    (tmp_path / "weights" / "a").write_bytes(b"2")
    assert resolve(parse_source("./weights"), "x86_64", own, None, at).pin != resolved.pin


LINKS = {
    "a file of the source": ("weights/a", "b", "weights/a"),
    "the source": ("weights", ".", "stack.yaml"),
    "the one file of the source": ("weights", "b", "stack.yaml"),
}


@pytest.mark.parametrize(("link", "target", "place"), LINKS.values(), ids=LINKS)
def test_a_link_out_of_the_stack_is_refused_and_followed_where_it_is_allowed(
    own: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str, target: str, place: str
) -> None:
    shared = tmp_path / "shared"
    for directory in (shared, (tmp_path / "stack" / link).parent):
        directory.mkdir(parents=True)
    (shared / "b").write_bytes(b"1")
    (tmp_path / "stack" / link).symlink_to(shared / target)
    monkeypatch.chdir(tmp_path / "stack")
    with pytest.raises(Stop) as stop:
        resolve(parse_source("./weights"), "x86_64", own, None, AT)
    (told,) = stop.value.diagnostics
    assert (told.rule, told.at.path) == ("store-link", place)
    allowed = resolve(parse_source("./weights"), "x86_64", own, None, AT, links=[shared])
    assert [file.content() for file in allowed.files.values()] == [b"1"]


def test_what_is_not_there_is_told_with_its_place(own: Cache) -> None:
    with pytest.raises(Stop, match=r'stack.yaml:3:5: fatal: "./nowhere" does not exist'):
        resolve(parse_source("./nowhere"), "x86_64", own, None, AT)
