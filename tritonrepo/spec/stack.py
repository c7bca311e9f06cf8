"""The stack file as frozen data. Only the dataclasses here declare a key, its type, its default and its meaning.

The keys of a model are those of its part (`spec.part`). The loader (`spec.load`), the JSON Schema (`spec.schema`) and
`docs/stack.md` are made from them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, is_dataclass
from typing import Any, Literal, NewType

from tritonrepo.diagnostics import Span
from tritonrepo.releases import RELEASES, newest
from tritonrepo.spec.declare import VARIABLE, config_key, key, keys, places
from tritonrepo.spec.expectation import Cosine, Expectation
from tritonrepo.spec.nodes import Keys
from tritonrepo.spec.part import Model, Part, Parts, Places

Microseconds = NewType("Microseconds", int)
Bytes = NewType("Bytes", int)
Paths = NewType("Paths", tuple[str, ...])

Config = NewType("Config", Mapping[str, Any])
"""Fields of a ModelConfig as `spec.config` reads them."""

LONGEST_NAME = 255
"""Maximum length of a name in a directory on Linux, in bytes (limits.h, NAME_MAX)."""

RESERVED = "tritonrepo.json"
"""The record at the top of a built repository (sync.record), where a model of this name would have its directory."""

NAMES = {
    "pattern": "^[A-Za-z0-9]",
    "maxLength": LONGEST_NAME,
    "not": {"pattern": f"[^A-Za-z0-9_.-]|^{re.escape(RESERVED)}$"},
}
"""The schema of the names of models, which `spec.check` judges in the same way."""

LETTERS = {"type": "string", "pattern": "[A-Za-z]"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The server that the repository is built for."""

    release: str = key(
        "Triton container release, as year.month",
        newest().name,
        example='"26.07"',
        schema={"anyOf": [{"type": "number"}, {"enum": [*RELEASES]}, VARIABLE]},
    )
    images: tuple[str, ...] = key(
        "container images whose backends the server has, or your own with its tag; list several for one that has all",
        ("py3", "vllm-python-py3"),
        example="[py3]",
        schema={"minItems": 1},
    )
    backends: tuple[str, ...] = key(
        "backends that your own image has besides those of `images`", (), example="[my_backend]"
    )
    arch: Literal["x86_64", "aarch64"] = key("processor architecture of the server", "x86_64", example="aarch64")
    gpus: int = key("number of GPUs in the server; a model that uses more is rejected", 1, minimum=0, example="2")
    gpu_memory: Bytes | None = key("memory of each GPU", None, example="80GiB")
    gpu: str | None = key("model of the GPUs, which gives their memory too", None, example="A100-80GB", schema=LETTERS)
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How requests are combined into batches."""

    max_batch_size: int = key("maximum batch size", 32, minimum=1, example="64")
    preferred: tuple[int, ...] = key("batch sizes that run as soon as they are reached", (), example="[16, 32]")
    max_queue_delay: Microseconds = key(
        "maximum time that a request waits for others to join its batch", Microseconds(0), example="2ms"
    )
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """How many copies of a model run, and where."""

    count: int = key("copies, per GPU or on the CPU", 1, minimum=1, example="2")
    kind: Literal["auto", "cpu", "gpu"] = key(
        "where the copies run; `auto` means on GPUs if the server has any, otherwise on the CPU", "auto", example="gpu"
    )
    gpus: tuple[int, ...] = key("GPU indexes; omit for all GPUs", (), example="[0, 1]")
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """How documents are cut into passages."""

    max_tokens: int | None = key(
        "maximum tokens of a passage; default: as many as the embedder reads", None, minimum=8, example="200"
    )
    overlap: int = key("tokens at the end of a passage that the next one repeats", 0, minimum=0, example="40")
    headings: bool = key(
        "whether a passage ends at a heading, and begins with a line of its document's title and its headings",
        False,  # noqa: FBT003  the default of the key
        example="true",
    )
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """How the query and the passages become the prompt of the generator."""

    file: str | None = key(
        "Jinja template of the user message, with the variables `query`, `passages` and `sources`; default: numbered "
        "passages with their titles, then the question",
        None,
        example="prompt.j2",
    )
    system: str | None = key("system message", None, example="Answer from the passages.")
    max_context_tokens: int | None = key(
        "maximum tokens of the whole prompt; default: what the answer's max_tokens leaves of max_model_len",
        None,
        minimum=64,
        example="6000",
    )
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a pipeline that is wired by hand: a model, and the pipeline's tensor for each of its tensors."""

    model: str = key("name of the model; also one that a role adds, such as embedder_model", example="embedder")
    version: int | None = key("version to call; default: the newest", None, minimum=1, example="1")
    inputs: Mapping[str, str] = key("tensor of the pipeline for each input of the model", example="{text: query}")
    outputs: Mapping[str, str] = key(
        "tensor of the pipeline for each output of the model that is used", example="{embedding: vector}"
    )
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """A pipeline of models: a chain, whose tensors are joined by name and type, or steps that are wired by hand."""

    chain: tuple[str, ...] = key(
        "names of the models, in the order in which data flows; the name of another pipeline stands for its models",
        (),
        example="[embedder, retriever]",
        schema={"minItems": 1},
    )
    steps: tuple[Step, ...] = key(
        "calls of models, in place of `chain`: tensors that no step returns are the inputs of the pipeline",
        (),
        example="[{model: embedder, inputs: {text: query}, outputs: {embedding: vector}}]",
        schema={"minItems": 1},
    )
    prompt: Prompt = key(
        "prompt of the generator; only for a chain that has one",
        Prompt(),
        example="{file: prompt.j2, max_context_tokens: 6000}",
    )
    outputs: tuple[str, ...] | None = key(
        "outputs of the pipeline; default: those of the last model of a chain, or those that no step reads. A chain "
        "that ends in a generator can also return `sources`, the passages in its prompt as a JSON list",
        None,
        example="[answer, sources]",
    )
    form: Literal["auto", "ensemble", "bls"] = key(
        "how the pipeline is built: `ensemble` as a Triton ensemble, `bls` as a Python model that calls the others "
        "and can return `sources`; `auto` means `bls` if `outputs` has `sources`, otherwise `ensemble`",
        "auto",
        example="bls",
    )
    config: Config = config_key()
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """A request that `tritonrepo smoke` sends to a model, and the expected response."""

    model: str = key("name of the model or pipeline to query", example="search")
    inputs: Mapping[str, Any] = key(
        "value, or list of values, of each input; optional inputs can be omitted",
        example='{query: "How do I log in?"}',
    )
    expect: Mapping[str, Expectation] = key(
        "what each output must be; the strings of a stream are joined to one",
        example="{ids: {first: kb-17}}",
        schema={"minProperties": 1},
    )
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The top level of the stack file."""

    name: str = key("name of the stack, which identifies it in a bucket", example="handbook", schema={"pattern": r"\S"})
    extends: Paths = key("stack files that this one is merged over, the earliest first", Paths(()), example="base.yaml")
    target: Target = key(
        "the server that the repository is built for", Target(), example='{release: "26.07", images: [py3], gpus: 0}'
    )
    models: Mapping[str, Model] = key(
        "models by name",
        example="{embedder: {role: embedder, source: ./minilm}}",
        schema={"minProperties": 1, "propertyNames": NAMES},
    )
    ensembles: Mapping[str, Ensemble] = key(
        "pipelines by name", {}, example="{find: {chain: [embedder, retriever]}}", schema={"propertyNames": NAMES}
    )
    smoke: tuple[Smoke, ...] = key(
        "requests that a running server must answer as expected",
        (),
        example='[{model: search, inputs: {query: "How do I log in?"}, expect: {ids: {first: kb-17}}}]',
    )
    places: Places = places()
    parts: Parts = field(default_factory=dict, compare=False, repr=False)
    node: Keys = field(default=Keys(Span(""), {}), compare=False, repr=False)
    """What the files say together, with variables replaced."""

    def part(self, name: str) -> Part[Any]:
        """Return the part of a model."""
        return self.parts[self.models[name].role]

    def built(self) -> dict[str, str]:
        """Return the models that are built, without pipelines: each with its name in the stack file."""
        return {name + ending: name for name in self.models for ending in ("", *self.part(name).endings)}


EITHER: dict[type, tuple[str, ...]] = {Ensemble: ("chain", "steps"), Cosine: ("vector", "rows")}
"""Keys of which a record needs exactly one."""


IMPLYING = ("backend", "platform")
"""Keys that show that a model is the user's own."""


