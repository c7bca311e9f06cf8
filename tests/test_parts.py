"""Parts: roles as values, chains joined by their ports, generated fields that know where they are from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from tests.tabled import tabled
from tritonrepo import repository
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span
from tritonrepo.parts import PARTS
from tritonrepo.parts.sampling import generating
from tritonrepo.smoke import expected
from tritonrepo.smoke.case import Case, Crowd, Result
from tritonrepo.smoke.plan import Known
from tritonrepo.smoke.served import of_config
from tritonrepo.spec.part import Port
from tritonrepo.spec.wiring import possible, wired
from tritonrepo.stores import open_store


def test_the_shape_of_a_part_imports_no_layer_above() -> None:
    script = "import sys, tritonrepo.spec; print(*{name for name in sys.modules if name.startswith('tritonrepo.')})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    layers = {name.split(".")[1] for name in done.stdout.split()}
    assert layers == {"spec", "llm", "pbtxt", "diagnostics", "packaged", "plain", "releases"}


JOINED = {
    "a search": (["embedder", "retriever"], True),
    "an answer": (["embedder", "retriever", "generator"], True),
    "a search with a second look": (["embedder", "retriever", "reranker"], True),
    "two looks": (["embedder", "retriever", "reranker", "reranker"], True),
    "an answer from the best": (["embedder", "retriever", "reranker", "generator"], True),
    "nothing to look at": (["embedder", "reranker"], False),
    "a look before the search": (["embedder", "reranker", "retriever"], False),
    "one alone": (["embedder"], False),
    "none": ([], False),
    "nobody gives passages": (["embedder", "generator"], False),
    "nobody gives a vector": (["retriever", "generator"], False),
    "one whose passages nobody reads": (["embedder", "retriever", "retriever"], False),
    "one after the answer": (["embedder", "retriever", "generator", "embedder"], False),
}


@tabled(("chain", "joined"), JOINED.values(), ids=JOINED)
def test_a_chain_is_joined_by_the_names_of_ports(chain: Sequence[str], joined: bool) -> None:  # noqa: FBT001
    assert (not wired([(role, PARTS[role]) for role in chain]).gaps) == joined


CONTROLS = [
    Port("sampling_parameters", "STRING", (1,), optional=True),
    Port("stream", "BOOL", (1,), optional=True),
    Port("exclude_input_in_output", "BOOL", (1,), optional=True),
]
PORTS: dict[str, tuple[list[Port], list[Port]]] = {
    "embedder": ([Port("query", "STRING", (1,))], [Port("query_embedding", "FP32", (-1,))]),
    "retriever": (
        [Port("query_embedding", "FP32", (-1,)), Port("query", "STRING", (1,), optional=True, by_name=True)],
        [
            Port("passages", "STRING", (-1,)),
            Port("ids", "STRING", (-1,)),
            Port("scores", "FP32", (-1,)),
            Port("metadata", "STRING", (-1,), by_name=True),
        ],
    ),
    "reranker": (
        [
            Port("query", "STRING", (1,)),
            Port("passages", "STRING", (-1,)),
            Port("ids", "STRING", (-1,)),
            Port("metadata", "STRING", (-1,), optional=True, by_name=True, beside="passages"),
        ],
        [
            Port("passages", "STRING", (-1,)),
            Port("ids", "STRING", (-1,)),
            Port("scores", "FP32", (-1,)),
            Port("metadata", "STRING", (-1,), by_name=True),
        ],
    ),
    "generator": (
        [
            Port("query", "STRING", (1,)),
            Port("passages", "STRING", (-1,)),
            Port("metadata", "STRING", (-1,), optional=True, by_name=True, beside="passages"),
            Port("messages", "STRING", (1,), optional=True),
            *CONTROLS,
        ],
        [Port("answer", "STRING", (-1,))],
    ),
    "model": ([], []),
}


def test_each_role_takes_and_gives_what_own_parts_rely_on() -> None:
    assert {role: ([*part.takes], [*part.gives]) for role, part in PARTS.items()} == PORTS


TYPES = {
    "the same": (Port("passages", "STRING", (-1,)), True),
    "a length that may fit": (Port("passages", "STRING", (4,)), True),
    "another data type": (Port("passages", "FP32", (-1,)), False),
    "another rank": (Port("passages", "STRING", (-1, 2)), False),
    "another length": (Port("query", "STRING", (2,)), False),
    "an optional one that is not there": (Port("filter", "STRING", (1,), optional=True), False),
}


@tabled(("port", "joined"), TYPES.values(), ids=TYPES)
def test_a_chain_is_joined_by_the_types_of_ports(port: Port, joined: bool) -> None:  # noqa: FBT001
    last = replace(PARTS["generator"], takes=(port,))
    chain = [(role, PARTS[role]) for role in ("embedder", "retriever")]
    assert (not wired([*chain, ("last", last)]).gaps) == joined


def test_of_two_that_give_the_same_the_later_one_feeds_what_follows() -> None:
    """A reranker between the two would do this: the names of the ensemble's tensors stay distinct."""
    again = replace(PARTS["retriever"], takes=(Port("query", "STRING", (1,)), Port("passages", "STRING", (-1,))))
    pipeline = wired([("e", PARTS["embedder"]), ("r", PARTS["retriever"]), ("k", again), ("g", PARTS["generator"])])
    assert not pipeline.gaps
    _, first, second, last = pipeline.members
    assert first.gives == {"passages": "r_passages"}  # its metadata are not those of the later passages
    assert second.takes == {"query": "query", "passages": "r_passages"}
    assert second.gives == {"passages": "passages", "metadata": "metadata"}
    assert last.takes["passages"] == "passages"
    assert last.makers == {"passages": "k", "metadata": "k"}


