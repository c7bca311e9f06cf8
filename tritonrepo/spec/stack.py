"""The stack file as frozen data. The dataclasses are the one place where a key, its type, default and meaning are said.

The keys of a model are its part's (`spec.part`). The loader (`spec.load`), the JSON Schema (`spec.schema`) and
`docs/stack.md` are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, NewType

from tritonrepo.releases import newest
from tritonrepo.spec.part import Model, Part, Parts, Places

Microseconds = NewType("Microseconds", int)
Bytes = NewType("Bytes", int)


def key(doc: str, default: Any = MISSING, *, minimum: int | None = None, example: str = "") -> Any:
    """Declare a key of the stack file: what it means, its default, and for numbers the least that is allowed."""
    metadata = {"doc": doc, "minimum": minimum, "example": example}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def places() -> Any:
    """Declare the field that keeps the positions; it is no key."""
    return field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The server that the repository is built for."""

    release: str = key("Triton container release, year.month", newest().name, example=newest().name)
    images: tuple[str, ...] = key(
        "container images whose backends the server has; several mean an image that mixes them",
        ("py3", "vllm-python-py3"),
    )
    arch: Literal["x86_64", "aarch64"] = key("processor of the server", "x86_64")
    gpus: int = key("number of GPUs", 1, minimum=0)
    gpu_memory: Bytes | None = key("memory of each GPU", None, example="80GiB")
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How requests are joined to batches."""

    max_batch_size: int = key("largest batch", 32, minimum=1)
    preferred: tuple[int, ...] = key("batch sizes that are run at once when reached", ())
    max_queue_delay: Microseconds = key("longest wait for others to join a batch", Microseconds(0), example="2ms")
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """How many copies of a model run, and where."""

    count: int = key("copies, on each GPU or on the CPU", 1, minimum=1)
    kind: Literal["auto", "cpu", "gpu"] = key("auto: on GPUs where the server has them, else on the CPU", "auto")
    gpus: tuple[int, ...] = key("numbers of the GPUs; none means all", ())
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """How query and passages become what the generator reads."""

    file: str | None = key(
        "Jinja template of the user's message; it is given `query` and `passages`", None, example="prompt.j2"
    )
    system: str | None = key("the system message", None)
    max_context_tokens: int | None = key(
        "most tokens of the whole prompt; default: what max_model_len leaves", None, minimum=64
    )
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Models joined to one pipeline, asked with `query`."""

    chain: tuple[str, ...] = key("names of the models, in the order of the data; a pipeline stands for its models")
    prompt: Prompt = key("for a chain with a generator", Prompt())
    outputs: tuple[Literal["answer"], ...] | None = key("what the pipeline answers with a generator", None)
    form: Literal["auto", "ensemble"] = key("how the pipeline is made", "auto")
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an output must be; every key that is given must hold."""

    not_empty: bool | None = key("whether it must hold something: a text, or a value that is one", None)
    contains: str | None = key("a text that stands in one of its values", None, example="kb-17")
    first: str | None = key("what its first value is, as text", None, example="kb-17")
    equals: Any = key("all its values: one, or a list", None)
    close: Any = key("all its values, numbers, as near as `within`", None)
    within: Any = key("largest difference that is still close", 0.001)
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """One question that `tritonrepo smoke` asks a model, and what must come back."""

    model: str = key("name of the model or pipeline that is asked")
    inputs: Mapping[str, Any] = key("input name to its value, or a list of them; what is optional may be left out")
    expect: Mapping[str, Expectation] = key("output name to what it must be; the texts of a stream are one text")
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A whole stack file."""

    name: str = key("name of the stack")
    target: Target = key("the server that the repository is built for", Target())
    models: Mapping[str, Model] = key("model name to model")
    ensembles: Mapping[str, Ensemble] = key("pipeline name to pipeline", {})
    smoke: tuple[Smoke, ...] = key("questions that a running server must answer as expected", ())
    places: Places = places()
    parts: Parts = field(default_factory=dict, compare=False, repr=False)

    def part(self, name: str) -> Part[Any]:
        """Return the part of a model."""
        return self.parts[self.models[name].role]

    def built(self) -> dict[str, str]:
        """Return the models that are built, pipelines aside: each with the name that the stack file has for it."""
        return {name + ending: name for name in self.models for ending in ("", *self.part(name).endings)}


def keys(cls: Any) -> tuple[Any, ...]:
    """Return the fields of a dataclass that are keys of the stack file."""
    return tuple(f for f in fields(cls) if f.metadata)


NOT_YET: dict[tuple[str, str], str] = {
    ("role", "reranker"): "the role reranker",
    ("role", "model"): "the role model",
    ("engine", "openai"): "the engine openai",
    ("engine", "pgvector"): "the engine pgvector",
    ("form", "bls"): "the form bls",
    ("weights", "repository"): "weights in the repository",
    ("outputs", "sources"): "the output sources",
}
"""Key and value of what the design has and this version has not: refused as "not yet", never half-done."""

NOT_YET_KEYS = {"lora", "config", "backend", "platform", "dsn", "kind", "warmup", "ports"}
"""Keys of the design that this version has not."""
