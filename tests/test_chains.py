"""Chains with own models: what they are joined to, and what is told where that is not certain."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tests.graphs import add_graph
from tests.processes import killed
from tests.test_generate import changed
from tests.test_own_models import DOUBLE
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.server.client import Client
from tritonrepo.smoke.case import Check, Outcome

HEAD = 'name: own\ntarget: {release: "24.10", images: [py3], gpus: 0}\n'
TENSOR = re.compile(r"(\w+):(\w+)(\[[^]]*\])(\??)")
Models = Mapping[str, str]


def listed(text: str) -> str:
    """Return tensors such as `x:FP32[2] y:STRING[1]?` as a config has them; ? is optional."""
    found = (
        f"{{name: {name}, data_type: TYPE_{kind}, dims: {dims}{', optional: true' if optional else ''}}}"
        for name, kind, dims, optional in TENSOR.findall(text)
    )
    return f"[{', '.join(found)}]"


def model(name: str, text: str) -> str:
    """Return a model of a text such as `x:FP32[2] -> y:FP32[2] batch 8`."""
    ports, _, batch = text.partition(" batch ")
    takes, gives = ports.split(" -> ")
    config = f"max_batch_size: {batch or 0}, input: {listed(takes)}, output: {listed(gives)}"
    return f"  {name}: {{backend: python, source: ./model.py, config: {{{config}}}}}\n"


def stack(models: Models, pipeline: str) -> str:
    return f"models:\n{''.join(model(*each) for each in models.items())}ensembles:\n  p: {pipeline}\n"


@pytest.fixture
def here(inside: Path) -> Path:
    """A directory with the file of a Python model."""
    (inside / "model.py").write_text("class TritonPythonModel:\n    def execute(self, requests): ...\n", "utf-8")
    return inside


def build(text: str) -> int:
    Path("tritonrepo.yaml").write_text(HEAD + text, "utf-8")
    return run(["build"])


def config(name: str) -> ModelConfig:
    return text_format.Parse(Path("model_repository", name, "config.pbtxt").read_text("utf-8"), ModelConfig())


def wires(found: ModelConfig) -> list[str]:
    """Return each step of an ensemble as `MODEL TENSOR=NAME … -> TENSOR=NAME …`."""

    def maps(each: Mapping[str, str]) -> str:
        return " ".join(f"{key}={value}" for key, value in sorted(each.items()))

    return [
        f"{step.model_name} {maps(step.input_map)} -> {maps(step.output_map)}"
        for step in found.ensemble_scheduling.step
    ]


PAIR = {"a": "x:FP32[2] -> y:FP32[2] batch 8", "b": "z:FP32[2] -> w:FP32[2] batch 4"}
JOINED: Mapping[str, tuple[Models, str, list[str]]] = {
    "by name": (
        {"a": "x:FP32[2] -> y:FP32[2] z:FP32[2]", "b": "z:FP32[2] -> w:FP32[2]"},
        "{chain: [a, b]}",
        ["a x=x -> z=z", "b z=z -> w=w"],
    ),
    "by type": (PAIR, "{chain: [a, b]}", ["a x=x -> y=y", "b z=y -> w=w"]),
    "by type, although an earlier one fits that is used": (
        {**PAIR, "c": "v:FP32[2] -> u:FP32[2]"},
        "{chain: [a, b, c]}",
        ["a x=x -> y=y", "b z=y -> w=w", "c v=w -> u=u"],
    ),
    "the last of one name": (
        {"a": "x:FP32[2] -> y:FP32[2]", "b": "y:FP32[2] -> y:FP32[2]", "c": "y:FP32[2] -> z:FP32[2]"},
        "{chain: [a, b, c]}",
        ["a x=x -> y=a_y", "b y=a_y -> y=y", "c y=y -> z=z"],
    ),
    "the last of one name that fits": (
        {
            "a": "x:FP32[2] -> y:FP32[2]",
            "b": "y:FP32[2] -> y:INT64[2] w:FP32[1]",
            "c": "y:FP32[2] w:FP32[1] -> z:FP32[2]",
        },
        "{chain: [a, b, c]}",
        ["a x=x -> y=a_y", "b y=a_y -> w=w", "c w=w y=a_y -> z=z"],
    ),
    "an input of the pipeline is read again": (
        {"a": "x:FP32[2] -> y:FP32[2]", "b": "x:FP32[2] y:FP32[2] -> z:FP32[2]"},
        "{chain: [a, b]}",
        ["a x=x -> y=y", "b x=x y=y -> z=z"],
    ),
    "a variable size fits any": (
        {"a": "x:FP32[2] -> y:FP32[-1]", "b": "z:FP32[2] -> w:FP32[2]"},
        "{chain: [a, b]}",
        ["a x=x -> y=y", "b z=y -> w=w"],
    ),
    "a batch that is a dim of a model without batches": (
        {"a": "x:FP32[-1, 2] -> y:FP32[-1, 2]", "b": "z:FP32[2] -> w:FP32[2] batch 4"},
        "{chain: [a, b]}",
        ["a x=x -> y=y", "b z=y -> w=w"],
    ),
    "a type of few bits": (
        {"a": "x:BF16[2] -> y:BF16[2] v:FP16[2]", "b": "z:BF16[2] -> w:FP32[2]"},
        "{chain: [a, b]}",
        ["a x=x -> y=y", "b z=y -> w=w"],
    ),
    "an optional input is fed by its name, or left to the request": (
        {"a": "x:FP32[2] -> y:FP32[2] k:INT64[1]", "b": "y:FP32[2] k:INT64[1]? n:FP32[2]? -> w:FP32[2]"},
        "{chain: [a, b]}",
        ["a x=x -> k=k y=y", "b k=k n=n y=y -> w=w"],
    ),
    "one model thrice": (
        {"a": "x:FP32[2] -> y:FP32[2]"},
        "{chain: [a, a, a, a]}",
        ["a x=x -> y=a_y", "a x=a_y -> y=a_y_2", "a x=a_y_2 -> y=a_y_3", "a x=a_y_3 -> y=y"],
    ),
    "the name of the pipeline's input, one after the other": (
        {"a": "I:FP32[2] -> O:FP32[2]", "b": "I:FP32[2] -> O:FP32[2]"},
        "{chain: [a, b]}",
        ["a I=I -> O=a_O", "b I=a_O -> O=O"],
    ),
    "the name of the pipeline's input, one beside the other": (
        {"a": "I:FP32[2] -> p:FP32[2]", "b": "I:FP32[2] -> q:FP32[2]", "c": "p:FP32[2] q:FP32[2] -> O:FP32[2]"},
        "{chain: [a, b, c]}",
        ["a I=I -> p=p", "b I=I -> q=q", "c p=p q=q -> O=O"],
    ),
    "the name of the pipeline's input, both outputs": (
        {"a": "I:FP32[2] -> p:FP32[2]", "b": "I:FP32[2] -> q:FP32[2]"},
        "{chain: [a, b], outputs: [p, q]}",
        ["a I=I -> p=p", "b I=I -> q=q"],
    ),
    "the name of the pipeline's input, not what is left over": (
        {"a": "q:FP32[2] -> p:FP32[2] k:FP32[2]", "b": "p:FP32[2] q:FP32[2] -> O:FP32[2]"},
        "{chain: [a, b]}",
        ["a q=q -> p=p", "b p=p q=q -> O=O"],
    ),
    "an output of an earlier model": (
        {"a": "x:FP32[2] -> y:FP32[2]", "b": "z:FP32[2] -> w:FP32[2]"},
        "{chain: [a, b], outputs: [w, y]}",
        ["a x=x -> y=y", "b z=y -> w=w"],
    ),
    "a name that another tensor would get": (
        {
            "a": "x:FP32[2] -> b_y:FP32[2] k:INT8[1]",
            "b": "b_y:FP32[2] -> y:FP32[2] k:INT8[1]",
            "c": "y:FP32[2] k:INT8[1] -> y:FP32[2]",
        },
        "{chain: [a, b, c]}",
        ["a x=x -> b_y=b_y", "b b_y=b_y -> k=k y=b_y_2", "c k=k y=b_y_2 -> y=y"],
    ),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("models", "pipeline", "steps"), JOINED.values(), ids=JOINED)
def test_own_models_are_joined_by_the_names_of_tensors_then_by_types(
    models: Models, pipeline: str, steps: list[str]
) -> None:
    assert build(stack(models, pipeline)) == 0
    assert wires(config("p")) == steps


@pytest.mark.usefixtures("here")
def test_a_chain_of_own_models_is_the_pipeline_of_its_steps() -> None:
    assert build(stack(PAIR, "{chain: [a, b]}")) == 0
    steps = "[{model: a, inputs: {x: x}, outputs: {y: y}}, {model: b, inputs: {z: y}, outputs: {w: w}}]"
    chained = config("p")
    assert build(stack(PAIR, f"{{steps: {steps}}}")) == 0
    assert chained == config("p")
    assert chained.max_batch_size == 4


BATCHES = {
    "the smallest limit": ("8", "4", 4),
    "one without batches": ("8", "0", 0),
    "none with batches": ("0", "0", 0),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("first", "second", "limit"), BATCHES.values(), ids=BATCHES)
def test_a_chain_of_own_models_batches_if_all_of_them_do(first: str, second: str, limit: int) -> None:
    models = {"a": f"x:FP32[2] -> y:FP32[2] batch {first}", "b": f"y:FP32[2] -> z:FP32[2] batch {second}"}
    assert build(stack(models, "{chain: [a, b]}")) == 0
    assert config("p").max_batch_size == limit


@pytest.mark.usefixtures("here")
def test_an_input_is_optional_if_it_is_to_all_who_read_it() -> None:
    models = {
        "a": "x:FP32[2] k:INT64[1]? n:INT64[1]? -> y:FP32[2]",
        "b": "y:FP32[2] k:INT64[1]? n:INT64[1] -> z:FP32[2]",
    }
    assert build(stack(models, "{chain: [a, b]}")) == 0
    assert {tensor.name: tensor.optional for tensor in config("p").input} == {"x": False, "k": True, "n": False}


TWO = {"a": "x:FP32[2] -> y:FP32[2] v:FP32[-1]", "b": "z:FP32[2] -> w:FP32[2]"}
WRONG: Mapping[str, tuple[Models, str, str, str]] = {
    "two outputs that fit": (
        TWO,
        "{chain: [a, b]}",
        (
            'tritonrepo.yaml:7:14: fatal: the chain of "p" is ambiguous: input "z" (FP32 [2]) of "b" can read '
            '"a.y" (FP32 [2]) or "a.v" (FP32 [-1]) [stack-meaning]'
        ),
        (
            'Rename the tensor that it reads to "z", or use steps instead of chain. One choice is `steps: '
            "[{model: a, inputs: {x: x}, outputs: {y: y}}, {model: b, inputs: {z: y}, outputs: {w: w}}]`."
        ),
    ),
    "more outputs than a message has place for": (
        {"a": f"x:FP32[2] -> {' '.join(f'y{n}:FP32[2]' for n in range(9))}", "b": "z:FP32[2] -> w:FP32[2]"},
        "{chain: [a, b]}",
        '"a.y4" (FP32 [2]), "a.y5" (FP32 [2]) or 3 more',
        "use steps instead of chain",
    ),
    "two inputs that fit": (
        {"a": "x:FP32[2] -> y:FP32[2]", "b": "u:FP32[2] z:FP32[-1] -> w:FP32[2]"},
        "{chain: [a, b]}",
        'the chain of "p" is ambiguous: "a.y" (FP32 [2]) can feed "u" and "z" of "b"',
        "use steps instead of chain",
    ),
    "another type": (
        {"a": "x:FP32[2] -> y:FP32[2]", "b": "y:FP16[2] -> w:FP32[2]"},
        "{chain: [a, b]}",
        (
            'the chain of "p" has nothing for input "y" (FP16 [2]) of "b", only '
            'the input "x" (FP32 [2]) and "a.y" (FP32 [2])'
        ),
        'Rename the tensor that it reads to "y", or use steps instead of chain.',
    ),
    "another size": (
        {"a": "x:FP32[2] -> y:FP32[2]", "b": "z:FP32[3] -> w:FP32[2]"},
        "{chain: [a, b]}",
        'the chain of "p" has nothing for input "z" (FP32 [3]) of "b"',
        "",
    ),
    "another rank": (
        {"a": "x:FP32[2] -> y:FP32[1, 2] batch 4", "b": "z:FP32[2] -> w:FP32[2] batch 4"},
        "{chain: [a, b]}",
        'the chain of "p" has nothing for input "z" (FP32 [2]) of "b"',
        "",
    ),
    "only one that is used": (
        {**PAIR, "c": "z:FP32[2] v:FP32[2] -> u:FP32[2]"},
        "{chain: [a, b, c], outputs: [u]}",
        'the chain of "p" is ambiguous: "b.w" (FP32 [2]) can feed "z" and "v" of "c"',
        "",
    ),
    "a model of which nobody reads anything": (
        {"a": "x:FP32[2] -> y:FP16[2]", "b": "x:FP32[2] -> w:FP32[2]"},
        "{chain: [a, b]}",
        'the chain of "p" does not use "a": nothing reads "a.y" (FP16 [2])',
        'Remove "a" from the chain, or list one of its outputs in outputs.',
    ),
    "one model": (PAIR, "{chain: [a]}", 'the chain of "p" has fewer than two models', "Add a model to the chain."),
    "an output that is an input": (
        {"a": "x:FP32[2] -> y:FP32[2]", "b": "y:FP32[2] -> x:FP32[2]"},
        "{chain: [a, b]}",
        'the chain of "p" has both an input and an output "x"',
        "Rename one of them in its model, or use steps instead of chain.",
    ),
    "an output of nobody": (
        PAIR,
        "{chain: [a, b], outputs: [w, yy]}",
        'tritonrepo.yaml:7:31: fatal: ensemble "p" lists the output "yy", which no model of its chain returns',
        'Did you mean "y"?',
    ),
    "an option of two types": (
        {"a": "x:FP32[2] k:INT64[1]? -> y:FP32[2]", "b": "y:FP32[2] k:STRING[1]? -> z:FP32[2]"},
        "{chain: [a, b]}",
        (
            'has nothing for input "k" (STRING [1]) of "b", only the input "x" (FP32 [2]), '
            'the input "k" (INT64 [1]) and "a.y" (FP32 [2])'
        ),
        "",
    ),
    "tensors that are not known": (
        {"a": "x:FP32[2] -> ", "b": "y:FP32[2] -> z:FP32[2]"},
        "{chain: [a, b]}",
        'tritonrepo.yaml:7:14: fatal: the config of model "a" lists no output, so the chain of "p" cannot be joined',
        'Add it to the config of "a".',
    ),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("models", "pipeline", "said", "hint"), WRONG.values(), ids=WRONG)
def test_what_keeps_a_chain_from_being_joined_is_told(
    capsys: pytest.CaptureFixture[str], models: Models, pipeline: str, said: str, hint: str
) -> None:
    assert build(stack(models, pipeline)) == 2
    told = capsys.readouterr().err
    assert said in told
    assert hint in told
    assert not Path("model_repository").exists()


@pytest.mark.usefixtures("here")
def test_what_is_wrong_with_a_pipeline_is_told_once_if_another_one_chains_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = {**TWO, "c": "w:FP32[2] -> u:FP32[2]"}
    assert build(f"{stack(models, '{chain: [a, b]}')}  q: {{chain: [p, c]}}\n") == 2
    assert capsys.readouterr().err.count("fatal:") == 1
    unknown = {**models, "b": "z:FP32[2] -> "}
    assert build(f"{stack(unknown, '{chain: [a, b]}')}  q: {{chain: [p, c]}}\n") == 2
    assert capsys.readouterr().err.count("fatal:") == 1


@pytest.mark.usefixtures("here")
def test_tensors_without_a_type_are_told_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    whole = stack(PAIR, "{chain: [a, b]}")
    assert build(changed("{name: w, data_type: TYPE_FP32, dims: [2]}", "{name: w}, {dims: [2]}", whole)) == 2
    told = capsys.readouterr().err
    assert 'output "w" of model "b" has no data_type and no dims, so the chain of "p" cannot be joined' in told
    assert 'output 1 of model "b" has no name and no data_type' in told


@pytest.mark.usefixtures("here")
def test_the_steps_of_a_hint_build_a_pipeline(capsys: pytest.CaptureFixture[str]) -> None:
    models = {"a": "x:FP32[2] -> yes:FP32[2] v:FP32[2]", "b": "z:FP32[2] -> w:FP32[2]"}
    assert build(stack(models, "{chain: [a, b]}")) == 2
    steps = capsys.readouterr().err.partition("`")[2].partition("`")[0]
    assert build(stack(models, f"{{{steps}}}")) == 0
    assert wires(config("p")) == ["a x=x -> yes=yes", "b z=yes -> w=w"]


def mixed(rag: Path, models: Models, pipeline: str) -> ModelConfig:
    """Build the example with own models and a pipeline `p` in place of its own, and return the pipeline's config."""
    (rag / "model.py").write_text("class TritonPythonModel:\n    def execute(self, requests): ...\n", "utf-8")
    path = rag / "tritonrepo.yaml"
    text = path.read_text("utf-8").partition("ensembles:\n")[0]
    path.write_text(f"{text}{''.join(model(*each) for each in models.items())}ensembles:\n  p: {pipeline}\n", "utf-8")
    out = rag / "out"
    api.apply_build(api.plan_build(api.load([path], api.Workspace(os.environ)), out))
    return text_format.Parse((out / "p" / "config.pbtxt").read_text("utf-8"), ModelConfig())


