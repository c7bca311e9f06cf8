"""Parse texts with C++ and with our parser, and show differences: `python -m benchmarks.soak.pbtxt --count 20000`.

Two judges. `server` is the parser inside the real Triton core of nvidia-pytriton, which reads every text as a model's
config.pbtxt at its start. `protoc` is the one of grpcio-tools, or another `_protoc_compiler` (`--compiler`), such as
grpcio-tools 1.51's, which is of the server's own protobuf 21. Verdicts are kept by the text's digest (`--cache`), so
that a second run judges only what is new. `--write FILE --count 1000` makes tests/data/pbtxt_verdicts.json.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.pbtxt_descriptors import descriptor_set
from tests.pbtxt_texts import RELEASE, text
from tests.protoc import verdicts
from tritonrepo.pbtxt import parse

BATCH = 500
MARK = b"Error parsing text-format inference.ModelConfig: "
POLLED = b"Poll failed for model directory '"
CRASHES = b"model_repository_agents"
"""An empty one of these crashes the server before it has read the texts that follow."""

Log = tuple[str, ...]


def digest(made: bytes) -> str:
    """Return the name of a text's verdict."""
    return hashlib.sha256(made).hexdigest()[:16]


def by_protoc(texts: Sequence[bytes], compiler: Path | None) -> Iterator[Log]:
    """Return protoc's lines on each text."""
    return (verdict.log for verdict in verdicts(texts, descriptor_set(RELEASE), compiler))


def by_server(texts: Sequence[bytes]) -> Iterator[Log]:
    """Yield the server's lines on each text, with many models per start."""
    for first in range(0, len(texts), BATCH):
        yield from _start(texts[first : first + BATCH])


def _start(texts: Sequence[bytes]) -> list[Log]:
    with tempfile.TemporaryDirectory() as folder:
        for number, made in enumerate(texts):
            model = Path(folder) / "models" / f"m{number:05}"
            (model / "1").mkdir(parents=True)
            (model / "config.pbtxt").write_bytes(made)
        (Path(folder) / "backends").mkdir()
        log = Path(folder) / "log"
        with log.open("wb") as stream:
            environment = os.environ | {"LD_LIBRARY_PATH": str(_site() / "nvidia_pytriton.libs")}
            done = subprocess.run(_command(folder), stdout=stream, stderr=stream, env=environment, check=False)
        if done.returncode < 0:
            print(f"the server was ended by signal {-done.returncode}; what it did not read counts as accepted")
        found = dict(_lines(log.read_bytes()))
    return [found.get(f"m{number:05}", ()) for number in range(len(texts))]


def _site() -> Path:
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise SystemExit("the server is part of nvidia-pytriton, which is not installed")
    return Path(spec.origin).parent.parent


def _command(folder: str) -> list[str]:
    flags = ["--allow-http=false", "--allow-grpc=false", "--allow-metrics=false", "--disable-auto-complete-config"]
    places = [f"--model-repository={folder}/models", f"--backend-directory={folder}/backends"]
    return [str(_site() / "pytriton" / "tritonserver" / "bin" / "tritonserver"), *places, *flags]


def _lines(log: bytes) -> Iterator[tuple[str, Log]]:
    said: list[str] = []
    for line in log.split(b"\n"):
        if MARK in line:
            said.append(line.partition(MARK)[2].decode("utf-8", "replace"))
        elif POLLED in line:
            yield line.partition(POLLED)[2].partition(b"'")[0].decode(), tuple(said)
            said = []


def judged(texts: Sequence[bytes], cache: Path, judge: str, compiler: Path | None) -> Iterable[Log]:
    """Return the verdicts, both kept and new ones."""
    kept: dict[str, list[str]] = json.loads(cache.read_text("utf-8")) if cache.exists() else {}
    new = list({digest(made): made for made in texts if digest(made) not in kept}.values())
    logs = by_server(new) if judge == "server" else by_protoc(new, compiler)
    kept |= {digest(made): list(log) for made, log in zip(new, logs, strict=True)}
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(json.dumps(kept, ensure_ascii=False), "utf-8")
    return [tuple(kept[digest(made)]) for made in texts]


def main() -> int:
    """Run; return exit status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--judge", choices=("server", "protoc"), default="server")
    parser.add_argument("--compiler", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--configs", type=Path, help="folder whose config.pbtxt files are also checked and damaged")
    parser.add_argument("--cache", type=Path, default=Path("build/pbtxt-verdicts.json"))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--show", type=int, default=20)
    options = parser.parse_args()
    others = [path.read_bytes() for path in sorted(options.configs.rglob("config.pbtxt"))] if options.configs else []
    texts = others + [text(number, others) for number in range(options.first, options.first + options.count)]
    if options.judge == "server":
        texts = [made for made in texts if CRASHES not in made]
    began = time.monotonic()
    logs = list(judged(texts, options.cache, options.judge, options.compiler))
    if options.write:
        said = {digest(made): log for made, log in zip(texts, logs, strict=True)}
        options.write.write_text(json.dumps(said, indent=0, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    differ = [(made, log) for made, log in zip(texts, logs, strict=True) if parse(made, RELEASE).log != log]
    for made, log in differ[: options.show]:
        print(f"{made!r}\n  C++  {log}\n  ours {parse(made, RELEASE).log}")
    accepted = sum(not log for log in logs)
    took = time.monotonic() - began
    print(f"{len(texts)} texts, {accepted} accepted by {options.judge}, {len(differ)} differ; {took:.0f} s")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
