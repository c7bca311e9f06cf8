"""Sabotage a running RAG in one way after the other, and see whether `smoke` blames what was sabotaged, and only that.

    python -m benchmarks.soak.sabotages [NAME...] [--show]

The real server runs a copy of the example, with numbered passages in its prompt, a second pipeline of the other form,
and a classifier with a label file. Each sabotage is done to a served model, to a process or to the connection; then
the whole server is tested. Exactly one check of one model must fail, and its message must name the cause. Checks of
models that call the sabotaged one may fail as well, but only after the cause, and they must point to it.

Prints a table: the sabotage, the check that failed, the message, the consequences, the seconds. With NAME, only the
sabotages that contain it; `--show` prints all messages as a user sees them. Exit status 1 if a sabotage is missed or
something else is blamed for it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.soak.sabotage_bench import Asked, Bench, Found, smoke
from benchmarks.soak.sabotage_wires import WIRES, Wire
from tests.sabotages import SABOTAGES, Sabotage
from tritonrepo.smoke.causes import ELSEWHERE

UNASKED = ": not tested, because "
"""What a message says of a case that was not asked any more."""


class Row(NamedTuple):
    """The outcome of a sabotage: whether exactly the right check failed, which, what it said, what failed besides."""

    name: str
    right: bool
    blamed: str
    said: str
    others: str
    seconds: float
    shown: str


def damaged(sabotage: Sabotage) -> Callable[[Bench], AbstractContextManager[Asked]]:
    """Return the act of a sabotage that is done to a model's directory."""

    @contextmanager
    def act(bench: Bench) -> Iterator[Asked]:
        sabotage.damage(bench.version(sabotage.model), bench.weights)
        bench.load(sabotage.model)
        try:
            yield bench.asked(*sabotage.options)
        finally:
            bench.restore(sabotage.model)

    return act


def acts() -> Mapping[str, Wire]:
    """Return every sabotage by its name."""
    models = {name: Wire(damaged(each), *each.blamed, each.cause) for name, each in SABOTAGES.items()}
    return {**models, **WIRES}


CALLERS = {
    "embedder_model": {"embedder", "search", "rag", "talk"},
    "embedder": {"search", "rag", "talk"},
    "retriever": {"search", "rag", "talk"},
    "reranker_model": {"reranker", "search", "rag", "talk"},
    "reranker": {"search", "rag", "talk"},
    "generator_prompt": {"rag"},
    "generator": {"rag"},
    "speaker_prompt": {"talk"},
    "speaker": {"talk"},
}
"""Model → those that call it, also through others: only these may fail as well."""


def judged(name: str, wire: Wire, found: Found, seconds: float) -> Row:
    """Return the row of a sabotage."""
    failed = found.failed
    if wire.check.startswith("server-"):
        key = next((key for key in failed if key[1] == wire.check), None)
    else:
        key = (wire.model, wire.check) if (wire.model, wire.check) in failed else None
    others = [other for other, said in failed.items() if other != key and UNASKED not in said]
    right = key is not None and wire.cause in failed[key] and found.code == (1 if wire.model else 2)
    allowed = CALLERS.get(wire.model, set())
    right = right and (wire.cause == ELSEWHERE or all(model in allowed for model, _ in others))
    right = right and next(iter(failed)) == key
    said = failed[key].split("\n")[0] if key else "MISSED"
    said = said if key is None or wire.cause in failed[key] else f"NOT ITS CAUSE: {said}"
    others_said = ", ".join(f"{model} {check}" for model, check in others)
    if found.document:
        shown = "\n".join(
            f"  {d['severity']} {d['model']}: {d['message']}\n    {d['hint']}" for d in found.document["diagnostics"]
        )
    else:
        shown = found.err
    return Row(name, right, " ".join(key or ()), said, others_said, seconds, shown)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--show", action="store_true")
    chosen = parser.parse_args()
    wanted = {name: wire for name, wire in acts().items() if not chosen.names or any(n in name for n in chosen.names)}
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch))
        bench.build()
        bench.start()
        with bench.running:
            rows = [*tried(bench, wanted, show=chosen.show)]
    wrong = [row.name for row in rows if not row.right]
    print(
        f"{len(rows)} sabotages, {len(rows) - len(wrong)} found as they must be; not so: {', '.join(wrong) or 'none'}"
    )
    return bool(wrong)


def tried(bench: Bench, wanted: Mapping[str, Wire], *, show: bool) -> Iterator[Row]:
    """Yield the row of each sabotage, printed; the untouched server must pass before and after."""
    untouched(bench)
    for name, wire in wanted.items():
        with wire.act(bench) as asked:
            began = time.monotonic()
            found = smoke(asked)
            row = judged(name, wire, found, time.monotonic() - began)
        mark = "ok" if row.right else "WRONG"
        print(
            f"{mark:5} {row.seconds:5.1f} s  {row.name}", row.blamed, row.said[:160], row.others, sep=" | ", flush=True
        )
        if show or not row.right:
            print(row.shown, flush=True)
        yield row
    untouched(bench)


def untouched(bench: Bench) -> None:
    """Test the server as it was built: nothing may fail."""
    found = smoke(bench.asked())
    assert found.code == 0, found.failed


if __name__ == "__main__":
    sys.exit(main())
