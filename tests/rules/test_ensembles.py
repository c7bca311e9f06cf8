"""Corner cases of the rules on ensembles, over several models; the words are those of Triton 24.10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest

from tests.pages import judged, loud
from tritonrepo.tree import Directory, Entry, of_text

FP32 = "TYPE_FP32"
PYTHON = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
COMPLETES = PYTHON + "    @staticmethod\n    def auto_complete_config(config):\n        return config\n"


def port(kind: str, name: str, dims: str = "4", data_type: str = FP32, more: str = "") -> str:
    """Give an input or output."""
    return f'{kind} {{ name: "{name}" data_type: {data_type} dims: [ {dims} ] {more} }}\n'


def step(model: str, reads: Mapping[str, str], writes: Mapping[str, str], version: str = "model_version: -1") -> str:
    """Give a step; the maps are model's tensor → ensemble's tensor."""
    maps = [f'input_map {{ key: "{key}" value: "{value}" }}' for key, value in reads.items()]
    maps += [f'output_map {{ key: "{key}" value: "{value}" }}' for key, value in writes.items()]
    return f'  step {{ model_name: "{model}" {version} {" ".join(maps)} }}\n'


def ensemble(*steps: str, io: str = port("input", "IN") + port("output", "OUT"), more: str = "") -> str:
    """Give an ensemble's config."""
    return f'platform: "ensemble"\n{more}{io}ensemble_scheduling {{\n{"".join(steps)}}}\n'


def member(io: str = port("input", "IN") + port("output", "OUT"), more: str = "", backend: str = "identity") -> str:
    """Give the config of a model that a step runs."""
    return f'backend: "{backend}"\n{more}{io}'


class Case(NamedTuple):
    """Configs by model, files beside them; model → the start of its rule's reason; all rules that speak up."""

    configs: Mapping[str, str]
    rule: str = ""
    reason: str = ""
    also: Sequence[str] = ()
    files: Mapping[str, str] = {}
    options: str = ""


def tree(case: Case) -> dict[str, Entry]:
    """Give the case's repository; every model has an empty version 1."""
    found: dict[str, Entry] = {f"{name}/config.pbtxt": of_text(text) for name, text in case.configs.items()}
    found |= {f"{name}/1": Directory() for name in case.configs}
    for path, text in case.files.items():
        found[path] = of_text(text)
        found.pop(path.rpartition("/")[0], None)
    return found


CHAIN = (step("a", {"IN": "IN"}, {"OUT": "mid"}), step("b", {"IN": "mid"}, {"OUT": "OUT"}))
ONE = step("a", {"IN": "IN"}, {"OUT": "OUT"})
A = {"a": member()}
AB = {"a": member(), "b": member()}
TWICE = port("input", "IN") + port("output", "OUT") + port("output", "OTHER")

FLOW = {
    "steps in any order": Case({"e": ensemble(*reversed(CHAIN)), **AB}),
    "one model in two steps": Case({"e": ensemble(CHAIN[0], step("a", {"IN": "mid"}, {"OUT": "OUT"})), **A}),
    "a step that feeds an input back": Case({"e": ensemble(ONE, step("b", {"IN": "IN"}, {"OUT": "IN"})), **AB}),
    "a key of a map twice counts once": Case(
        {"e": ensemble(CHAIN[0].replace("{ key", '{ key: "IN" value: "gone" } input_map { key', 1), CHAIN[1]), **AB},
        also=["map-key-twice"],
    ),
    "a misspelt input is one fault": Case(
        {"e": ensemble(step("a", {"IN": "INN"}, {"OUT": "OUT"})), **A},
        "ensemble-input-unused",
        "ensemble input 'IN' for ensemble e' is not used",
    ),
    "a misspelt tensor between steps is one fault": Case(
        {"e": ensemble(CHAIN[0], step("b", {"IN": "middle"}, {"OUT": "OUT"})), **AB},
        "output-not-written",
        "output 'OUT' for ensemble 'e' is not written: at least one of its depending tensors, "
        "'middle', is not connected",
    ),
    "an output that is only read": Case(
        {"e": ensemble(ONE, io=port("input", "IN") + TWICE.partition("\n")[2] + port("output", "X")), **A},
        "ensemble-output-unused",
        "ensemble output 'OTHER' for ensemble e' is not used",
    ),
    "no inputs at all": Case(
        {"e": ensemble(ONE, io=port("output", "OUT")), **A},
        "output-not-written",
        "output 'OUT' for ensemble 'e' is not written: at least one of its depending tensors, 'IN', is not connected",
    ),
    "no outputs at all": Case(
        {"e": ensemble(ONE, io=port("input", "IN")), **A},
        "tensor-never-read",
        "ensemble tensor 'OUT' is unused in ensemble 'e'",
    ),
    "two tensors that never come": Case(
        {
            "e": ensemble(step("a", {"X": "x", "Y": "y"}, {"OUT": "OUT"}), step("b", {"IN": "IN"}, {"OUT": "z"})),
            "a": member(port("input", "X") + port("input", "Y") + port("output", "OUT")),
            "b": member(),
        },
        "output-not-written",
        "output 'OUT' for ensemble 'e' is not written: at least one of its depending tensors, 'x', is not connected",
        ["tensor-not-ready"],
    ),
    "broken maps say nothing of the flow": Case(
        {"e": ensemble(step("a", {"IN": "IN"}, {}), CHAIN[1]), **AB},
        "step-output-map",
        "must specify 'output_map' in step 0 of ensemble 'e'",
    ),
    "the name in the config is the one in the text": Case(
        {"e": ensemble(more='name: "other"\n'), **A},
        "ensemble-no-step",
        "must specify 'step' for ensemble 'other'",
        ["name-differs-from-directory"],
    ),
}

