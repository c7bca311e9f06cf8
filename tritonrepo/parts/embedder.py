"""An embedder: NAME (python; batches texts, tokenizes, calls) and NAME_model (onnxruntime; pools in the graph)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tritonrepo.diagnostics import Diagnostic, fatal
from tritonrepo.generate import config
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft, json_file, step, vendored
from tritonrepo.generate.inputs import TOKENS, EncoderFiles, Inputs
from tritonrepo.generate.own import own
from tritonrepo.generate.ports import COUNTED
from tritonrepo.indexing.encoder import load
from tritonrepo.parts import loss, recognition
from tritonrepo.smoke import links, meaning, search
from tritonrepo.smoke.case import Case, Crowd
from tritonrepo.smoke.plan import Known
from tritonrepo.smoke.served import Served
from tritonrepo.sources.encoder import READ, Wish, encoder
from tritonrepo.sources.encoder_files import RULE, weighed
from tritonrepo.sources.encoder_graph import own_graph
from tritonrepo.sources.gather import Gathering
from tritonrepo.sources.given import USUAL, given, is_graph
from tritonrepo.sources.precision import lowered
from tritonrepo.sources.prefixes import PROMPTS, Wanted, prefixed
from tritonrepo.spec.declare import config_key, key, places, switch_key
from tritonrepo.spec.part import Embeds, Part, Places, Port, Step, batched, origin
from tritonrepo.spec.source import Source
from tritonrepo.spec.stack import Batching, Config, Instances
from tritonrepo.tree import NOT_KNOWN, File


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefixes:
    """What the embedder reads before each text, as its model was trained to."""

    query: str | None = key(
        "prefix of queries; default: the prompt `query` of the model's own files", None, example='"query: "'
    )
    passage: str | None = key(
        "prefix of passages; default: the prompt `document`, `passage` or `corpus` of the model's own files",
        None,
        example='"passage: "',
    )
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """A sentence encoder: `text` STRING[1], and optionally `input_type`, to `embedding` FP32[dimensions]."""

    role: Literal["embedder"] = key("role of the model", example="embedder")
    source: Source = key(
        "files of the model (config.json, tokenizer.json and model.safetensors): a directory, or from elsewhere; "
        "or an ONNX file from tokens to a vector of the text or to those of its tokens",
        example="hf://sentence-transformers/all-MiniLM-L6-v2",
    )
    tokenizer: Source | None = key(
        "the tokenizer.json for an ONNX file in `source`, or its directory; default: the one next to the ONNX file",
        None,
        example="./tokenizer.json",
    )
    pooling: Literal["mean", "cls", "last"] | None = key(
        "how token vectors become one vector; default: as in the model's own files", None, example="cls"
    )
    normalize: bool | None = key(
        "whether vectors are scaled to unit length; default: as in the model's own files, or if they compare by cosine",
        None,
        example="false",
    )
    max_tokens: int | None = key(
        "length at which texts are cut, in tokens; default: the model's own limit", None, minimum=2, example="256"
    )
    prefixes: Prefixes = key(
        "what is read before queries and before passages; default: the prompts of the model's own files",
        Prefixes(),
        example='{query: "query: ", passage: "passage: "}',
    )
    precision: Literal["fp32", "fp16", "int8"] = key(
        "precision of the graph's weights: a half or a quarter of the size, at a loss that a build measures",
        "fp32",
        example="int8",
    )
    batching: Batching = key(
        "how requests are combined into batches", Batching(), example="{max_batch_size: 64, max_queue_delay: 2ms}"
    )
    instances: Instances = key("copies of the ONNX model", Instances(), example="{count: 2}")
    switch: Literal["overlap", "replace"] = switch_key("NAME_model")
    config: Config = config_key()
    model_config: Config = config_key(
        "NAME_model", example='{parameters: {intra_op_thread_count: {string_value: "4"}}}'
    )
    places: Places = places()


def _gather(_: str, model: Embedder, gathering: Gathering) -> EncoderFiles:
    rounded = model.precision != "fp32"
    wish = Wish(model.source.text, model.pooling, model.normalize, model.max_tokens, model.places, rounded)
    found = gathering.resolve(model.source, model.places["source"], (*READ, PROMPTS))
    files, own = _exact(wish, model, found, gathering)
    files = prefixed(files, own, _wanted(model), gathering.cache)
    return lowered(files, model.precision, model.places.get("precision", model.places["source"]), gathering.cache)


def _exact(
    wish: Wish, model: Embedder, found: dict[str, File], gathering: Gathering
) -> tuple[EncoderFiles, Mapping[str, File]]:
    """Return the encoder in the precision of its own weights, and the files that say how it is used."""
    if not weighed(found):  # of a model on the Hub, only the needed files are there
        found = gathering.resolve(model.source, model.places["source"], (*READ, PROMPTS, *USUAL))
    if is_graph(found):
        its = given(model.source, model.tokenizer, model.places, gathering)
        return own_graph(wish, its, gathering.cache), its.own
    if model.tokenizer is not None:
        message = "tokenizer is only for an ONNX file in source, and this source has its own"
        raise fatal(RULE, model.places["tokenizer"], message, "Remove tokenizer.")
    return encoder(wish, found, gathering.cache), found


def _wanted(model: Embedder) -> Wanted:
    said = model.prefixes
    at = said.places or {"": model.places["source"]}
    return Wanted(said.query, said.passage, {"source": model.places["source"], **at})


def _stand_in(_: Embedder) -> EncoderFiles:
    return EncoderFiles(NOT_KNOWN, NOT_KNOWN, dimensions=-1, max_tokens=1)


def _doubts(name: str, model: Embedder, gathering: Gathering) -> Iterator[Diagnostic]:
    if model.precision != "fp32":
        yield loss.told(name, model.precision, model.places["precision"], gathering)


def _embeds(files: EncoderFiles) -> Embeds:
    """Return the maker of vectors; its digest covers everything that determines a vector."""
    prefix = files.prefixes.passage
    decides = f"{files.onnx.sha256} {files.tokenizer.sha256} {files.max_tokens}{prefix and f' {prefix}'}"
    return Embeds(hashlib.sha256(decides.encode()).hexdigest(), files.dimensions, lambda: load(files))


def _make(name: str, model: Embedder, draft: Draft, inputs: Inputs) -> None:
    """Add both models.

    Texts are batched before they are tokenized, since Triton combines only requests of equal shapes: token tensors of
    different lengths never share a batch, texts always do.
    """
    files: EncoderFiles = inputs.files[name]
    graph = f"{name}_model"
    batching, source, at = model.batching, model.places.get("source"), model.instances.places
    kinds = at.get("gpus", at.get("kind", at.get("")))
    output = (Port("embedding", "FP32", (files.dimensions,)),)
    tokens = tuple(Port(tensor, kind, (-1,)) for tensor, kind in files.inputs.items())
    version = draft.number(graph, {"model.onnx": files.onnx})
    draft.configure(
        graph,
        config.config(
            graph,
            "onnxruntime",
            version,
            batching.max_batch_size,
            Ports(tokens, (output[0]._replace(name=files.output),)),
            dynamic_batching={},
            instance_group=config.instance_group(model.instances),
        ),
        {
            **batched(model.places, model.batching.places),
            **origin(model.places, instance_group=kinds, input=source, output=source),
        },
        own(model.places, model.model_config, "model_config"),
    )
    kind = config.runs(draft.configs[graph], inputs.stack.target.gpus)
    settings = {
        "max_tokens": files.max_tokens,
        "packages": draft.share(name, vendored(inputs.vendored, PART.vendored)),
        "tokenizer": f"{draft.share(name, {'tokenizer.json': files.tokenizer})}/tokenizer.json",
        **config.grouped(kind, draft.configs[graph]),
    } | dict(_unusual(files))
    content = {
        "model.py": step("embedder"),
        "grouping.py": step("grouping"),
        "calls.json": json_file({graph: version}),
        "settings.json": json_file(settings),
    }
    draft.configure(
        name,
        config.config(
            name,
            "python",
            draft.number(name, content),
            batching.max_batch_size,
            Ports(
                (Port("text", "STRING", (1,)), Port("input_type", "STRING", (1,), optional=True)), (*output, COUNTED)
            ),
            dynamic_batching=config.dynamic_batching(batching),
            instance_group=config.on_cpu_for(kind),
        ),
        batched(model.places, model.batching.places),
        own(model.places, model.config),
    )


def _unusual(files: EncoderFiles) -> Iterator[tuple[str, Any]]:
    """Yield the settings of the step that most embedders do not need."""
    if any(files.prefixes):
        yield "prefixes", files.prefixes._asdict()
    if files.inputs != TOKENS:
        yield "inputs", dict(files.inputs)
    if files.output != "embedding":
        yield "output", files.output


def _cases(served: Served, known: Known) -> Iterator[Case | Crowd]:
    searches = links.embedding(known.models, known.embedding).get(served.name)
    if searches is not None:
        yield from meaning.reference(served, search.stored(known.models, searches, "").index)


PART = Part(
    keys=Embedder,
    takes=(Port("query", "STRING", (1,)),),
    gives=(Port("query_embedding", "FP32", (-1,)),),
    steps=(Step("", {"text": "query"}, {"embedding": "query_embedding"}),),
    endings=("_model",),
    backends=lambda _: frozenset({"onnxruntime", "python"}),
    vendored=frozenset({"tokenizers"}),
    gather=_gather,
    stand_in=_stand_in,
    doubts=_doubts,
    cases=_cases,
    embeds=_embeds,
    make=_make,
    recognize=recognition.embedder,
)
