"""The form of a pipeline: an ensemble, or a Python model that calls the others by itself (business logic scripting).

An ensemble whose last model answers with a stream can return nothing else (core,
src/ensemble_scheduler/ensemble_utils.cc, ValidateEnsembleConfig), so only the other form also returns the sources of
an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tritonrepo.diagnostics import Diagnostic, either
from tritonrepo.spec.part import Parts, Port, wrong
from tritonrepo.spec.stack import Ensemble, Stack
from tritonrepo.spec.wiring import Chain

BLS, ENSEMBLE = "bls", "ensemble"

SOURCES = Port("sources", "STRING", (1,))
"""The output with the passages that the answer is made from, as a JSON list."""

LISTED = (Port("ids", "STRING", (-1,)), Port("scores", "FP32", (-1,)))
"""What the sources need besides the passages that the last model reads."""

METADATA = Port("metadata", "STRING", (-1,))


def form(ensemble: Ensemble, chain: Chain) -> str:
    """Return the form of a pipeline with these members."""
    if ensemble.form != "auto":
        return ensemble.form
    wants = SOURCES.name in (ensemble.outputs or ())
    return BLS if wants and not ensemble.steps and _streams(chain) else ENSEMBLE


def forms(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """Yield each pipeline with its form and why it has this one."""
    for name, ensemble in stack.ensembles.items():
        found = form(ensemble, [(member, stack.part(member)) for member in ensemble.chain])
        why = f"since outputs has {'' if found == BLS else 'no '}{SOURCES.name}"
        yield name, found, why if ensemble.form == "auto" else "as the stack file says"


def outputs(ensemble: Ensemble, chain: Chain) -> tuple[str, ...]:
    """Return the outputs of a pipeline of form bls: those that it lists, or all that it can have."""
    return ensemble.outputs if ensemble.outputs is not None else (*_answers(chain), SOURCES.name)


def with_listed(ensemble: Ensemble, chain: Chain) -> Chain:
    """Return the chain of a pipeline of form bls; its last member also reads what its sources are made from."""
    if SOURCES.name not in outputs(ensemble, chain):
        return chain
    given = {port.name for _, part in chain[:-1] for port in part.gives}
    name, last = chain[-1]
    taken = {port.name for port in last.takes}
    more = [port for port in (*LISTED, METADATA) if port.name in given - taken]
    return [*chain[:-1], (name, replace(last, takes=(*last.takes, *more)))]


def lacking(ensemble: Ensemble, chain: Chain) -> list[str]:
    """Return the tensors that the sources of a pipeline of form bls need and that no member gives."""
    given = {port.name for _, part in chain[:-1] for port in part.gives}
    return [port.name for port in LISTED if port.name not in given and SOURCES.name in outputs(ensemble, chain)]


def faults(name: str, ensemble: Ensemble, chain: Chain, parts: Parts) -> Iterator[Diagnostic]:
    """Yield what keeps a pipeline from having the form that it sets, and outputs that need the other form."""
    streaming = either([part.role for part in parts.values() if part.streams])
    places = {output: f"outputs.{place}" for place, output in reversed([*enumerate(ensemble.outputs or ())])}
    if ensemble.form == BLS and (ensemble.steps or not _streams(chain)):
        what = "is wired by hand" if ensemble.steps else f"does not end in a {streaming}"
        message = f'ensemble "{name}" {what}, so its form cannot be "{BLS}"'
        hint = f"Remove form, or use a chain that ends in a {streaming}."
        yield wrong(ensemble.places, "form", message, hint)
    elif form(ensemble, chain) == BLS:
        for output in set(places) - {*_answers(chain), SOURCES.name}:
            have = " and ".join((*_answers(chain), SOURCES.name))
            message = f'ensemble "{name}" lists the output "{output}", but a pipeline of form "{BLS}" has only {have}'
            yield wrong(ensemble.places, places[output], message, f"Remove {output} from outputs.")
    elif SOURCES.name in places and _streams(chain) and not ensemble.steps:
        message = f'the output "{SOURCES.name}" needs the form "{BLS}", but "{name}" sets form to "{ENSEMBLE}"'
        yield wrong(ensemble.places, places[SOURCES.name], message, "Remove form.")


def _streams(chain: Chain) -> bool:
    return bool(chain) and chain[-1][1].streams


def _answers(chain: Chain) -> list[str]:
    return [port.name for port in chain[-1][1].gives]