def test_one_that_rewrites_the_query_feeds_what_follows_under_a_name_of_its_own() -> None:
    query = Port("query", "STRING", (1,))
    rewriter = replace(PARTS["embedder"], takes=(query,), gives=(query,))
    chain = [("w", rewriter), ("e", PARTS["embedder"]), ("r", PARTS["retriever"])]
    pipeline = wired(chain)
    assert not pipeline.gaps
    first, second, third = pipeline.members
    assert (first.takes, first.gives, second.takes) == (
        {"query": "query"},
        {"query": "w_query"},
        {"query": "w_query"},
    )
    assert third.takes == {"query_embedding": "query_embedding", "query": "w_query"}
    assert pipeline.inputs == (query,)
    last = replace(rewriter, takes=(Port("passages", "STRING", (-1,)),))
    assert wired([*chain, ("l", last)]).gaps  # an ensemble's output cannot be its input


def test_what_is_joined_by_its_name_alone_is_no_input_of_a_pipeline_that_does_not_have_it() -> None:
    vector, wish = Port("query_embedding", "FP32", (-1,)), Port("wish", "INT64", (1,), optional=True)
    ears = replace(PARTS["embedder"], takes=(Port("sound", "FP32", (8,)),), gives=(vector,))
    search = replace(PARTS["retriever"], takes=(*PARTS["retriever"].takes, wish))
    pipeline = wired([("e", ears), ("r", search)], [Port("sound", "FP32", (8,))])
    assert not pipeline.gaps
    assert pipeline.inputs == (Port("sound", "FP32", (8,)), wish)
    assert pipeline.members[1].takes == {"query_embedding": "query_embedding", "wish": "wish"}


def test_the_tensors_between_the_steps_of_two_of_one_role_have_names_of_their_own() -> None:
    again = replace(PARTS["generator"], takes=(Port("query", "STRING", (1,)), Port("answer", "STRING", (-1,))))
    pipeline = wired([("e", PARTS["embedder"]), ("r", PARTS["retriever"]), ("g", PARTS["generator"]), ("h", again)])
    assert not pipeline.gaps
    assert [member.inner.get("prompt") for member in pipeline.members] == [None, None, "prompt", "h_prompt"]


def test_a_chain_that_nobody_asks_anything_is_none() -> None:
    """Its only input would be one that no model reads."""
    constant = replace(PARTS["embedder"], takes=())
    assert wired([("c", constant), ("r", PARTS["retriever"])]).gaps
    assert not wired([("e", PARTS["embedder"]), ("r", PARTS["retriever"])]).gaps


def test_an_option_has_one_type_for_all_who_take_it() -> None:
    last = PARTS["generator"]
    other = Port("stream", "STRING", (1,), optional=True)
    search = replace(PARTS["retriever"], takes=(*PARTS["retriever"].takes, other))
    assert wired([("e", PARTS["embedder"]), ("r", search), ("g", last)]).gaps


def test_the_chains_that_are_offered_are_those_that_can_be_joined() -> None:
    assert possible(PARTS) == [
        "embedder → retriever",
        "embedder → retriever → reranker",
        "embedder → retriever → generator",
        "embedder → retriever → reranker → generator",
    ]


