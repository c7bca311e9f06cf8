"""A reranker: NAME (python; tokenizes, calls, sorts) and NAME_model (onnxruntime; logits, or vectors of tokens)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tritonrepo.diagnostics import Diagnostic, fatal
from tritonrepo.generate import config, ports
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft, json_file, step, vendored
from tritonrepo.generate.inputs import Inputs, RerankerFiles
from tritonrepo.generate.own import own
from tritonrepo.generate.ports import COUNTED
from tritonrepo.parts import recognition
from tritonrepo.pbtxt.printer import Message
from tritonrepo.smoke import links, ranking
from tritonrepo.smoke.case import Case, Crowd
from tritonrepo.smoke.plan import Known
from tritonrepo.smoke.served import Served
from tritonrepo.sources.gather import Gathering
from tritonrepo.sources.given import TOKENIZER, is_graph
from tritonrepo.sources.relevance import RULE
from tritonrepo.sources.reranker import LATE, READ, Wish, lowered, reranker
from tritonrepo.sources.reranker_graph import own_graph
from tritonrepo.spec.declare import config_key, key, places, switch_key
from tritonrepo.spec.nesting import flat
from tritonrepo.spec.part import Part, Places, Port, Step, batched, origin, wrong
from tritonrepo.spec.source import Source
from tritonrepo.spec.stack import Batching, Config, Instances, Stack
from tritonrepo.tree import NOT_KNOWN

LISTS = ("passages", "ids", "metadata")
"""What belongs to each passage, and stays with it."""

TAKES = (
    Port("query", "STRING", (1,)),
    Port("passages", "STRING", (-1,)),
    Port("ids", "STRING", (-1,)),
    Port("metadata", "STRING", (-1,), optional=True, by_name=True, beside="passages"),
)
GIVES = (
    Port("passages", "STRING", (-1,)),
    Port("ids", "STRING", (-1,)),
    Port("scores", "FP32", (-1,)),
    Port("metadata", "STRING", (-1,), by_name=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranker:
    """A second look at what a search found: `query` and its `passages` to the best of them, by a slower model."""

    role: Literal["reranker"] = key("role of the model", example="reranker")
    source: Source = key(
        "files of the model (config.json, tokenizer.json and model.safetensors): a directory, or from elsewhere; or an "
        "ONNX file from `input_ids`, `attention_mask` and optionally `token_type_ids` to `logits`, or to "
        "`token_embeddings` for a late interaction",
        example="hf://BAAI/bge-reranker-base",
    )
    kind: Literal["cross-encoder", "late-interaction"] = key(
        "`cross-encoder`: a classifier reads each passage together with the query; `late-interaction`: an encoder "
        "reads them separately, and the vectors of their tokens are compared",
        "cross-encoder",
        example="late-interaction",
    )
    tokenizer: Source | None = key(
        "the tokenizer.json for an ONNX file in `source`, or its directory; default: the one next to the ONNX file",
        None,
        example="./tokenizer.json",
    )
    top_k: int = key("maximum number of passages to return", 4, minimum=1, example="8")
    max_tokens: int | None = key(
        "length at which a pair of query and passage is cut, in tokens, or each text for a late interaction; default: "
        "the model's own limit",
        None,
        minimum=2,
        example="512",
    )
    label: str | None = key(
        "name or number of the label that means that a passage is relevant; default: the only one, or the one whose "
        "name says so",
        None,
        example="entailment",
    )
    activation: Literal["sigmoid", "identity", "softmax"] | None = key(
        "how logits become scores; default: as in the model's own files, otherwise `sigmoid` for one label and "
        "`softmax` for several",
        None,
        example="identity",
    )
    precision: Literal["fp32", "fp16", "int8"] = key(
        "precision of the graph's weights: a half or a quarter of the size, with slightly other scores",
        "fp32",
        example="fp16",
    )
    batching: Batching = key(
        "how requests are combined into batches; `max_batch_size` also limits the pairs that the ONNX model reads at "
        "once",
        Batching(),
        example="{max_batch_size: 64, max_queue_delay: 2ms}",
    )
    instances: Instances = key("copies of the ONNX model", Instances(), example="{count: 2}")
    switch: Literal["overlap", "replace"] = switch_key("NAME_model")
    config: Config = config_key()
    model_config: Config = config_key(
        "NAME_model", example='{parameters: {intra_op_thread_count: {string_value: "4"}}}'
    )
    places: Places = places()


def _check(name: str, model: Reranker, stack: Stack) -> Iterator[Diagnostic]:
    for each in ("label", "activation"):
        if model.kind == LATE and getattr(model, each) is not None:
            message = f"{each} is set, but a late interaction has no labels"
            yield wrong(model.places, each, message, f"Remove {each}.")
    for searches in dict.fromkeys(_searching(name, stack)):
        found = getattr(stack.models[searches], "top_k", model.top_k)
        if found < model.top_k:
            message = f'top_k of "{name}" is {model.top_k}, but "{searches}" before it finds only {found} passages'
            hint = f'Set top_k of "{searches}" to a multiple of {model.top_k}, such as {4 * model.top_k}.'
            yield wrong(model.places, "top_k", message, hint)


def _searching(name: str, stack: Stack) -> Iterator[str]:
    """Yield the models whose passages it gets in a chain: the last one before it that returns passages."""
    for chain in flat(stack).values():
        before = chain[: chain.index(name)] if name in chain else ()
        givers = [each for each in before if each in stack.models and stack.part(each).answers("passages")]
        yield from givers[-1:]


def _gather(_: str, model: Reranker, gathering: Gathering) -> RerankerFiles:
    said = (model.label, model.activation, model.max_tokens, model.places, model.precision)
    wish = Wish(model.source.text, model.kind, *said)
    found = gathering.resolve(model.source, model.places["source"], READ)
    own = model.tokenizer
    if is_graph(found):
        beside = gathering.resolve(own, model.places["tokenizer"], [TOKENIZER]) if own is not None else found
        return lowered(wish, own_graph(wish, found, beside, gathering.cache), gathering.cache)
    if own is not None:
        message = "tokenizer is only for an ONNX file in source, and this source has its own"
        raise fatal(RULE, model.places["tokenizer"], message, "Remove tokenizer.")
    return lowered(wish, reranker(wish, found, gathering.cache), gathering.cache)


def _stand_in(model: Reranker) -> RerankerFiles:
    output, inputs = ("token_embeddings" if model.kind == LATE else "logits"), ("input_ids", "attention_mask")
    return RerankerFiles(NOT_KNOWN, NOT_KNOWN, inputs, output, -1, max_tokens=1, score="sigmoid", label=0)


def _make(name: str, model: Reranker, draft: Draft, inputs: Inputs) -> None:
    """Add both models.

    A list has any length, so the sizes of requests differ, and Triton only joins those of equal shapes unless the
    inputs are ragged; a Python model gets each request by itself anyway.
    """
    files: RerankerFiles = inputs.files[name]
    version = _graph(name, model, draft, files)
    graph = f"{name}_model"
    kind = config.runs(draft.configs[graph], inputs.stack.target.gpus)
    settings = {
        "top_k": model.top_k,
        "max_tokens": files.max_tokens,
        "batch": max(1, ports.max_batch_size(draft.configs[graph])),
        "inputs": list(files.inputs),
        "output": files.output,
        "score": files.score,
        "label": files.label,
        "packages": draft.share(name, vendored(inputs.vendored, PART.vendored)),
        "tokenizer": f"{draft.share(name, {'tokenizer.json': files.tokenizer})}/tokenizer.json",
        **config.grouped(kind, draft.configs[graph]),
    } | ({"prefixes": files.prefixes._asdict()} if any(files.prefixes) else {})
    content = {
        "model.py": step("reranker"),
        "grouping.py": step("grouping"),
        "calls.json": json_file({graph: version}),
        "settings.json": json_file(settings),
    }
    said = config.config(
        name,
        "python",
        draft.number(name, content),
        model.batching.max_batch_size,
        Ports(TAKES, (*GIVES, COUNTED)),
        dynamic_batching=config.dynamic_batching(model.batching),
        instance_group=config.on_cpu_for(kind),
    )
    draft.configure(name, _ragged(said), batched(model.places, model.batching.places), own(model.places, model.config))


def _ragged(said: Message) -> Message:
    inputs = [
        {**each, "allow_ragged_batch": True} if each["name"] in LISTS else each for each in ports.listed(said, "input")
    ]
    return {**said, "input": inputs}


def _graph(name: str, model: Reranker, draft: Draft, files: RerankerFiles) -> int:
    """Add NAME_model and return its version."""
    graph, source, at = f"{name}_model", model.places.get("source"), model.instances.places
    kinds = at.get("gpus", at.get("kind", at.get("")))
    dims = (-1, files.width) if model.kind == LATE else (files.width,)
    version = draft.number(graph, {"model.onnx": files.onnx})
    draft.configure(
        graph,
        config.config(
            graph,
            "onnxruntime",
            version,
            model.batching.max_batch_size,
            Ports(tuple(Port(each, "INT64", (-1,)) for each in files.inputs), (Port(files.output, "FP32", dims),)),
            dynamic_batching={},
            instance_group=config.instance_group(model.instances),
        ),
        {
            **batched(model.places, model.batching.places),
            **origin(model.places, instance_group=kinds, input=source, output=source),
        },
        own(model.places, model.model_config, "model_config"),
    )
    return version


def _cases(served: Served, known: Known) -> Iterator[Case | Crowd]:
    """Yield the cases of a reranker, and of a pipeline whose search ends in one."""
    models = known.models
    if served.name in links.reranking(models):
        yield from ranking.cases(served, ranking.candidates(models, served.name, served.version))
    pipeline = links.reranked(models).get(served.name)
    if pipeline is not None and not served.decoupled:
        yield from ranking.searches(served, models, pipeline)


PART = Part(
    keys=Reranker,
    takes=TAKES,
    gives=GIVES,
    steps=(Step("", {port.name: port.name for port in TAKES}, {port.name: port.name for port in GIVES}),),
    endings=("_model",),
    backends=lambda _: frozenset({"onnxruntime", "python"}),
    vendored=frozenset({"tokenizers"}),
    check=_check,
    gather=_gather,
    stand_in=_stand_in,
    cases=_cases,
    make=_make,
    recognize=recognition.reranker,
)
