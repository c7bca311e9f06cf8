"""Check what is in a built wheel and source distribution: python -m scripts.package DIRECTORY.

The wheel must have each file of the package and the schemas, and nothing else; the source distribution must also have
what builds and tests it.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOP = ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "pyproject.toml", ".ci/run")
FOLDERS = ("tritonrepo", "schemas", "tests", "docs", "examples", "benchmarks", "scripts")


def here(folder: str) -> set[str]:
    """Return the paths of the files of a folder, without what Python and a build of an example wrote there."""
    found = {path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    ignored = {path for path in found if "model_repository" in path.parts or path.name.startswith(".tritonrepo-")}
    return {path.relative_to(ROOT).as_posix() for path in found - ignored}


def wrong_wheel(path: Path) -> Iterator[str]:
    """Yield what is missing in the wheel, and what should not be there."""
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
    name = "-".join(path.name.split("-")[:2])
    info, shared = f"{name}.dist-info/", f"{name}.data/data/share/tritonrepo/"
    want = here("tritonrepo") | {f"{shared}{each}" for each in here("schemas")}
    want |= {info + each for each in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    yield from (f"the wheel lacks {each}" for each in sorted(want - names))
    yield from (f"the wheel has {each}" for each in sorted(names - want))


def wrong_sdist(path: Path) -> Iterator[str]:
    """Yield what is missing in the source distribution, and what comes from elsewhere."""
    with tarfile.open(path) as sdist:
        names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    want = {*TOP, "PKG-INFO"}.union(*map(here, FOLDERS))
    yield from (f"the sdist lacks {each}" for each in sorted(want - names))
    more = {each for each in names - want if each.partition("/")[0] in {*FOLDERS, ".git"}}
    yield from (f"the sdist has {each}" for each in sorted(more))


def main() -> int:
    """Print what is wrong, and return 1 if anything is."""
    place = Path(sys.argv[1])
    (wheel,), (sdist,) = place.glob("*.whl"), place.glob("*.tar.gz")
    found = [*wrong_wheel(wheel), *wrong_sdist(sdist)]
    print("\n".join(found) or f"{wheel.name} and {sdist.name} are complete")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