SEARCH = ["embedder text=query -> embedding=query_embedding", "retriever embedding=query_embedding query=query ->"]
MIXED: Mapping[str, tuple[Models, str, list[str], int]] = {
    "a classifier of vectors": (
        {"o": "vector:FP32[384] -> label:STRING[1] batch 16"},
        "{chain: [embedder, o]}",
        [SEARCH[0], "o vector=query_embedding -> label=label"],
        16,
    ),
    "a model whose first dim is the batch of a role": (
        {"o": "vectors:FP32[-1, 384] -> label:STRING[1]"},
        "{chain: [embedder, o]}",
        [SEARCH[0], "o vectors=query_embedding -> label=label"],
        0,
    ),
    "a reranker": (
        {"o": "query:STRING[1] passages:STRING[-1] -> passages:STRING[-1] batch 8"},
        "{chain: [embedder, retriever, o]}",
        [
            SEARCH[0],
            f"{SEARCH[1]} passages=retriever_passages",
            "o passages=retriever_passages query=query -> passages=passages",
        ],
        8,
    ),
    "a rewriter of the query": (
        {"o": "query:STRING[1] -> query:STRING[1]"},
        "{chain: [o, embedder, retriever], outputs: [ids]}",
        [
            "o query=query -> query=o_query",
            SEARCH[0].replace("text=query", "text=o_query"),
            f"{SEARCH[1].replace('query=query ', 'query=o_query ')} ids=ids",
        ],
        0,
    ),
    "one that reads metadata, and one list that is joined by its type, which is not the metadata": (
        {"o": "metadata:STRING[-1] passages:STRING[-1] names:STRING[-1] -> best:STRING[1] batch 8"},
        "{chain: [embedder, retriever, o]}",
        [
            SEARCH[0],
            f"{SEARCH[1]} ids=ids metadata=metadata passages=passages",
            "o metadata=metadata names=ids passages=passages -> best=best",
        ],
        8,
    ),
    "an input with the name of a tensor between the steps of a role": (
        {"o": "prompt:STRING[1] -> query:STRING[1]"},
        "{chain: [o, embedder, retriever, generator]}",
        [
            "o prompt=prompt -> query=query",
            SEARCH[0],
            f"{SEARCH[1]} metadata=metadata passages=passages",
            (
                "generator_prompt exclude_input_in_output=exclude_input_in_output messages=messages metadata=metadata "
                "passages=passages query=query sampling_parameters=sampling_parameters stream=stream -> "
                "exclude_input_in_output=chosen_exclude_input_in_output prompt=generator_prompt "
                "sampling_parameters=chosen_sampling_parameters stream=chosen_stream"
            ),
            (
                "generator exclude_input_in_output=chosen_exclude_input_in_output "
                "sampling_parameters=chosen_sampling_parameters stream=chosen_stream text_input=generator_prompt -> "
                "text_output=answer"
            ),
        ],
        0,
    ),
    "one that returns other passages, to which the metadata of the search do not belong": (
        {"o": "passages:STRING[-1] -> passages:STRING[-1]"},
        "{chain: [embedder, retriever, o, generator]}",
        [
            SEARCH[0],
            f"{SEARCH[1]} passages=retriever_passages",
            "o passages=retriever_passages -> passages=passages",
            (
                "generator_prompt exclude_input_in_output=exclude_input_in_output messages=messages "
                "passages=passages query=query sampling_parameters=sampling_parameters stream=stream -> "
                "exclude_input_in_output=chosen_exclude_input_in_output prompt=prompt "
                "sampling_parameters=chosen_sampling_parameters stream=chosen_stream"
            ),
            (
                "generator exclude_input_in_output=chosen_exclude_input_in_output "
                "sampling_parameters=chosen_sampling_parameters stream=chosen_stream text_input=prompt -> "
                "text_output=answer"
            ),
        ],
        0,
    ),
}


