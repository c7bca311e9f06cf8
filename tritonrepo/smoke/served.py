"""What the server reports to serve: its index and each version's config, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.diagnostics import Severity, Span, Stop
from tritonrepo.smoke.case import Check, Flaw, Result, found

if TYPE_CHECKING:  # a build makes cases, and asks no server
    from tritonrepo.server.client import Client, ModelState


class Declared(NamedTuple):
    """A tensor of a config: dims without the batch dimension, -1 for any size; its data type's name in the protocol."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    optional: bool = False


class Warm(NamedTuple):
    """What the config's warm-up sends for an input: its dims without the batch, and whether the values are zeros."""

    dims: tuple[int, ...] = ()
    zeros: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """A version of a model that the server has loaded, with its config from the server."""

    name: str
    version: str
    config: Mapping[str, Any]
    at: Span
    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    max_batch_size: int

    @property
    def decoupled(self) -> bool:
        """Whether it responds with a stream; for an ensemble, the core reports that if one of its steps does."""
        return bool(self.config.get("model_transaction_policy", {}).get("decoupled"))

    @property
    def joins(self) -> bool:
        """Whether the server joins requests to batches."""
        return self.max_batch_size > 1 and "dynamic_batching" in self.config

    @property
    def stateful(self) -> bool:
        """Whether a request must belong to a sequence.

        The core makes one of each request to an iterative model, which hangs if its request also ends it
        (core, src/sequence_batch_scheduler/sequence_utils.h, AddReleaseCallback).
        """
        return self.sequential and not self.config["sequence_batching"].get("iterative_sequence")

    @property
    def sequential(self) -> bool:
        """Whether its requests have one row."""
        return "sequence_batching" in self.config

    @property
    def named(self) -> bool:
        """Whether the id of a sequence must be a string: model_config.proto, CONTROL_SEQUENCE_CORRID."""
        inputs = self.config.get("sequence_batching", {}).get("control_input", ())
        controls = [control for one in inputs for control in one.get("control", ())]
        return any(
            control.get("kind") == "CONTROL_SEQUENCE_CORRID" and control.get("data_type") == "TYPE_STRING"
            for control in controls
        )

    @property
    def warmed(self) -> dict[str, Warm]:
        """What the config's warm-up sends, which the model accepts, by input; of several samples, the first."""
        found: dict[str, Warm] = {}
        for sample in self.config.get("model_warmup", ()):
            for name, sent in sample.get("inputs", {}).items():
                dims = tuple(int(dim) for dim in sent.get("dims", ()))
                found.setdefault(name, Warm(dims, bool(sent.get("zero_data"))))
        return found


def of_config(config: Mapping[str, Any], version: str, at: Span) -> Served:
    """Return a served version from its config's JSON form; raise ValueError if it is none."""
    try:
        inputs, outputs = (tuple(map(_declared, config.get(key, ()))) for key in ("input", "output"))
        batch = int(config.get("max_batch_size", 0))
        served = Served(str(config["name"]), version, config, at, inputs, outputs, batch)
        _ = served.decoupled, served.named, served.warmed, served.stateful
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"it does not have the form of a ModelConfig: {error!r}") from None
    return served


def _declared(tensor: Mapping[str, Any]) -> Declared:
    kind = str(tensor["data_type"]).removeprefix("TYPE_")
    dims = tuple(int(dim) for dim in tensor["dims"])
    return Declared(str(tensor["name"]), "BYTES" if kind == "STRING" else kind, dims, bool(tensor.get("optional")))


def place(client: Client, model: str) -> Span:
    """Return the place of a model on a server."""
    return Span(f"{client.url}/v2/models/{model}")


def survey(client: Client, index: list[ModelState], only: frozenset[str]) -> Iterator[Served | Result]:
    """Yield every loaded version, and a result for each version that the index names.

    A version that is or was unloaded on purpose, and a model that nobody requested to load, are not faults.
    """
    for state in index:
        idle = not state.version or state.reason == "unloaded" or state.state == "UNLOADING"
        if (only and state.name not in only) or (idle and state.state != "READY"):
            continue
        at = place(client, state.name)
        if state.state != "READY":
            reason = f": {state.reason}" if state.reason else ""
            message = f"version {state.version} is not loaded; its state is {state.state}{reason}"
            yield _loaded(state, at, Flaw(message, "Check the server's log."))
            continue
        try:
            served = _served(client, state, at)
        except Stop as stop:
            yield _loaded(state, at, Flaw(f"cannot fetch the model's config: {stop.diagnostics[0].message}"))
        except ValueError as error:
            yield _loaded(state, at, Flaw(f"cannot read the model's config: {error}"))
        else:
            yield Result(state.name, state.version, Check.LOADED)
            yield served


def _served(client: Client, state: ModelState, at: Span) -> Served:
    served = of_config(client.config(state.name, state.version), state.version, at)
    if served.name != state.name:
        raise ValueError(f"it is that of {served.name}")
    return served


def _loaded(state: ModelState, at: Span, flaw: Flaw) -> Result:
    diagnostic = found(Check.LOADED, Severity.ERROR, at, flaw, state.name)
    return Result(state.name, state.version, Check.LOADED, diagnostics=(diagnostic,))