def is_record(hint: Any) -> bool:
    """Return whether a type is written as a mapping with keys of its own; those of a model depend on its role."""
    return hint is Model or (is_dataclass(hint) and bool(keys(hint)))


def implied(cls: Any, names: Collection[str]) -> bool:
    """Return whether keys that are set show that a model has the role of this dataclass, whose role can be omitted."""
    role = next(f for f in keys(cls) if f.name == "role")
    return role.default is not MISSING and any(name in names for name in IMPLYING)


NOT_YET: dict[tuple[str, str], str] = {
    ("engine", "pgvector"): 'the engine "pgvector"',
}
"""Keys and values of the design that this version lacks: they are rejected as "not supported yet", never half-done."""

NEVER: dict[tuple[str, str], tuple[str, str]] = {
    ("weights", "repository"): (
        'weights cannot be "repository": vLLM reads "model" of model.json as it is, relative to no model\'s directory',
        "Set `weights: {path: /PATH}` to the directory in which the server finds the weights.",
    ),
}
"""Values that one might expect, but that cannot work: message and hint (vllm_backend, src/model.py, _init_engine_args:
the values of model.json become vLLM's engine arguments unchanged)."""

IN_CONFIG = {"instances": "instance_group", "batching": "max_batch_size and dynamic_batching"}
"""Keys of some roles, and the fields of ModelConfig that stand for them where a record does not declare them."""

NOT_YET_KEYS = {"dsn", "kind", "warmup", "ports"}
"""Keys of the design that this version lacks, wherever a record does not declare them."""
