"""Compare our verdicts and reasons with those of the real servers of several releases, in one process.

    python -m benchmarks.soak.release_verdicts CASES VERDICTS... [--filter REGEX] [--show 20]

CASES is a file of repositories, one JSON object a line: `id`, `files` and `flags`. VERDICTS are files of what servers
said about them, gzipped or not: `id`, `server` (its version), `backend` and, per model, `verdict`, `reason` and
`parse_errors`, which are the case's own where they are missing. Rows marked `race`, `not_applicable` or `shim` are not
compared, nor what a real backend would have said where the server had none. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo import repository
from tritonrepo.diagnostics import State, Verdict
from tritonrepo.releases import RELEASES
from tritonrepo.rules import judge
from tritonrepo.tree import Directory, Entry, File, of_bytes

SKIPPED = ("race", "not_applicable", "shim")
ROOT = "$REPO"
SHORT = 12
STATUS = re.compile(r"^(Invalid argument|Internal|Not found|Unavailable|Unsupported|Already exists|Unknown): ")
POINTER = re.compile(r"0x[0-9a-fA-F]{6,}|0xPTR")
REFUSED = {State.REFUSED, State.CRASH, State.HANG}


class Row(NamedTuple):
    """A model that both judged: what differs ("" for nothing), the server's words, and our verdict."""

    differs: str
    case: str
    model: str
    server: Mapping[str, Any]
    ours: Verdict


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file, gzipped or not."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    yield from (json.loads(line) for line in text.split("\n") if line.strip())


def tree(files: Mapping[str, Any]) -> dict[str, Entry]:
    """Return the repository of a case."""
    return dict(sorted((path, _entry(content)) for path, content in files.items()))


def _entry(content: Any) -> Entry:  # noqa: ANN401  JSON
    if isinstance(content, str):
        return of_bytes(content.encode("utf-8", "surrogateescape"))
    if content.get("dir"):
        return Directory()
    if "b64" in content:
        return of_bytes(base64.b64decode(content["b64"]))
    size = content["size"]
    return File(size, lambda offset, n: bytes(max(0, min(n, size - offset))))


def normal(text: str) -> str:
    """Return a reason without what differs between runs."""
    return " ".join(STATUS.sub("", POINTER.sub("PTR", text)).split())


def same_reason(server: Mapping[str, Any], ours: str) -> bool:
    """Return whether our reason is the server's, or a part of it."""
    mine, texts = normal(ours), [normal(text) for text in (server["reason"], *server.get("parse_errors", ()))]
    return any(mine == text or (len(mine) >= SHORT and mine in text) for text in texts if mine)


def compared(case: Mapping[str, Any], said: Mapping[str, Any], release: str) -> Iterator[Row]:
    """Yield what a case's models look like to the server and to us."""
    flags = case["flags"]
    target = repository.target(repository.Said(release, gpus=0, auto_complete=flags.get("auto_complete", True)))
    verdicts = {each.model: each for each in judge(repository.read(tree(case["files"]), target, ROOT)).verdicts}
    at_backend = any(each.stage == "backend" for each in verdicts.values())
    for model, server in said["models"].items():
        ours = verdicts[model]
        foreign = ours.stage == "backend" or (ours.rule == "step-model-failed" and at_backend)
        if server["verdict"] == "undecided" or (said["backend"] == "core-only" and ours.verdict in REFUSED and foreign):
            continue
        own = case["oracle"]["models"].get(model, {}) if "oracle" in case else {}
        yield Row(_difference({**own, **server}, ours), case["id"], model, {**own, **server}, ours)


def _difference(server: Mapping[str, Any], ours: Verdict) -> str:
    if (server["verdict"] != "ready") != (ours.verdict in REFUSED):
        return "verdict"
    return "reason" if ours.verdict in REFUSED and not same_reason(server, ours.server_reason) else ""


def judged(cases: Mapping[str, Mapping[str, Any]], said: Iterable[Mapping[str, Any]], chosen: str) -> Iterator[Row]:
    """Yield the rows of one server's verdicts."""
    releases = {each.server_version: each.name for each in RELEASES.values()}
    for one in said:
        case = cases.get(one["id"])
        if case is None or any(map(one.get, SKIPPED)) or "args" in case["flags"] or not re.search(chosen, one["id"]):
            continue
        yield from compared(case, one, releases[one["server"]])


def main() -> int:
    """Compare each file of verdicts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("verdicts", type=Path, nargs="+")
    parser.add_argument("--filter", default="")
    parser.add_argument("--show", type=int, default=20)
    options = parser.parse_args()
    cases = {case["id"]: case for case in lines(options.cases)}
    different = 0
    for path in options.verdicts:
        rows = list(judged(cases, lines(path), options.filter))
        wrong = [row for row in rows if row.differs]
        both = [row for row in rows if row.ours.verdict in REFUSED and row.differs != "verdict"]
        verdicts, reasons = (sum(row.differs == what for row in rows) for what in ("verdict", "reason"))
        print(
            f"{path.name}: verdict {len(rows) - verdicts}/{len(rows)}, "
            f"reason {len(both) - reasons}/{len(both)} ({100 * (1 - reasons / max(len(both), 1)):.2f} %)"
        )
        for row in wrong[: options.show]:
            print(f"- {row.differs}: {row.case} / {row.model}: {row.ours.verdict} {row.ours.rule}")
            print(
                f"    server: {row.server['verdict']} {row.server['reason'][:240]} {row.server.get('parse_errors', '')}"
            )
            print(f"    ours:   {row.ours.server_reason[:240]}")
        different += len(wrong)
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