@pytest.mark.parametrize(("models", "pipeline", "steps", "limit"), MIXED.values(), ids=MIXED)
def test_own_models_are_joined_with_roles(
    rag: Path, models: Models, pipeline: str, steps: list[str], limit: int
) -> None:
    found = mixed(rag, models, pipeline)
    assert wires(found) == steps
    assert found.max_batch_size == limit


FED: Mapping[str, tuple[Models, str, str]] = {
    "a query of another name": (
        {"o": "text:STRING[1] -> better:STRING[1]"},
        "{chain: [o, embedder, retriever]}",
        (
            'has nothing for input "query" (STRING [1]) of "embedder", only '
            'the input "text" (STRING [1]) and "o.better" (STRING [1])'
        ),
    ),
    "a search without an embedder": (
        {"o": "ids:STRING[-1] -> best:STRING[1] batch 8"},
        "{chain: [retriever, o]}",
        'has nothing for input "query_embedding" (FP32 [384]) of "retriever", only the input "query" (STRING [1])',
    ),
    "texts of which two fit": (
        {"o": "texts:STRING[-1] -> best:STRING[1] batch 8"},
        "{chain: [embedder, retriever, o]}",
        'of "o" can read "retriever.passages" (STRING [8]) or "retriever.ids" (STRING [8])',
    ),
    "another embedder": (
        {"o": "query:STRING[1] -> query_embedding:FP32[384]"},
        "{chain: [o, retriever]}",
        '"o" cannot feed "retriever", whose index is built with "embedder"',
    ),
    "an answer beside what is not streamed": (
        {"o": "answer:STRING[-1] query:STRING[1] -> loud:STRING[-1]"},
        "{chain: [embedder, retriever, generator, o]}",
        "mixed-decoupled-sources",
    ),
}


