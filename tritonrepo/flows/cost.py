"""The pipeline of `cost`: a file of stated prices, and results of bench, become what serving costs."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path

from tritonrepo.bench.result import Result
from tritonrepo.cost.costs import Costs, costs
from tritonrepo.cost.form import form
from tritonrepo.cost.inputs import Inputs
from tritonrepo.cost.reading import read
from tritonrepo.diagnostics import fatal, unreadable
from tritonrepo.flows.cost_bench import Measured, joined
from tritonrepo.flows.named import content
from tritonrepo.stores import is_remote, open_store
from tritonrepo.tree import of_text

EXISTS = "cost-exists"


def cost(
    path: Path | str,
    results: Sequence[Result] | None = None,
    *,
    today: datetime.date,
    measured: Sequence[Measured] = (),
) -> Costs:
    """Return what a cost file gives; raise Stop if it, or a result, cannot be used.

    Args:
        path: The cost file.
        results: Results of bench, for the options that have the name of their model or target.
        today: The day by which dates are old, or in the future.
        measured: Results that were read from files, which messages name.
    """
    inputs = stated_in(path)
    given = (*measured, *([Measured("bench", tuple(results))] if results else ()))
    inputs, notes = joined(inputs, given)
    return costs(inputs, today, notes)


def stated_in(path: Path | str) -> Inputs:
    """Return what a cost file states; raise Stop if it cannot be read."""
    return read(content(path, "cost-missing", "Create one with `tritonrepo cost init`."), str(path))


def init(path: Path | str) -> bool:
    """Write the empty form to a path, and return whether it was not there yet; raise Stop if another file is."""
    path, text = Path(path), form()
    if is_remote(str(path)):
        raise fatal(EXISTS, str(path), "the form must be a file, not at a URI", "Use a path on this machine.")
    try:
        if os.path.lexists(path):
            if path.is_file() and path.read_bytes() == text.encode():
                return False
            raise fatal(EXISTS, str(path), "another file is already there", "Move it elsewhere, or use another path.")
        store, name = open_store(str(path))
        store.put(name, of_text(text))
        store.tidy()
    except OSError as error:
        if error.filename is None:
            raise fatal(EXISTS, str(path), f"the form cannot be written: {error.strerror or error}") from None
        raise unreadable(error) from None
    return True