INNER = ensemble(ONE)
INTO = {name: ensemble(step(to, {"IN": "IN"}, {"OUT": "OUT"})) for name, to in (("e", "f"), ("f", "g"), ("g", "f"))}

MEMBERS = {
    "an ensemble in an ensemble": Case({"e": ensemble(step("f", {"IN": "IN"}, {"OUT": "OUT"})), "f": INNER, **A}),
    "a version that is not the latest": Case(
        {"e": ensemble(step("a", {"IN": "IN"}, {"OUT": "OUT"}, "model_version: 1")), **A},
        "step-version-not-loaded",
        "ensemble 'e' depends on 'a' whose required version 1 is not loaded.",
        files={"a/2/weights": ""},
    ),
    "no version is version 0": Case(
        {"e": ensemble(step("a", {"IN": "IN"}, {"OUT": "OUT"}, "")), **A},
        "step-version-not-loaded",
        "ensemble 'e' depends on 'a' whose required version 0 is not loaded.",
    ),
    "the last of two models that fail is named": Case(
        {"e": ensemble(*CHAIN), "a": member(backend="nosuch"), "b": member(backend="nosuch")},
        "step-model-failed",
        "ensemble 'e' depends on 'b' which has no loaded version.",
        ["backend-library-not-found"],
    ),
    "of several versions that are not there the highest": Case(
        {
            "e": ensemble(
                step("a", {"IN": "IN"}, {"OUT": "mid"}, "model_version: 7"),
                step("a", {"IN": "mid"}, {"OUT": "OUT"}, "model_version: 2"),
            ),
            **A,
        },
        "step-version-not-loaded",
        "ensemble 'e' depends on 'a' whose required version 7 is not loaded.",
    ),
    "the first of two missing models is named": Case(
        {"e": ensemble(*CHAIN)},
        "step-model-missing",
        "ensemble e contains models that are not available or ambiguous: a",
    ),
    "a model that is refused as it is read is missing": Case(
        {"e": ensemble(ONE), "a": member(more="max_batch_size: -1\n")},
        "step-model-missing",
        "ensemble e contains models that are not available or ambiguous: a",
        ["max-batch-size-negative"],
    ),
    "a model without versions does not load": Case(
        {"e": ensemble(ONE), "a": member(more="version_policy { specific { versions: [ 3 ] } }\n")},
        "step-model-failed",
        "ensemble 'e' depends on 'a' which has no loaded version.",
        ["policy-specific-none-present"],
    ),
    "bad I/O with auto-complete fails the model": Case(
        {"e": ensemble(ONE), "a": member(port("input", "IN", "0") + port("output", "OUT"))},
        "step-model-failed",
        "ensemble 'e' depends on 'a' which has no loaded version.",
        ["io-dim-invalid"],
    ),
    "bad I/O without auto-complete hides the model": Case(
        {"e": ensemble(ONE), "a": member(port("input", "IN", "0") + port("output", "OUT"))},
        "step-model-missing",
        "ensemble e contains models that are not available or ambiguous: a",
        ["io-dim-invalid"],
        options="--no-auto-complete",
    ),
    "two ensembles that use one another": Case(
        {"e": INTO["g"], "f": INTO["f"].replace('"g"', '"e"')},
        "ensemble-cycle",
        "circular dependency between ensembles: e -> ... -> f -> e",
    ),
    "a cycle with a missing model is no cycle": Case(
        {"e": ensemble(step("f", {"IN": "IN"}, {"OUT": "OUT"})), "f": "max_batch_size: x"},
        "step-model-missing",
        "ensemble e contains models that are not available or ambiguous: f",
        ["wrong-literal-type"],
    ),
}