@pytest.mark.parametrize(("models", "pipeline", "said"), FED.values(), ids=FED)
def test_what_keeps_own_models_and_roles_apart_is_told(rag: Path, models: Models, pipeline: str, said: str) -> None:
    with pytest.raises(Stop) as stop:
        mixed(rag, models, pipeline)
    assert said in str(stop.value)


TIDY = """\
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(pb_utils.get_input_tensor_by_name(request, "text").as_numpy()) for request in requests]

    def answer(self, texts):
        found = [text.decode().removeprefix("Please: ").encode() for text in texts.ravel()]
        return pb_utils.InferenceResponse([pb_utils.Tensor("query", np.array(found, object).reshape(texts.shape))])
"""
LOUD = TIDY.replace('"text"', '"answer"').replace('"query"', '"loud"').replace('.removeprefix("Please: ")', ".upper()")
OWN = """\
  tidy:
    backend: python
    source: ./tidy.py
    config:
      input: [{name: text, data_type: TYPE_STRING, dims: [1]}]
      output: [{name: query, data_type: TYPE_STRING, dims: [1]}]
  loud:
    backend: python
    source: ./loud.py
    config:
      input: [{name: answer, data_type: TYPE_STRING, dims: [-1]}]
      output: [{name: loud, data_type: TYPE_STRING, dims: [-1]}]
  add: {backend: onnxruntime, source: ./add.onnx}
  more: {backend: onnxruntime, source: ./add.onnx}
  double:
    backend: python
    source: ./double.py
    config:
      max_batch_size: 8
      input: [{name: IN, data_type: TYPE_FP32, dims: [2]}]
      output: [{name: OUT, data_type: TYPE_FP32, dims: [2]}]

ensembles:
  numbers: {chain: [add, double, more]}
  tidied: {chain: [tidy, search]}
"""
QUESTION = "How do I roll a model back?"
ASKED = f"Please: {QUESTION}"


