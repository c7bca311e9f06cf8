"""The third-party servers that tests may use: each starts and answers a real request, and is installed only once."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.processes import MARK, left, marked
from tests.servers import packages
from tests.servers.azure import ACCOUNT, KEY, azurite
from tests.servers.gcs import fake_gcs
from tests.servers.packages import Manager, Package, compose, installed
from tests.servers.postgres import postgres
from tests.servers.serving import HOST, EndedError, Service, free_ports, served


def test_postgresql_orders_vectors_by_their_distance() -> None:
    with postgres() as server:
        said = server.ask(
            "create extension vector; create table t (name text, at vector(2));"
            "insert into t values ('far', '[9,9]'), ('near', '[1,1]');"
            "select name from t order by at <-> '[0,0]'"
        )
        assert said == "near\nfar\n"


def test_gcs_gives_back_what_was_put(tmp_path: Path) -> None:
    with fake_gcs(tmp_path) as server:
        upload = f"{server.endpoint}/upload/storage/v1/b/models/o?uploadType=media&name=m/config.pbtxt"
        urllib.request.urlopen(upload, b"max_batch_size: 8", timeout=30).close()
        with urllib.request.urlopen(f"{server.endpoint}/storage/v1/b/models/o?prefix=m/", timeout=30) as reply:
            (found,) = json.load(reply)["items"]
        assert (found["name"], found["size"]) == ("m/config.pbtxt", "17")
        with urllib.request.urlopen(found["mediaLink"], timeout=30) as reply:
            assert reply.read() == b"max_batch_size: 8"


def test_azure_gives_back_what_was_put_and_holds_a_condition(tmp_path: Path) -> None:
    import obstore
    from obstore.exceptions import AlreadyExistsError
    from obstore.store import AzureStore

    with azurite(tmp_path) as server:
        server.container("models")
        store = AzureStore(
            "models",
            account_name=ACCOUNT,
            account_key=KEY,
            endpoint=server.endpoint,
            client_options={"allow_http": True},
        )
        obstore.put(store, "m/config.pbtxt", b"max_batch_size: 8")
        assert bytes(obstore.get(store, "m/config.pbtxt").bytes()) == b"max_batch_size: 8"
        with pytest.raises(AlreadyExistsError):
            obstore.put(store, "m/config.pbtxt", b"", mode="create")


def test_compose_names_the_key_that_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {triton: {image: x, prots: []}}\n", "utf-8")
    command = [str(compose()), "config", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 15
    assert "Additional property prots is not allowed" in done.stderr


LISTENS = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); s.accept()"


def test_a_server_that_ends_before_it_answers_is_prepared_again_and_its_log_is_shown(tmp_path: Path) -> None:
    """Exit as a server does whose port is already in use."""
    (port,) = free_ports(1)
    with socket.create_server((HOST, port)):
        tried: list[Path] = []

        def prepared(place: Path) -> tuple[int, Service]:
            tried.append(place)
            return port, Service([sys.executable, "-c", LISTENS, str(port)], lambda: False)

        with pytest.raises(EndedError, match="Address already in use"), served(tmp_path, prepared):
            pytest.fail("it is not up")
    assert tried == [tmp_path / "1", tmp_path / "2", tmp_path / "3"]


def test_a_server_ends_with_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path.as_posix()
    command = ["bash", "-c", f"export {MARK}={mark}; sleep 600 & sleep 600"]
    with (
        pytest.raises(ZeroDivisionError),
        served(tmp_path, lambda _: (None, Service(command, lambda: len(marked(mark)) > 1))),
    ):
        raise ZeroDivisionError
    assert left(mark, within_s=2) == []


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A package from this test's index, which has one wheel."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "served_here-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("served_here/program", "#!/bin/sh\n")
        wheel.writestr("served_here-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: served-here\nVersion: 1.0\n")
        wheel.writestr("served_here-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("served_here-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return Package(Manager.PYPI, "served-here", "1.0", "served_here/program")


def test_a_package_is_installed_once_however_many_ask_and_what_a_killed_installer_left_is_not_taken_for_it(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Package] = []
    command = packages._command  # noqa: SLF001  what an installer is started with

    def counted(package: Package) -> list[str]:
        asked.append(package)
        return command(package)

    monkeypatch.setattr(packages, "_command", counted)
    half = tmp_path / "pypi" / "served-here" / "1.0.partial" / "served_here"
    half.mkdir(parents=True)
    (half / "half").touch()
    with ThreadPoolExecutor(4) as pool:
        found = {*pool.map(lambda _: installed(package, tmp_path), range(4))}
    assert found == {tmp_path / "pypi" / "served-here" / "1.0" / "served_here" / "program"}
    assert installed(package, tmp_path).read_text("utf-8") == "#!/bin/sh\n"
    assert [*found.pop().parent.iterdir()] == [installed(package, tmp_path)]
    assert asked == [package]


MISSING = {
    "a version that is not there": ({"version": "2.0"}, "served-here 2.0 cannot be installed: ERROR: Could not find"),
    "one to be asked for": ({"on_request": True}, "served-here 1.0 is installed on request only: TEST_SERVERS=served-"),
}


@pytest.mark.parametrize(("change", "reason"), MISSING.values(), ids=MISSING)
def test_what_is_missing_skips_the_test_with_the_reason(
    package: Package, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(pytest.skip.Exception, match=reason):
        installed(package._replace(**change), tmp_path)


def test_what_was_asked_for_is_installed(package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SERVERS", "other,served-here")
    assert installed(package._replace(on_request=True), tmp_path).is_file()