BATCHED = {"more": "max_batch_size: 8\n"}


def io(reads: str, writes: str) -> str:
    """Give IN and OUT of these dims."""
    return port("input", "IN", reads) + port("output", "OUT", writes)


TENSORS = {
    "members that batch under an ensemble that does not": Case(
        {"e": ensemble(*CHAIN), "a": member(**BATCHED), "b": member()}
    ),
    "the full shapes fit": Case(
        {"e": ensemble(*CHAIN), "a": member(io("4", "4")), "b": member(io("4", "4"), **BATCHED)}
    ),
    "a batch from a fixed dim": Case(
        {"e": ensemble(ONE, io=io("2, 4", "2, 4")), "a": member(**BATCHED)},
        also=["ensemble-batching-over-fixed"],
    ),
    "a variable dim between two that differ": Case(
        {
            "e": ensemble(*CHAIN, step("a", {"IN": "last"}, {"OUT": "OUT"})).replace(
                'value: "OUT" } }\n  step', 'value: "last" } }\n  step', 1
            ),
            "a": member(),
            "b": member(io("-1", "4")),
        }
    ),
    "ranks differ": Case(
        {"e": ensemble(*CHAIN), "a": member(io("4", "4, 1")), "b": member()},
        "tensor-shape-differs",
        "in ensemble e, ensemble tensor mid: inconsistent shape: [4,1] is inferred from model a "
        "while [4] is inferred from model b",
    ),
    "the batch is in the reason": Case(
        {"e": ensemble(*CHAIN, **BATCHED), "a": member(io("4", "5"), **BATCHED), "b": member(**BATCHED)},
        "tensor-shape-differs",
        "in ensemble e, ensemble tensor mid: inconsistent shape: [-1,5] is inferred from model a "
        "while [-1,4] is inferred from model b",
    ),
    "the ensemble's own reshape counts": Case(
        {
            "e": ensemble(ONE, io=port("input", "IN", "2, 2", more="reshape { shape: [ 4 ] }") + port("output", "OUT")),
            **A,
        }
    ),
    "a member's reshape does not": Case(
        {
            "e": ensemble(ONE),
            "a": member(port("input", "IN", "4", more="reshape { shape: [ 2, 2 ] }") + port("output", "OUT")),
        }
    ),
    "an ensemble without types, which the server compares first": Case(
        {"e": ensemble(ONE, io='input { name: "IN" dims: [ 4 ] }\n' + port("output", "OUT")), **A},
        "tensor-type-differs",
        "in ensemble e, ensemble tensor IN: inconsistent data type: TYPE_INVALID is inferred from "
        "model e while TYPE_FP32 is inferred from model a",
        ["io-data-type-missing"],
    ),
    "a misspelt key is one fault": Case(
        {"e": ensemble(step("a", {"XX": "IN"}, {"OUT": "OUT"})), **A},
        "step-input-unknown",
        "in ensemble e, ensemble tensor IN is mapping to non-existing input XX in model a",
    ),
    "the batch size goes before the tensors": Case(
        {"e": ensemble(step("a", {"XX": "IN"}, {"OUT": "OUT"}), **BATCHED), "a": member(more="max_batch_size: 4\n")},
        "ensemble-batch-above-step",
        "ensemble e allows maximum batch size 8, but it contains model a which only allows maximum batch size to be 4",
        ["step-input-unknown"],
    ),
    "a Python model that may complete itself": Case(
        {"e": ensemble(step("a", {"MORE": "IN"}, {"MADE": "OUT"})), "a": member("", backend="python")},
        files={"a/1/model.py": COMPLETES},
    ),
    "a Python model that does not": Case(
        {
            "e": ensemble(step("a", {"MORE": "IN"}, {"OUT": "OUT"})),
            "a": member(port("output", "OUT"), backend="python"),
        },
        "step-input-unknown",
        "in ensemble e, ensemble tensor IN is mapping to non-existing input MORE in model a",
        files={"a/1/model.py": PYTHON},
    ),
    "what a completing model lists still has to fit": Case(
        {"e": ensemble(ONE), "a": member(port("input", "IN", data_type="TYPE_INT32"), backend="python")},
        "tensor-type-differs",
        "in ensemble e, ensemble tensor IN: inconsistent data type: TYPE_FP32 is inferred from model "
        "e while TYPE_INT32 is inferred from model a",
        files={"a/1/model.py": COMPLETES},
    ),
    "an ONNX model without tensors": Case(
        {"e": ensemble(ONE, **BATCHED), "a": member("", backend="onnxruntime")}, files={"a/1/model.onnx": "x"}
    ),
}

