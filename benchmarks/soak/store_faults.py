"""Push through every fault of tests/faults.py, on each kind of store, and again without it.

    python -m benchmarks.soak.store_faults [--write]

Writes benchmarks/store_faults.md. In each cell, a push goes through the fault, and then one directly. Laws: the first
ends with a message and exit code 0, 1 or 2, never with a bug; what it leaves has no config that names a version whose
files are not all there as they were built; the second one completes it, and only the record stays beside the prefix.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.faults import FAULTS, Place, impatient, place, through
from tests.pushes import beside, own_files, push, repository, stored
from tests.servers.gcs import GCSServer, fake_gcs
from tests.servers.s3 import CREDENTIALS, S3Server, seaweed

OUT = Path(__file__).parents[1] / "store_faults.md"
LARGE = b"x" * ((8 << 20) + 1)
VERSIONS = re.compile(rb"versions: \[ ([^\]]*) \]")


def replaced(directory: Path, there: Place) -> Path:
    """Return what is pushed over another release."""
    assert push(repository(directory / "first", 1), there.direct) == 0
    return repository(directory / "second", 2)


def interrupted(directory: Path, there: Place) -> Path:
    """Return what is pushed where a push was interrupted, in the middle of a file that is sent in parts."""
    second = replaced(directory, there)
    (second / "leaf" / "2" / "0-weights").write_bytes(LARGE)
    with through(there, FAULTS["403 to writes in the middle"]) as uri:
        assert push(second, uri) in {1, 2}
    return second


OPERATIONS = {"of a new release": replaced, "after an interrupted one": interrupted}


def broken(there: Mapping[str, bytes], sources: Sequence[Mapping[str, bytes]]) -> list[str]:
    """Return what is wrong with what a bucket has: configs that name versions which are not whole."""
    found = []
    for path, text in there.items():
        match = VERSIONS.search(text) if path.endswith("/config.pbtxt") else None
        name = path.partition("/")[0]
        if match is None or f'name: "{name}"'.encode() not in text:
            continue
        for number in match[1].decode().split(","):
            head = f"{name}/{number.strip()}/"
            whole = [{p: c for p, c in each.items() if p.startswith(head)} for each in sources]
            have = {p: c for p, c in there.items() if p.startswith(head)}
            if have not in [each for each in whole if each]:
                found.append(f"{path} names {number.strip()}, whose files are {sorted(have)}")
    return found


def cell(fault: str, operation: str, there: Place) -> str:
    """Return what came of a push through a fault; raise AssertionError if a law does not hold."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as given, contextlib.redirect_stdout(io.StringIO()):
        with contextlib.redirect_stderr(io.StringIO()):
            want = OPERATIONS[operation](Path(given), there)
        with contextlib.redirect_stderr(said), through(there, FAULTS[fault]) as uri:
            code = push(want, uri)
        sources = [own_files(path) for path in Path(given).iterdir()]
        assert code in {0, 1, 2}, said.getvalue()
        assert code == 0 or not FAULTS[fault].harmless, said.getvalue()
        assert not (wrong := broken(stored(there.direct), sources)), wrong
        again = io.StringIO()
        with contextlib.redirect_stderr(again):
            assert push(want, there.direct) == 0, again.getvalue()
        assert stored(there.direct).items() >= own_files(want).items()
        assert beside(there.direct) == ["release.json"], beside(there.direct)
    rules = re.findall(r"\[([a-z-]+)\]$", said.getvalue(), re.MULTILINE)
    return "completes" if code == 0 else f"exit {code}: " + ", ".join(dict.fromkeys(rules))


@contextlib.contextmanager
def servers() -> Iterator[dict[str, S3Server | GCSServer]]:
    """Yield the servers."""
    os.environ.update(CREDENTIALS)
    with contextlib.ExitStack() as stack:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("s3", "gcs"):
            (where / name).mkdir()
        s3, gcs = stack.enter_context(seaweed(where / "s3")), stack.enter_context(fake_gcs(where / "gcs"))
        os.environ["STORAGE_EMULATOR_HOST"] = gcs.endpoint
        yield {"S3": s3, "Google Cloud Storage": gcs}


def main() -> int:
    """Run all cells and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="", help="part of the name of a cell: fault, operation, store")
    chosen = parser.parse_args()
    lines, failed = list[str](), 0
    with servers() as found, impatient():
        lines.append(f"| fault | push | {' | '.join(found)} |\n|---|---|{'---|' * len(found)}")
        for fault in FAULTS:
            for operation in OPERATIONS:
                cells = []
                for name, server in found.items():
                    if chosen.only not in f"{fault}, {operation}, {name}":
                        continue
                    began = time.monotonic()
                    try:
                        cells.append(cell(fault, operation, place(server)))
                    except AssertionError as error:
                        cells.append("**broken**")
                        failed += 1
                        print(f"{fault}, {operation}, {name}: {error}", file=sys.stderr, flush=True)
                    print(f"{fault}, {operation}, {name}: {cells[-1]} ({time.monotonic() - began:.1f} s)", flush=True)
                lines.append(f"| {fault} | {operation} | {' | '.join(cells)} |")
    if chosen.write:
        OUT.write_text(ABOUT + "\n".join(lines) + "\n", "utf-8")
    return 1 if failed else 0


ABOUT = """# A push through faults of the network and the store

What comes of `push` when the network or the store does this to its requests, on SeaweedFS and on an emulator of Google
Cloud Storage, each behind a proxy, by `python -m benchmarks.soak.store_faults --write`. In every cell, no config names
a version whose files are not complete, and the next push, without the fault, completes the release and leaves nothing
but the release record beside it.

"""

if __name__ == "__main__":
    sys.exit(main())
