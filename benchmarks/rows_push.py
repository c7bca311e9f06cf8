"""The rows of pushes to a real S3 server on this machine: SeaweedFS, which shares the processors with its clients.

s5cmd is optional: where neither TRITONREPO_S5CMD nor PATH leads to it, its rows are left out.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import obstore

from benchmarks.pairs import Row, Side, command, paired, ran, ratio
from tests.servers.s3 import CREDENTIALS, S3Server, seaweed
from tritonrepo.stores import open_store
from tritonrepo.stores.s3 import S3Store

if TYPE_CHECKING:
    from obstore import PutMode

MODELS, FILES, PART = 100, 50, 4
"""How many models are pushed, of how many files each; how many times as many when memory is measured."""

SIZE, FEW, TINY = 1 << 30, 128 << 20, 16 << 20
"""The bytes of a large file, of a smaller one, which is sent in parts as well, and of the one of a small run."""

AT_ONCE, AGAIN, ONCE = 16, 5, 2
FIRST, BARE, LARGE, PLANNED_S, OBJECT_KIB, SIZE_MIB = 1.25, 1.0, 1.05, 1.0, 1.0, 16
"""The goals: over bare puts and over s5cmd; of a large file; of its plan; memory of an object, and of size."""

CONFIG = """backend: "python"
max_batch_size: 8
input { name: "X" data_type: TYPE_FP32 dims: 4 }
output { name: "Y" data_type: TYPE_FP32 dims: 4 }
version_policy { specific { versions: 1 } }
"""
CODE = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
STARTED = (
    "Python, click, boto3 and its client of S3 take 0.5 s of a processor before the first request, as long as all that"
    " s5cmd does; reading and hashing 5,000 files, the pages of the listing and the plan take 0.4 s more. Half is gone"
    " of what it took: the rules and what only stacks and servers need are not imported, a model that is the same"
    " in both is read once, and no cycles are searched. Tried in vain: botocore without boto3, which saves 7 %; pages"
    " parsed with ElementTree, which is slower; one client in place of two, which saves 1 %."
)
GUARDED = (
    "each model has two conditional writes of its config more, and what was sent is listed after each step: obstore"
    " itself needs 1.2 times as long with these requests. Without the first config, a server could load a model of"
    " which files are missing; without the listings, a push would publish what somebody else changes meanwhile."
)
STARTING = (
    "Python starts, and the repository is read, judged and compared before the first request, which takes 0.8 s of a"
    " processor; at each file, the lock, the file's state, its SHA-256 and the store's tag are checked, which takes"
    " 0.1 ms of the processors that the store needs as well."
)
PARTS = (
    "a push takes 1 s from its start to the first part and from the last part to the record, as a small one does."
    " The MD5 and the SHA-256 of each part and the SHA-256 of the file take 3.5 s of the processors, which the store"
    " needs as well: the MD5 is compared with the store's tag, the SHA-256 of a part signs its request, and that of the"
    " file is recorded. They are computed while other parts are sent. Rounds differ by half."
)
KNOWN = (
    "of the local scan, a file's path, place and state take 330 bytes; its action, 100; its SHA-256 and tag, 160; its"
    " lines in the record, 150; the rest are gaps in memory that was used before. Nothing of a listing that verifies is"
    " kept, and texts are shared."
)


class Bench(NamedTuple):
    """The server, s5cmd or "", and how often something is done again, and for the first time."""

    server: S3Server
    s5cmd: str
    again: int
    once: int

    def fresh(self) -> str:
        """Return the URI of a prefix that nobody has used."""
        return self.server.uri("models", f"{secrets.token_hex(5)}/prod")

    def sync(self, source: Path, uri: str) -> None:
        """Let s5cmd copy what is missing."""
        there = uri.replace(f"{self.server.endpoint}/", "", 1)
        ran([self.s5cmd, "--endpoint-url", self.server.endpoint, "sync", f"{source}/", f"{there}/"])

    def sides(self, source: Path) -> tuple[Side, ...]:
        """Return the ways to send a directory to a prefix that is not there."""
        found = [Side("push", lambda: push(source, self.fresh())), Side("obstore", lambda: put(source, self.fresh()))]
        return (*found, *([Side("s5cmd", lambda: self.sync(source, self.fresh()))] if self.s5cmd else []))


def push(source: Path, uri: str, *options: str) -> float:
    """Push a directory, and return the peak of the memory in MiB."""
    return ran(command("push", str(source), uri, *options)).peak_mib


def put(source: Path, uri: str, *, guarded: bool = False) -> None:
    """Put the files of a directory by obstore alone, several at a time.

    If it is `guarded`, with the requests that a first push needs for its safety: each config is created before the
    other files, and overwritten after them if nobody else did, and after each of the three steps, all is listed.
    """
    store, prefix = open_store(uri)
    assert isinstance(store, S3Store)
    objects = store._at.objects  # noqa: SLF001  the same client and endpoint
    paths = [path for path in source.rglob("*") if path.is_file()]
    configs = [path for path in paths if guarded and path.name == "config.pbtxt"]
    tags = dict[Path, str | None]()

    def sent(path: Path) -> None:
        mode: PutMode = {"e_tag": tags[path]} if path in tags else "create" if path in configs else "overwrite"
        tags[path] = obstore.put(objects, f"{prefix}/{path.relative_to(source)}", path, mode=mode)["e_tag"]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for step in (configs, [path for path in paths if path not in {*configs}], configs):
            list(pool.map(sent, step))
            if guarded:
                list(obstore.list(objects, prefix))


def repository(place: Path, models: int, files: int, size: int = 0) -> Path:
    """Write a repository of so many models, each of so many files, or with one more of this size."""
    for number in range(models):
        version = place / f"model-{number}" / "1"
        version.mkdir(parents=True)
        (version.parent / "config.pbtxt").write_text(CONFIG, "utf-8")
        (version / "model.py").write_text(CODE, "utf-8")
        for each in range(files - 2):
            (version / f"part-{each}").write_text(f"{number} {each} " * 60, "utf-8")
        if size:
            with (version / "weights").open("wb") as stream:
                for _ in range(size >> 20):
                    stream.write(secrets.token_bytes(1 << 20))
    return place


def rows(folder: Path, *, small: bool) -> Iterator[Row]:
    """Yield the rows of many small files, of a large one, and of memory."""
    os.environ.update(CREDENTIALS, XDG_CACHE_HOME=str(folder / "cache"))
    found = os.environ.get("TRITONREPO_S5CMD") or shutil.which("s5cmd") or ""
    if not found:
        print("s5cmd is neither TRITONREPO_S5CMD nor on PATH: its rows are left out", file=sys.stderr)
    (folder / "server").mkdir()
    with seaweed(folder / "server") as server:
        bench = Bench(server, found, *((1, 1) if small else (AGAIN, ONCE)))
        models, files = (3, 4) if small else (MODELS, FILES)
        yield from many(bench, repository(folder / "many", models, files))
        yield from large(bench, repository(folder / "large", 1, 2, TINY if small else SIZE))
        yield from memory(bench, folder, (models, files), TINY if small else FEW)


def many(bench: Bench, source: Path) -> Iterator[Row]:
    """Yield the rows of many small files: the first push, and one that has nothing to do."""
    count = sum(path.is_file() for path in source.rglob("*"))
    same = Side("obstore, the same requests", lambda: put(source, bench.fresh(), guarded=True))
    first, guarded, bare, *others = paired(bench.once, bench.sides(source)[0], same, *bench.sides(source)[1:])
    yield ratio(f"first push of {count:,} small files / bare puts of obstore", first, bare, FIRST, GUARDED)
    yield ratio(f"first push of {count:,} small files / the same requests by obstore", first, guarded, FIRST, STARTING)
    for other in others:
        yield ratio(f"first push of {count:,} small files / `s5cmd sync`", first, other, BARE)
    ours, theirs = bench.fresh(), bench.fresh()
    push(source, ours)
    sides = [Side("push", lambda: push(source, ours))]
    if not bench.s5cmd:
        return
    for _ in range(2):
        bench.sync(source, theirs)
    again, other = paired(bench.again, *sides, Side("s5cmd", lambda: bench.sync(source, theirs)))
    yield ratio(f"push of {count:,} files, nothing changed / `s5cmd sync`", again, other, BARE, STARTED)


def large(bench: Bench, source: Path) -> Iterator[Row]:
    """Yield the rows of a large file: sent, and planned once its digest is known."""
    size = max(path.stat().st_size for path in source.rglob("*"))
    name = f"a file of {size >> 20:,} MiB"
    first, *others = paired(bench.once, *bench.sides(source))
    best = min(others, key=lambda each: min(each.wall_s))
    yield ratio(
        f"push of {name} / the faster of {' and '.join(each.name for each in others)}", first, best, LARGE, PARTS
    )
    uri = bench.fresh()
    push(source, uri)
    hashed, *_ = paired(1, Side("first plan", partial(push, source, uri, "--dry-run", "--rehash")))
    again, *_ = paired(bench.again, Side("plan", partial(push, source, uri, "--dry-run")))
    yield Row(
        f"plan of a push of {name}, not changed",
        min(again.wall_s),
        "s",
        PLANNED_S,
        sides=(again, hashed),
        missed=STARTED,
    )


def memory(bench: Bench, folder: Path, shape: tuple[int, int], size: int) -> Iterator[Row]:
    """Yield the rows of the peak memory: how much more an object takes, and a larger file.

    All is judged anew: what is known to be accepted needs no rules, which take as much as thousands of files.
    """
    models, files = shape
    more = repository(folder / "more", models * PART, files)
    extra = push(more, bench.fresh(), "--rehash") - push(folder / "many", bench.fresh(), "--rehash")
    yield Row(
        "memory of a push for each further file",
        extra * 1024 / (models * files * (PART - 1)),
        "KiB",
        OBJECT_KIB,
        missed=KNOWN,
    )
    less = repository(folder / "less", 1, 2, size)
    extra = push(folder / "large", bench.fresh(), "--rehash") - push(less, bench.fresh(), "--rehash")
    yield Row("memory of a push of the large file over that of a small one", max(extra, 0.0), "MiB", SIZE_MIB)