TEXT = port("input", "q", "1", "TYPE_STRING") + port("output", "t", "-1", "TYPE_STRING")
VLLM = member("", "instance_group { kind: KIND_MODEL }\n", "vllm")
ENGINE = {"llm/1/model.json": '{"model": "m"}'}
ASK = step("llm", {"text_input": "q"}, {"text_output": "t"})
DECOUPLED = {"more": "model_transaction_policy { decoupled: true }\n"}
BOTH = port("input", "IN") + port("output", "OUT") + port("output", "mid")

DECOUPLING = {
    "vLLM's tensors are known": Case({"e": ensemble(ASK, io=TEXT), "llm": VLLM}, files=ENGINE),
    "vLLM's later tensors are not": Case(
        {"e": ensemble(step("llm", {"text_input": "q", "image": "q"}, {"text_output": "t"}), io=TEXT), "llm": VLLM},
        "step-input-unknown",
        "in ensemble e, ensemble tensor q is mapping to non-existing input image in model llm",
        files=ENGINE,
    ),
    "vLLM without auto-complete has what is listed": Case(
        {"e": ensemble(ASK, io=TEXT), "llm": VLLM},
        "step-model-failed",
        "ensemble 'e' depends on 'llm' which has no loaded version.",
        [
            "vllm-text-output-missing",
            "vllm-not-decoupled",
            "step-input-unknown",
            "step-output-unknown",
        ],
        ENGINE,
        "--no-auto-complete",
    ),
    "decoupled steps in a chain": Case({"e": ensemble(*CHAIN), "a": member(**DECOUPLED), "b": member(**DECOUPLED)}),
    "two outputs of one decoupled step": Case(
        {"e": ensemble(step("a", {"IN": "IN"}, {"OUT": "OUT", "mid": "mid"}), io=BOTH), "a": member(BOTH, **DECOUPLED)}
    ),
    "an output beside a decoupled one": Case(
        {"e": ensemble(*CHAIN, io=BOTH), "a": member(), "b": member(**DECOUPLED)},
        "mixed-decoupled-sources",
        "in ensemble e, step of model 'e' receives inputs originated from different decoupled models",
    ),
    "a cache over a decoupled model": Case(
        {"e": ensemble(ONE, more="response_cache { enable: true }\n"), "a": member(**DECOUPLED)},
        "ensemble-response-cache-with-decoupled",
        "Response Cache does not currently support model e with 'decoupled' transaction policy. Please disable the "
        "response cache.",
    ),
    "a cache that is off over a decoupled model": Case(
        {"e": ensemble(ONE, more="response_cache { }\n"), "a": member(**DECOUPLED)}
    ),
    "an input and an output that nobody knows, of one name": Case(
        {
            "e": ensemble(
                step("a", {"IN": "read"}, {"OUT": "written"}), io=port("input", "both") + port("output", "both")
            ),
            **A,
        },
        "ensemble-input-unused",
        "ensemble input 'both' for ensemble e' is not used",
        ["ensemble-output-unused", "tensor-never-read"],
    ),
    "an ensemble around a decoupled one": Case(
        {
            "e": ensemble(
                step("f", {"IN": "IN"}, {"OUT": "mid"}), step("b", {"IN": "IN", "TOO": "mid"}, {"OUT": "OUT"})
            ),
            "f": INNER,
            "a": member(**DECOUPLED),
            "b": member(port("input", "IN") + port("input", "TOO") + port("output", "OUT")),
        },
        "mixed-decoupled-sources",
        "in ensemble e, step of model 'e' receives inputs originated from different decoupled models",
    ),
    "a step that may be decoupled": Case(
        {"e": ensemble(*CHAIN, io=BOTH), "a": member(), "b": member(backend="python")},
        files={"b/1/model.py": COMPLETES},
    ),
}