def test_chains_with_own_models_are_served_and_answer(rag: Path) -> None:
    """A chain of own models, one in front of a search, and one on each side of an answer."""
    for name, source in {"tidy": TIDY, "loud": LOUD, "double": DOUBLE}.items():
        (rag / f"{name}.py").write_text(source, "utf-8")
    add_graph(rag / "add.onnx")
    path, work = rag / "tritonrepo.yaml", api.Workspace(os.environ)
    text = path.read_text("utf-8").replace("ensembles:\n", OWN, 1)
    changes = {
        "chain: [embedder, retriever, reranker, generator]": "chain: [tidied, generator, loud]",
        "outputs: [answer, sources]": "outputs: [loud]",
        "{model: rag, inputs: {query:": "{model: rag, inputs: {text:",
        "expect: {answer:": "expect: {loud:",
    }
    for old, new in changes.items():
        text = changed(old, new, text)
    path.write_text(text, "utf-8")
    out = rag / "out"
    api.apply_build(api.plan_build(api.load([path], work), out))
    with killed(api.serve(out, api.ServeOptions(api.Ports(0, 0, 0), engine="script"), work)) as server:
        client = Client(server.endpoint)
        assert client.generate("numbers", {"x": [1, -3]})["y"] == [2 * (1 + 1) + 1, 2 * (-3 + 1) + 1]
        found, plain = client.generate("tidied", {"text": ASKED}), client.generate("search", {"query": QUESTION})
        said = "".join(str(event["loud"]) for event in client.stream("rag", {"text": ASKED, "stream": True}))
        results = list(api.smoke(server.endpoint, api.known(str(path), work), {"rag", "tidied", "numbers"}))
    assert [found[name] for name in ("ids", "scores")] == [plain[name] for name in ("ids", "scores")]
    assert "KEEP IT UNTIL THE NEW" in said
    assert said == said.upper()
    assert not [result for result in results if result.outcome is Outcome.FAILED and result.check is not Check.AT_ONCE]
    assert {result.model for result in results if result.check is Check.DECLARED} == {"rag"}