def test_four_chains_are_offered_at_most_the_shortest_first() -> None:
    many = {**PARTS, **{f"e{number}": PARTS["embedder"] for number in range(4)}}
    assert possible(many) == [f"{role} → retriever" for role in ("embedder", "e0", "e1", "e2")]
    two = {**PARTS, "e0": PARTS["embedder"]}
    searches = [f"{role} → retriever" for role in ("embedder", "e0")]
    assert possible(two) == [*searches, *(f"embedder → retriever → {role}" for role in ("reranker", "generator"))]


def test_a_finding_on_an_engine_argument_is_at_its_own_line(rag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rag / "tritonrepo.yaml"
    inline = "args: {max_model_len: 4096, gpu_memory_utilization: 0.5, max_num_seqs: 64}"
    own = "args:\n      max_model_len: 4096\n      gpu_memory_utilisation: 0.5"
    path.write_text(path.read_text().replace(inline, own))
    line = path.read_text()[: path.read_text().index("gpu_memory_utilisation")].count("\n") + 1
    assert run(["validate", str(rag)]) == 1
    said = capsys.readouterr().out
    assert f"{path}:{line}:31: error: vLLM has no engine argument" in said
    assert "in the generated generator/2/model.json:2:3 [vllm-unknown-engine-arg]" in said


ASKED: dict[str, tuple[str, list[tuple[str, ...]]]] = {
    "embedder": (
        "embedder",
        [("reference", "1 passage"), ("reference", "8 passages"), ("crowd", "32", "batched")],
    ),
    "embedder_model": ("", []),
    "generator": ("", []),
    "generator_prompt": (
        "generator",
        [*(("prompt", f'"Which gauge of hall {hall} is read first?"') for hall in (0, 1)), ("crowd", "8")],
    ),
    "rag": ("retriever", [("stream", ""), ("stream", "in one piece"), ("crowd", "4")]),
    "retriever": (
        "retriever",
        [
            ("search", '"sequence-batching"'),
            ("search", '"max-queue-delay"'),
            ("search", "60 passages"),
            ("crowd", "32", "batched"),
        ],
    ),
    "reranker": (
        "reranker",
        [("ranking", "1 list"), ("ranking", "8 lists"), ("ranking", "2 orders"), ("crowd", "8", "batched")],
    ),
    "search": ("reranker", [("ranking", '"model-repository-layout"'), ("crowd", "8")]),
}


def told(case: Case | Crowd | Result) -> tuple[str, ...]:
    if isinstance(case, Crowd):
        return ("crowd", str(len(case.cases)), *(["batched"] if case.batched else []))
    return str(case.check), case.what


@pytest.mark.parametrize("name", ASKED)
def test_each_part_asks_its_own_models_and_a_search_the_pipelines_around_it(rag_repository: Path, name: str) -> None:
    store, prefix = open_store(str(rag_repository))
    models = expected.of(repository.read(store.scan(prefix), repository.target()), "r")
    text = (rag_repository / name / "config.pbtxt").read_text("utf-8")
    config = json_format.MessageToDict(text_format.Parse(text, ModelConfig()), preserving_proto_field_name=True)
    if name == "rag":  # a server says so of an ensemble by itself
        config["model_transaction_policy"] = {"decoupled": True}
    known = Known(Span("r"), models, parts=PARTS)
    found = {
        role: [told(case) for case in part.cases(of_config(config, "1", Span("s")), known)]
        for role, part in PARTS.items()
    }
    role, asked = ASKED[name]
    assert {role: cases for role, cases in found.items() if cases} == ({role: asked} if asked else {})


SAMPLING = [
    "n",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "stop_token_ids",
    "bad_words",
    "include_stop_str_in_output",
    "ignore_eos",
    "max_tokens",
    "min_tokens",
    "logprobs",
    "prompt_logprobs",
    "detokenize",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "truncate_prompt_tokens",
    "logit_bias",
    "allowed_token_ids",
    "structured_outputs",
    "guided_decoding",
    "extra_args",
    "lora_name",
]


@tabled("name", SAMPLING)
def test_a_sampling_parameter_is_taken_and_told_where_it_is_misspelt(name: str) -> None:
    """Fields of vLLM's SamplingParams, vllm/sampling_params.py of 0.10 and newer, and the backend's lora_name."""
    assert [*generating({}, {name: 1})] == []
    if len(name) > 3:
        misspelt = f"{name}s"
        hint = (misspelt, f'Did you mean "{name}"?')
        assert [(said.split('"')[1], next_step) for _, said, next_step in generating({}, {misspelt: 1})] == [hint]