@pytest.mark.parametrize(
    "case",
    [*FLOW.values(), *MEMBERS.values(), *TENSORS.values(), *DECOUPLING.values()],
    ids=[*FLOW, *MEMBERS, *TENSORS, *DECOUPLING],
)
def test_verdict_and_words(case: Case) -> None:
    found = judged(tree(case), case.options)
    verdict = next(verdict for verdict in found.verdicts if verdict.model == "e")
    assert (verdict.rule, verdict.server_reason) == (case.rule, case.reason)
    spoken = loud(tree(case), case.options)
    quiet = {case.rule} if case.rule == "tensor-type-differs" and "io-data-type-missing" in case.also else set()
    assert spoken == {*filter(None, [case.rule]), *case.also} - quiet


def test_a_use_of_a_cycle_from_outside_takes_every_model_down() -> None:
    found = judged(tree(Case({**INTO, **A})))
    verdicts = {verdict.model: (verdict.verdict.value, verdict.rule) for verdict in found.verdicts}
    assert verdicts == {
        "a": ("crash", "ensemble-cycle-crash"),
        "e": ("crash", "ensemble-cycle-crash"),
        "f": ("crash", "ensemble-cycle-crash"),
        "g": ("crash", "ensemble-cycle-crash"),
    }


def test_three_in_a_cycle_are_told_of_the_way_that_was_found_first() -> None:
    ring = {name: ensemble(step(to, {"IN": "IN"}, {"OUT": "OUT"})) for name, to in (("a", "b"), ("b", "c"), ("c", "a"))}
    reasons = {verdict.model: verdict.server_reason for verdict in judged(tree(Case(ring))).verdicts}
    assert reasons == {
        "a": "circular dependency between ensembles: c -> ... -> b -> c",
        "b": "circular dependency between ensembles: a -> ... -> c -> a",
        "c": "circular dependency between ensembles: c -> ... -> b -> c",
    }


def test_long_chains_of_ensembles_need_no_recursion() -> None:
    names = [f"m{number:04}" for number in range(3000)]
    chain = {name: ensemble(step(to, {"IN": "IN"}, {"OUT": "OUT"})) for name, to in pairwise(names)}
    assert not loud(tree(Case({**chain, names[-1]: member()})))
    assert loud(tree(Case({**chain, names[-1]: ensemble(step(names[0], {"IN": "IN"}, {"OUT": "OUT"}))}))) == {
        "ensemble-cycle"
    }


CALLER = member(backend="python")
CALLS = {
    "the version that is there": ({"b/1/model.py": "", "a/1/calls.json": '{"b": 1}'}, set()),
    "the newest": ({"a/1/calls.json": '{"b": -1}'}, set()),
    "another version": ({"a/1/calls.json": '{"b": 2}'}, {"calls-version-missing"}),
    "a model that is not there": ({"a/1/calls.json": '{"c": 1}'}, {"calls-model-missing"}),
    "each calls the other": ({"a/1/calls.json": '{"b": 1}', "b/1/calls.json": '{"a": 1}'}, {"calls-cycle"}),
    "back through an ensemble": ({"b/1/calls.json": '{"e": 1}'}, {"calls-cycle"}),
    "a file that is not ours": ({"a/1/calls.json": '["c"]'}, set()),
    "a file that is no JSON": ({"a/1/calls.json": "{"}, set()),
    "a version that is not served calls nothing": ({"a/0/calls.json": '{"c": 1}'}, {"version-zero"}),
}


@pytest.mark.parametrize(("files", "expected"), CALLS.values(), ids=CALLS)
def test_calls(files: Mapping[str, str], expected: set[str]) -> None:
    steps = {"a/1/model.py": PYTHON, "b/1/model.py": PYTHON}
    assert (
        loud(tree(Case({"a": CALLER, "b": CALLER, "e": ensemble(*CHAIN)}, files={**steps, **files, **steps})))
        == expected
    )
