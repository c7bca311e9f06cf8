"""What a served model does for who asks it: by the inputs and outputs of its config.

Names of tensors: `query` → `answer`, `sources` and `query`, `passages`, `ids` → `scores` are those of our parts, and
`text_input` → `text_output` those of the vLLM backend (vllm_backend, src/model.py, auto_complete_config).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from tritonrepo.server.questions import axes_of, tensors

STRING, FP32 = "TYPE_STRING", "TYPE_FP32"


class Kind(StrEnum):
    """What a model is asked for; the values are shown with the models."""

    ANSWERS = "chat"
    GENERATES = "generator"
    EMBEDS = "embeddings"
    RERANKS = "rerank"


class Tensor(NamedTuple):
    """An input or output of a config, in Triton's words."""

    name: str
    kind: str
    axes: int
    optional: bool
    width: int


class Offer(NamedTuple):
    """A model that is offered under its name."""

    name: str
    kind: Kind
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    batch: int
    prompt: str = ""

    def shape(self, name: str, *own: int) -> list[int]:
        """Return the shape of an input with one value, or with these sizes, for one row."""
        sizes = list(own) or [1] * self.inputs[name].axes
        return [1, *sizes] if self.batch else sizes

    def routes(self) -> tuple[str, ...]:
        """Return the routes that this model answers."""
        return {
            Kind.ANSWERS: ("chat",),
            Kind.GENERATES: ("chat", "completions") if self.prompt or "messages" in self.inputs else ("completions",),
            Kind.EMBEDS: ("embeddings",),
            Kind.RERANKS: ("rerank",),
        }[self.kind]


def of_config(config: Any) -> Offer | None:  # noqa: ANN401  tritonclient has no types
    """Return what a model with this config offers, None if nothing that a route could ask."""
    takes, gives = ({each.name: _tensor(each) for each in listed} for listed in (config.input, config.output))
    return _offer(config.name, takes, gives, config.max_batch_size)


def of_json(model: str, config: Mapping[str, Any]) -> Offer | None:
    """Return what a model with this config offers, in the JSON form of ModelConfig."""
    takes, gives = ({str(t["name"]): _read(t) for t in tensors(config, kind)} for kind in ("input", "output"))
    size = config.get("max_batch_size")
    return _offer(model, takes, gives, size if isinstance(size, int) else 0)


def _offer(model: str, takes: Mapping[str, Tensor], gives: Mapping[str, Tensor], batch: int) -> Offer | None:
    kind = _kind(takes, gives)
    return None if kind is None else Offer(model, kind, takes, gives, batch)


def _read(told: Mapping[str, Any]) -> Tensor:
    dims = told.get("dims")
    last = str(dims[-1]) if isinstance(dims, list) and dims else "0"
    width = int(last) if last.removeprefix("-").isdecimal() else 0  # text if it comes from a message of gRPC
    return Tensor(str(told["name"]), str(told.get("data_type")), axes_of(told), bool(told.get("optional")), width)


def _tensor(told: Any) -> Tensor:  # noqa: ANN401  tritonclient has no types
    kinds = told.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number
    kind = kinds[told.data_type].name if told.data_type in kinds else ""  # a newer server may have more of them
    optional = bool(getattr(told, "optional", False))
    return Tensor(told.name, kind, len(told.dims), optional, told.dims[-1] if told.dims else 0)


def _kind(takes: Mapping[str, Tensor], gives: Mapping[str, Tensor]) -> Kind | None:
    texts = {name for name, each in takes.items() if each.kind == STRING}
    told = {name for name, each in gives.items() if each.kind == STRING}
    needed = {name for name, each in takes.items() if not each.optional}
    found: Kind | None = None
    if "answer" in told and texts & {"query", "messages"} and needed <= {"query", "messages"}:
        found = Kind.ANSWERS
    elif "text_output" in told and "text_input" in texts and needed <= {"text_input"}:
        found = Kind.GENERATES
    elif {"query", "passages", "ids"} <= texts and needed <= {"query", "passages", "ids"} and "ids" in told:
        found = Kind.RERANKS if "scores" in gives else None
    elif len(needed) == 1 and needed <= texts and vector(gives) is not None:
        found = Kind.EMBEDS
    return found


def vector(gives: Mapping[str, Tensor]) -> str | None:
    """Return the output that is an embedding."""
    named = [name for name, each in gives.items() if "embedding" in name and each.kind == FP32 and each.axes == 1]
    return named[0] if len(named) == 1 else None
