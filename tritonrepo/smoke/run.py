"""A whole smoke test as a stream of results: what is loaded, what was expected, what each model responds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tritonrepo.diagnostics import Severity, Stop, closest, fatal
from tritonrepo.server.client import ModelState
from tritonrepo.server.recognizing import recognized
from tritonrepo.smoke import crowd
from tritonrepo.smoke.asking import Asking, Connection
from tritonrepo.smoke.case import Case, Check, Crowd, Result
from tritonrepo.smoke.plan import Known, cases, named
from tritonrepo.smoke.served import Served, survey

OTHER = {"server-answer", "server-refused"}
"""How the responses of another service than Triton are reported."""


def run(connection: Connection, known: Known, only: frozenset[str]) -> Iterator[Result]:
    """Yield every result as it arrives; `only` selects the models to test, by default all.

    Raise Stop if the server cannot be reached at all, or lacks a model that `only` names.
    """
    index = [state for state in _index(connection) if state.name not in known.left_out]
    yield from (Result(name, "", Check.LOADED, unchecked=reason) for name, reason in sorted(known.left_out.items()))
    known = known.tested()
    names = sorted({state.name for state in index} | known.models.keys())
    for name in sorted(only - set(names)):
        raise fatal("smoke-model", name, "the server does not have this model", closest(name, names) if names else "")
    served: list[Served] = []
    for seen in survey(connection.http, index, only):
        if isinstance(seen, Served):
            served.append(seen)
        else:
            yield seen
    yield from named(known, served, only)
    asking = Asking(connection, {one.name: one.outputs for one in served})
    for case in cases(known, served, only):
        match case:
            case Result():
                yield case
            case Crowd():
                yield from crowd.run(asking, case)
            case Case():
                yield from asking.run(case)


def _index(connection: Connection) -> list[ModelState]:
    """Return the server's index; raise a fatal Stop if it is unavailable, since nothing can be tested without it."""
    try:
        index = connection.http.index()
        if connection.rpc is not None:
            connection.rpc.check()
    except Stop as stop:
        hint = "Check that this is the HTTP port of a Triton server, by default 8000."
        if stop.diagnostics[0].rule in OTHER and (other := recognized(connection.http)):
            raise fatal("server-answer", connection.http.url, f"this is {other}", hint) from None
        raise Stop(d if d.hint else replace(d, hint=hint) for d in stop.of(Severity.FATAL).diagnostics) from None
    return index
