"""What a Python interpreter knows about itself, as far as it matters to the server; nothing heavy is imported.

Called in this process for the running interpreter, and as a script (facts as one JSON line) for another one: so it
uses only what every Python 3 understands, and the standard library.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import sysconfig
from typing import Any


def facts(needs: list[str]) -> dict[str, Any]:
    """Return the facts as plain JSON values; `missing` holds those of `needs` that cannot be imported."""
    library, trouble = libpython()
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "glibc": glibc(),
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "executable": sys.executable,
        "is_python3": is_python3(sys.executable),
        "libpython": library,
        "libpython_trouble": trouble,
        "wheel": wheel(),
        "wheel_version": version_of("nvidia-pytriton"),
        "numpy": version_of("numpy"),
        "missing": [name for name in needs if importlib.util.find_spec(name) is None],
    }


def glibc() -> str:
    """Return glibc's version, such as `2.41`; empty if the C library is a different one."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, ValueError, OSError):
        return ""
    return version if name == "glibc" else ""


def is_python3(executable: str) -> bool:
    """Return whether `python3` next to this executable is the same interpreter.

    The stub starts as if it were the first `python3` on PATH, and uses that one's packages (tried on Triton 24.10).
    """
    beside = os.path.join(os.path.dirname(executable), "python3")  # noqa: PTH118, PTH120  no pathlib, for old Pythons
    return os.path.realpath(beside) == os.path.realpath(executable)


def libpython() -> tuple[str, str]:
    """Return the path of the shared libpython that loads and "", or "" and why the most likely one does not load."""
    name = "libpython{}.{}.so.1.0".format(*sys.version_info)
    libdir = sysconfig.get_config_var("LIBDIR") or ""
    # Relocated builds (uv before 0.5.10) name the build machine's LIBDIR: their library is below the prefix.
    folders = [libdir, os.path.join(libdir, sysconfig.get_config_var("MULTIARCH") or ""), sys.base_prefix + "/lib"]  # noqa: PTH118
    trouble = ""
    for path in [*(os.path.join(folder, name) for folder in folders if folder), name]:  # noqa: PTH118
        try:
            ctypes.CDLL(path)
        except OSError as error:
            trouble = trouble or str(error)
        else:
            return path, ""
    return "", trouble


def wheel() -> str:
    """Return the site-packages directory that contains pytriton; empty if it is not installed."""
    spec = importlib.util.find_spec("pytriton")
    return os.path.dirname(os.path.dirname(spec.origin)) if spec and spec.origin else ""  # noqa: PTH120


def version_of(distribution: str) -> str:
    """Return an installed distribution's version; empty if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    print(json.dumps(facts(sys.argv[1:])))  # noqa: T201  a script's answer
