"""Corner cases of the rules on ensembles, over several models; the words are those of Triton 24.10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest

from tests.mending import mended
from tests.pages import judged, loud
from tests.tabled import tabled
from tritonrepo.diagnostics import Create
from tritonrepo.rules import RULES
from tritonrepo.rules.ensembles.steps import listed
from tritonrepo.tree import Directory, Entry, Link, of_text

FAMILY = {name for name, rule in RULES.items() if ".rules.ensembles." in rule.check.__module__}
FP32 = "TYPE_FP32"
PYTHON = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
COMPLETES = PYTHON + "    @staticmethod\n    def auto_complete_config(config):\n        return config\n"


def port(kind: str, name: str, dims: str = "4", data_type: str = FP32, more: str = "") -> str:
    """Return an input or output."""
    return f'{kind} {{ name: "{name}" data_type: {data_type} dims: [ {dims} ] {more} }}\n'


def step(model: str, reads: Mapping[str, str], writes: Mapping[str, str], version: str = "model_version: -1") -> str:
    """Return a step; the maps are model's tensor → ensemble's tensor."""
    maps = [f'input_map {{ key: "{key}" value: "{value}" }}' for key, value in reads.items()]
    maps += [f'output_map {{ key: "{key}" value: "{value}" }}' for key, value in writes.items()]
    return f'  step {{ model_name: "{model}" {version} {" ".join(maps)} }}\n'


def ensemble(*steps: str, io: str = port("input", "IN") + port("output", "OUT"), more: str = "") -> str:
    """Return an ensemble's config."""
    return f'platform: "ensemble"\n{more}{io}ensemble_scheduling {{\n{"".join(steps)}}}\n'


def member(io: str = port("input", "IN") + port("output", "OUT"), more: str = "", backend: str = "identity") -> str:
    """Return the config of a model that a step runs."""
    return f'backend: "{backend}"\n{more}{io}'


class Case(NamedTuple):
    """Configs by model, files beside them; model → the start of its rule's reason; all rules that speak up."""

    configs: Mapping[str, str]
    rule: str = ""
    reason: str = ""
    also: Sequence[str] = ()
    files: Mapping[str, str | Entry] = {}
    options: str = ""


def tree(case: Case) -> dict[str, Entry]:
    """Return the case's repository; every model has an empty version 1."""
    found: dict[str, Entry] = {f"{name}/config.pbtxt": of_text(text) for name, text in case.configs.items()}
    found |= {f"{name}/1": Directory() for name in case.configs}
    for path, text in case.files.items():
        found[path] = of_text(text) if isinstance(text, str) else text
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
    "a duplicate key of a map counts once": Case(
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
    "two tensors that are never produced": Case(
        {
            "e": ensemble(step("a", {"X": "x", "Y": "y"}, {"OUT": "OUT"}), step("b", {"IN": "IN"}, {"OUT": "z"})),
            "a": member(port("input", "X") + port("input", "Y") + port("output", "OUT")),
            "b": member(),
        },
        "output-not-written",
        "output 'OUT' for ensemble 'e' is not written: at least one of its depending tensors, 'x', is not connected",
        ["tensor-not-ready"],
    ),
    "broken maps hide findings on the dataflow": Case(
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
    "an impossible version, and the latest": Case(
        {
            "e": ensemble(
                step("a", {"IN": "IN"}, {"OUT": "mid"}, "model_version: -2"), step("a", {"IN": "mid"}, {"OUT": "OUT"})
            ),
            **A,
        },
        "step-version-not-loaded",
        "ensemble 'e' depends on 'a' whose required version -2 is not loaded.",
    ),
    "a version that is not the latest": Case(
        {"e": ensemble(step("a", {"IN": "IN"}, {"OUT": "OUT"}, "model_version: 1")), **A},
        "step-version-not-loaded",
        "ensemble 'e' depends on 'a' whose required version 1 is not loaded.",
        files={"a/2/weights": ""},
    ),
    "a missing version means version 0": Case(
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
    "the highest of several missing versions is named": Case(
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
    "a model whose config is rejected is refused, not missing": Case(
        {"e": ensemble(ONE), "a": member(more="max_batch_size: -1\n")},
        "step-model-refused",
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
        "step-model-refused",
        "ensemble e contains models that are not available or ambiguous: a",
        ["io-dim-invalid"],
        options="--no-auto-complete",
    ),
    "two ensembles that use each other": Case(
        {"e": INTO["g"], "f": INTO["f"].replace('"g"', '"e"')},
        "ensemble-cycle",
        "circular dependency between ensembles: e -> ... -> f -> e",
    ),
    "a cycle through a refused model is not a cycle": Case(
        {"e": ensemble(step("f", {"IN": "IN"}, {"OUT": "OUT"})), "f": "max_batch_size: x"},
        "step-model-refused",
        "ensemble e contains models that are not available or ambiguous: f",
        ["wrong-literal-type"],
    ),
}

BATCHED = {"more": "max_batch_size: 8\n"}


def io(reads: str, writes: str) -> str:
    """Return IN and OUT of these dims."""
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
        {"e": ensemble(ONE, **BATCHED), "a": member("", backend="onnxruntime")},
        files={"a/1/model.onnx": Link("/elsewhere")},
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
    "an output next to a decoupled one": Case(
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
    "an unused input and output with the same name": Case(
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


@tabled(
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


FIRST = {
    "missing": ({"b": member(more="max_batch_size: -1\n")}, "step-model-missing"),
    "refused": ({"a": member(more="max_batch_size: -1\n")}, "step-model-refused"),
}


@pytest.mark.parametrize(("models", "rule"), FIRST.values(), ids=FIRST)
def test_the_first_step_that_the_server_does_not_know_decides_the_rule(models: Mapping[str, str], rule: str) -> None:
    verdicts = {verdict.model: verdict for verdict in judged(tree(Case({"e": ensemble(*CHAIN), **models}))).verdicts}
    assert verdicts["e"].rule == rule


def test_a_missing_model_that_is_ignored_does_not_hide_a_refused_one() -> None:
    ignoring = "# tritonrepo: ignore[step-model-missing] the repository has it\n" + ensemble(*CHAIN)
    found = judged(tree(Case({"e": ignoring, "b": member(more="max_batch_size: -1\n")}))).diagnostics
    assert [each.rule for each in found if each.at.path == "e/config.pbtxt"] == ["step-model-refused"]


def test_using_a_cycle_from_outside_takes_every_model_down() -> None:
    found = judged(tree(Case({**INTO, **A})))
    verdicts = {verdict.model: (verdict.verdict.value, verdict.rule) for verdict in found.verdicts}
    assert verdicts == {
        "a": ("crash", "ensemble-cycle-crash"),
        "e": ("crash", "ensemble-cycle-crash"),
        "f": ("crash", "ensemble-cycle-crash"),
        "g": ("crash", "ensemble-cycle-crash"),
    }


def test_three_in_a_cycle_get_the_reason_of_the_first_search_that_reaches_them() -> None:
    ring = {name: ensemble(step(to, {"IN": "IN"}, {"OUT": "OUT"})) for name, to in (("a", "b"), ("b", "c"), ("c", "a"))}
    reasons = {verdict.model: verdict.server_reason for verdict in judged(tree(Case(ring))).verdicts}
    assert reasons == {
        "a": "circular dependency between ensembles: c -> ... -> b -> c",
        "b": "circular dependency between ensembles: a -> ... -> c -> a",
        "c": "circular dependency between ensembles: c -> ... -> b -> c",
    }


def looping(*names: str) -> str:
    """Return an ensemble with a step for each name, one behind the other."""
    tensors = ["IN", *(f"t{number}" for number in range(1, len(names))), "OUT"]
    return ensemble(*(step(name, {"IN": a}, {"OUT": b}) for name, (a, b) in zip(names, pairwise(tensors), strict=True)))


TANGLED = {
    "its own cycle comes last, so it is met first": (
        {"a": looping("b"), "b": looping("a", "b")},
        {"a": "ensemble-cycle-crash", "b": "ensemble-cycle-crash"},
        {"a": "ensemble-cycle-crash", "b": "ensemble-cycle"},
    ),
    "its own cycle comes first": (
        {"a": looping("b"), "b": looping("b", "a")},
        {"a": "ensemble-cycle", "b": "ensemble-cycle"},
        {"a": "ensemble-cycle", "b": "ensemble-cycle"},
    ),
    "the way back comes last": (
        {"a": looping("a", "b"), "b": looping("a")},
        {"a": "ensemble-cycle", "b": "ensemble-cycle"},
        {"a": "ensemble-cycle", "b": "ensemble-cycle"},
    ),
    "a model is missing from an ensemble that uses a cycle": (
        {"a": looping("b"), "b": looping("c", "gone"), "c": looping("c")},
        {"a": "ensemble-cycle-crash", "b": "ensemble-cycle-crash", "c": "ensemble-cycle-crash"},
        {"a": "ensemble-cycle-crash", "b": "step-model-missing", "c": "ensemble-cycle"},
    ),
}


@pytest.mark.parametrize(("configs", "verdicts", "told"), TANGLED.values(), ids=TANGLED)
def test_a_search_that_meets_another_cycle_crashes_the_server(
    configs: Mapping[str, str], verdicts: Mapping[str, str], told: Mapping[str, str]
) -> None:
    found = judged(tree(Case(configs)))
    assert {verdict.model: verdict.rule for verdict in found.verdicts} == verdicts
    assert {str(d.at).partition("/")[0]: d.rule for d in found.diagnostics if d.rule in set(told.values())} == told


def test_long_chains_of_ensembles_need_no_recursion() -> None:
    names = [f"m{number:04}" for number in range(1500)]
    chain = {name: ensemble(step(to, {"IN": "IN"}, {"OUT": "OUT"})) for name, to in pairwise(names)}
    assert not loud(tree(Case({**chain, names[-1]: member()})))
    assert loud(tree(Case({**chain, names[-1]: ensemble(step(names[0], {"IN": "IN"}, {"OUT": "OUT"}))}))) == {
        "ensemble-cycle"
    }


CALLER = member(backend="python")
CALLS = {
    "the existing version": ({"b/1/model.py": "", "a/1/calls.json": '{"b": 1}'}, set()),
    "the newest": ({"a/1/calls.json": '{"b": -1}'}, set()),
    "another version": ({"a/1/calls.json": '{"b": 2}'}, {"calls-version-missing"}),
    "a missing model": ({"a/1/calls.json": '{"c": 1}'}, {"calls-model-missing"}),
    "each calls the other": ({"a/1/calls.json": '{"b": 1}', "b/1/calls.json": '{"a": 1}'}, {"calls-cycle"}),
    "back through an ensemble": ({"b/1/calls.json": '{"e": 1}'}, {"calls-cycle"}),
    "a file that is not ours": ({"a/1/calls.json": '["c"]'}, set()),
    "a file that is not JSON": ({"a/1/calls.json": "{"}, set()),
    "a version that is not served calls nothing": ({"a/0/calls.json": '{"c": 1}'}, {"version-zero"}),
}


@tabled(("files", "expected"), CALLS.values(), ids=CALLS)
def test_calls(files: Mapping[str, str], expected: set[str]) -> None:
    steps = {"a/1/model.py": PYTHON, "b/1/model.py": PYTHON}
    assert (
        loud(tree(Case({"a": CALLER, "b": CALLER, "e": ensemble(*CHAIN)}, files={**steps, **files, **steps})))
        == expected
    )


WORDS: dict[str, tuple[Case, Sequence[str]]] = {
    "one tensor with a similar name, and one without": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "IN"}, {"OUT": "middle"}), step("b", {"IN": "midle", "TOO": "zzz"}, {"OUT": "OUT"})
                )
            }
        ),
        [
            'e/config.pbtxt:5:22: error: the repository has no model "a" [step-model-missing]',
            "  Add the model, or name one that exists.",
            'e/config.pbtxt:6:22: error: the repository has no model "b" [step-model-missing]',
            "  Add the model, or name one that exists.",
            (
                'e/config.pbtxt:6:73: error: no step writes tensor "midle", so ensemble output "OUT" is never '
                "produced [output-not-written]"
            ),
            '  Did you mean "middle"?',
            'e/config.pbtxt:6:113: error: no step writes tensor "zzz" [tensor-not-ready]',
            "  Read an ensemble input, or a tensor that another step writes.",
            (
                "e: output 'OUT' for ensemble 'e' is not written: at least one of its depending tensors, 'midle', "
                "is not connected"
            ),
        ],
    ),
    "two outputs that lack the same tensor": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "gone"}, {"OUT": "OUT", "mid": "mid"}),
                    step("b", {"IN": "IN"}, {"OUT": "z"}),
                    io=BOTH,
                ),
                "a": member(BOTH),
                "b": member(),
            }
        ),
        [
            (
                'e/config.pbtxt:6:73: error: no step writes tensor "gone", so ensemble output "OUT" is never '
                "produced [output-not-written]"
            ),
            '  Did you mean "z"?',
            (
                "e: output 'OUT' for ensemble 'e' is not written: at least one of its depending tensors, 'gone', "
                "is not connected"
            ),
        ],
    ),
    "two outputs that lack a tensor each": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "x"}, {"OUT": "OUT"}),
                    step("b", {"IN": "y"}, {"OUT": "mid"}),
                    step("b", {"IN": "IN"}, {"OUT": "qqq"}),
                    io=BOTH,
                ),
                **AB,
            }
        ),
        [
            (
                'e/config.pbtxt:6:73: error: no step writes tensor "x", so ensemble output "OUT" is never produced '
                "[output-not-written]"
            ),
            '  Did you mean "qqq"?',
            (
                'e/config.pbtxt:7:73: error: no step writes tensor "y", so ensemble output "mid" is never produced '
                "[output-not-written]"
            ),
            "  Read an ensemble input, or a tensor that another step writes.",
            (
                "e: output 'OUT' for ensemble 'e' is not written: at least one of its depending tensors, 'x', is "
                "not connected"
            ),
        ],
    ),
    "steps that wait for each other": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "IN", "X": "two"}, {"OUT": "one"}),
                    step("b", {"IN": "one"}, {"OUT": "two", "mid": "OUT"}),
                ),
                "a": member(port("input", "IN") + port("input", "X") + port("output", "OUT")),
                "b": member(BOTH),
            }
        ),
        [
            (
                'e/config.pbtxt:5:108: error: tensor "two" depends on itself through the steps that write it, so '
                'ensemble output "OUT" is never produced [output-not-written]'
            ),
            "  Make one of these steps read a tensor that exists earlier.",
            (
                "e: output 'OUT' for ensemble 'e' is not written: at least one of its depending tensors, 'two', is "
                "not connected"
            ),
        ],
    ),
    "steps that wait for each other, and one that does not": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "two"}, {"OUT": "one"}),
                    step("b", {"IN": "one"}, {"OUT": "two"}),
                    step("b", {"IN": "IN"}, {"OUT": "OUT"}),
                ),
                **AB,
            }
        ),
        [
            (
                'e/config.pbtxt:6:73: error: tensor "one" depends on itself through the steps that write it '
                "[tensor-not-ready]"
            ),
            "  Make one of these steps read a tensor that exists earlier.",
            "e: ensemble tensor 'two' is unused in ensemble 'e'",
        ],
    ),
    "three tensors that no step reads": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "IN"}, {"OUT": "OUT"}),
                    step("b", {"IN": "IN"}, {"OUT": "p"}),
                    step("b", {"IN": "IN"}, {"OUT": "q"}),
                    step("b", {"IN": "IN"}, {"OUT": "r"}),
                ),
                **AB,
            }
        ),
        [
            'e/config.pbtxt:6:111: error: no step reads tensor "p" of step 1 (model "b") [tensor-never-read]',
            '  Remove this output_map entry, or make "p" an output of the ensemble.',
            'e/config.pbtxt:7:111: error: no step reads tensor "q" of step 2 (model "b") [tensor-never-read]',
            '  Remove this output_map entry, or make "q" an output of the ensemble.',
            'e/config.pbtxt:8:111: error: no step reads tensor "r" of step 3 (model "b") [tensor-never-read]',
            '  Remove this output_map entry, or make "r" an output of the ensemble.',
            "e: ensemble tensor 'r' is unused in ensemble 'e'",
        ],
    ),
    "two steps without a model and maps": (
        Case({"e": ensemble(ONE, "  step { model_version: -1 }\n", '  step { model_name: "" }\n'), **A}),
        [
            'e/config.pbtxt:6:8: error: step 1 (model "") has no input_map [step-input-map]',
            '  Add `input_map { key: "the model\'s input" value: "a tensor of the ensemble" }`.',
            "e/config.pbtxt:6:8: error: step 1 does not name its model [step-model-name]",
            "  Set model_name to a model of this repository.",
            'e/config.pbtxt:6:8: error: step 1 (model "") has no output_map [step-output-map]',
            '  Add `output_map { key: "the model\'s output" value: "a tensor of the ensemble" }`.',
            'e/config.pbtxt:7:8: error: step 2 (model "") has no input_map [step-input-map]',
            '  Add `input_map { key: "the model\'s input" value: "a tensor of the ensemble" }`.',
            'e/config.pbtxt:7:8: error: step 2 (model "") has no output_map [step-output-map]',
            '  Add `output_map { key: "the model\'s output" value: "a tensor of the ensemble" }`.',
            "e/config.pbtxt:7:22: error: step 2 does not name its model [step-model-name]",
            "  Set model_name to a model of this repository.",
            "e: must specify 'model_name' in step 1 of ensemble 'e'",
        ],
    ),
    "an input_map before a model name, in an earlier step": (
        Case({"e": ensemble(ONE, step("a", {}, {"X": "OUT"}), step("", {"IN": "IN"}, {"OUT": "y"})), **A}),
        [
            'e/config.pbtxt:6:8: error: step 1 (model "a") has no input_map [step-input-map]',
            '  Add `input_map { key: "the model\'s input" value: "a tensor of the ensemble" }`.',
            'e/config.pbtxt:6:62: error: model "a" has no output "X" [step-output-unknown]',
            '  Did you mean "OUT"?',
            (
                'e/config.pbtxt:6:73: error: step 1 writes tensor "OUT", but an earlier output_map entry already '
                "does [tensor-written-twice]"
            ),
            "  Rename the tensor here and wherever it is read.",
            "e/config.pbtxt:7:22: error: step 2 does not name its model [step-model-name]",
            "  Set model_name to a model of this repository.",
            "e: must specify 'input_map' in step 1 of ensemble 'e'",
        ],
    ),
    "an output_map in an earlier step": (
        Case({"e": ensemble(ONE, step("a", {"IN": "IN"}, {}), step("a", {}, {"OUT": "OUT"})), **A}),
        [
            'e/config.pbtxt:6:8: error: step 1 (model "a") has no output_map [step-output-map]',
            '  Add `output_map { key: "the model\'s output" value: "a tensor of the ensemble" }`.',
            'e/config.pbtxt:7:8: error: step 2 (model "a") has no input_map [step-input-map]',
            '  Add `input_map { key: "the model\'s input" value: "a tensor of the ensemble" }`.',
            (
                'e/config.pbtxt:7:75: error: step 2 writes tensor "OUT", but an earlier output_map entry already '
                "does [tensor-written-twice]"
            ),
            "  Rename the tensor here and wherever it is read.",
            "e: must specify 'output_map' in step 1 of ensemble 'e'",
        ],
    ),
    "a tensor written twice in an earlier step": (
        Case({"e": ensemble(ONE, step("a", {"IN": "IN"}, {"OUT": "OUT"}), step("", {}, {})), **A}),
        [
            (
                'e/config.pbtxt:6:111: error: step 1 writes tensor "OUT", but an earlier output_map entry already '
                "does [tensor-written-twice]"
            ),
            "  Rename the tensor here and wherever it is read.",
            'e/config.pbtxt:7:8: error: step 2 (model "") has no input_map [step-input-map]',
            '  Add `input_map { key: "the model\'s input" value: "a tensor of the ensemble" }`.',
            'e/config.pbtxt:7:8: error: step 2 (model "") has no output_map [step-output-map]',
            '  Add `output_map { key: "the model\'s output" value: "a tensor of the ensemble" }`.',
            "e/config.pbtxt:7:22: error: step 2 does not name its model [step-model-name]",
            "  Set model_name to a model of this repository.",
            "e: ensemble tensor 'OUT' can appear in an output map only once for ensemble 'e' step 1",
        ],
    ),
    "a tensor written three times": (
        Case({"e": ensemble(ONE, ONE, ONE), **A}),
        [
            (
                'e/config.pbtxt:6:111: error: step 1 writes tensor "OUT", but an earlier output_map entry already '
                "does [tensor-written-twice]"
            ),
            "  Rename the tensor here and wherever it is read.",
            (
                'e/config.pbtxt:7:111: error: step 2 writes tensor "OUT", but an earlier output_map entry already '
                "does [tensor-written-twice]"
            ),
            "  Rename the tensor here and wherever it is read.",
            "e: ensemble tensor 'OUT' can appear in an output map only once for ensemble 'e' step 1",
        ],
    ),
    "two inputs unused": (
        Case(
            {
                "e": ensemble(
                    ONE, io=port("input", "IN") + port("input", "P") + port("input", "Q") + port("output", "OUT")
                ),
                **A,
            }
        ),
        [
            'e/config.pbtxt:3:15: error: no step reads ensemble input "P" [ensemble-input-unused]',
            "  Map it to an input of a step's model, or remove it.",
            'e/config.pbtxt:4:15: error: no step reads ensemble input "Q" [ensemble-input-unused]',
            "  Map it to an input of a step's model, or remove it.",
            "e: ensemble input 'P' for ensemble e' is not used",
        ],
    ),
    "two outputs unused": (
        Case(
            {
                "e": ensemble(
                    ONE, io=port("input", "IN") + port("output", "OUT") + port("output", "P") + port("output", "Q")
                ),
                **A,
            }
        ),
        [
            'e/config.pbtxt:4:16: error: no step writes ensemble output "P" [ensemble-output-unused]',
            "  Map an output of a step's model to it, or remove it.",
            'e/config.pbtxt:5:16: error: no step writes ensemble output "Q" [ensemble-output-unused]',
            "  Map an output of a step's model to it, or remove it.",
            "e: ensemble output 'P' for ensemble e' is not used",
        ],
    ),
    "an output that nothing writes before an output unused": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "IN"}, {"OUT": "OUT"}),
                    step("b", {"IN": "gone"}, {"OUT": "mid"}),
                    io=port("input", "IN") + port("output", "OUT") + port("output", "mid") + port("output", "P"),
                ),
                **AB,
            }
        ),
        [
            'e/config.pbtxt:5:16: error: no step writes ensemble output "P" [ensemble-output-unused]',
            "  Map an output of a step's model to it, or remove it.",
            (
                'e/config.pbtxt:8:73: error: no step writes tensor "gone", so ensemble output "mid" is never '
                "produced [output-not-written]"
            ),
            "  Read an ensemble input, or a tensor that another step writes.",
            (
                "e: output 'mid' for ensemble 'e' is not written: at least one of its depending tensors, 'gone', "
                "is not connected"
            ),
        ],
    ),
    "an output unused before an output that nothing writes": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "IN"}, {"OUT": "OUT"}),
                    step("b", {"IN": "gone"}, {"OUT": "mid"}),
                    io=port("input", "IN") + port("output", "P") + port("output", "mid") + port("output", "OUT"),
                ),
                **AB,
            }
        ),
        [
            'e/config.pbtxt:3:16: error: no step writes ensemble output "P" [ensemble-output-unused]',
            "  Map an output of a step's model to it, or remove it.",
            (
                'e/config.pbtxt:8:73: error: no step writes tensor "gone", so ensemble output "mid" is never '
                "produced [output-not-written]"
            ),
            "  Read an ensemble input, or a tensor that another step writes.",
            "e: ensemble output 'P' for ensemble e' is not used",
        ],
    ),
    "misspelt ends": (
        Case({"e": ensemble(step("a", {"IN": "INN"}, {"OUT": "OUTT"})), **A}),
        [
            (
                'e/config.pbtxt:5:73: error: no step writes tensor "INN", and no step reads ensemble input "IN" '
                "[ensemble-input-unused]"
            ),
            '  Did you mean "IN"?',
            (
                'e/config.pbtxt:5:112: error: no step reads tensor "OUTT", and no step writes ensemble output '
                '"OUT" [ensemble-output-unused]'
            ),
            '  Did you mean "OUT"?',
            "e: ensemble input 'IN' for ensemble e' is not used",
        ],
    ),
    "missing models with and without a similar name": (
        Case(
            {
                "e": ensemble(
                    step("aaaab", {"IN": "IN"}, {"OUT": "mid"}),
                    step("qqqqqqqqqq", {"IN": "mid"}, {"OUT": "m2"}),
                    step("ee", {"IN": "m2"}, {"OUT": "OUT"}),
                ),
                "aaaac": member(),
            }
        ),
        [
            'e/config.pbtxt:5:22: error: the repository has no model "aaaab" [step-model-missing]',
            '  Did you mean "aaaac"?',
            'e/config.pbtxt:6:22: error: the repository has no model "qqqqqqqqqq" [step-model-missing]',
            "  Add the model, or name one that exists.",
            'e/config.pbtxt:7:22: error: the repository has no model "ee" [step-model-missing]',
            "  Add the model, or name one that exists.",
            "e: ensemble e contains models that are not available or ambiguous: aaaab",
        ],
    ),
    "a missing model with a later name": (
        Case({"e": ensemble(step("zaaac", {"IN": "IN"}, {"OUT": "OUT"})), "zaaab": member()}),
        [
            'e/config.pbtxt:5:22: error: the repository has no model "zaaac" [step-model-missing]',
            '  Did you mean "zaaab"?',
            "e: ensemble e contains models that are not available or ambiguous: zaaac",
        ],
    ),
    "a missing model with a name like that of another step": (
        Case(
            {
                "e": ensemble(
                    step("aaaac", {"IN": "IN"}, {"OUT": "mid"}), step("aaaab", {"IN": "mid"}, {"OUT": "OUT"})
                ),
                "aaaac": member(),
            }
        ),
        [
            'e/config.pbtxt:6:22: error: the repository has no model "aaaab" [step-model-missing]',
            "  Add the model, or name one that exists.",
            "e: ensemble e contains models that are not available or ambiguous: aaaab",
        ],
    ),
    "the same missing model twice": (
        Case({"e": ensemble(step("b", {"IN": "IN"}, {"OUT": "mid"}), step("b", {"IN": "mid"}, {"OUT": "OUT"})), **A}),
        [
            'e/config.pbtxt:5:22: error: the repository has no model "b" [step-model-missing]',
            "  Add the model, or name one that exists.",
            "e: ensemble e contains models that are not available or ambiguous: b",
        ],
    ),
    "a refused model before a missing one": (
        Case({"e": ensemble(*CHAIN), "a": member(more="max_batch_size: -1\n")}),
        [
            (
                'e/config.pbtxt:5:22: error: this ensemble cannot load because Triton rejects the config of model "a" '
                "[step-model-refused]"
            ),
            '  Fix model "a" first.',
            'e/config.pbtxt:6:22: error: the repository has no model "b" [step-model-missing]',
            "  Add the model, or name one that exists.",
            "e: ensemble e contains models that are not available or ambiguous: a",
        ],
    ),
    "a missing model before a refused one": (
        Case({"e": ensemble(*CHAIN), "b": member(more="max_batch_size: -1\n")}),
        [
            'e/config.pbtxt:5:22: error: the repository has no model "a" [step-model-missing]',
            "  Add the model, or name one that exists.",
            (
                'e/config.pbtxt:6:22: error: this ensemble cannot load because Triton rejects the config of model "b" '
                "[step-model-refused]"
            ),
            '  Fix model "b" first.',
            "e: ensemble e contains models that are not available or ambiguous: a",
        ],
    ),
    "failed models": (
        Case(
            {
                "e": ensemble(
                    ONE, step("c", {"IN": "IN"}, {"OUT": "x"}), step("b", {"IN": "x"}, {"OUT": "mid"}), io=BOTH
                ),
                "a": member(backend="nosuch"),
                "b": member(),
                "c": member(backend="nosuch"),
            }
        ),
        [
            (
                'e/config.pbtxt:6:22: error: this ensemble cannot load because model "a" does not load '
                "[step-model-failed]"
            ),
            '  Fix model "a" first.',
            (
                'e/config.pbtxt:7:22: error: this ensemble cannot load because model "c" does not load '
                "[step-model-failed]"
            ),
            '  Fix model "c" first.',
            "e: ensemble 'e' depends on 'c' which has no loaded version.",
        ],
    ),
    "an invalid ensemble before a failed model": (
        Case(
            {
                "e": ensemble(step("a", {"IN": "IN"}, {"OUT": "mid"}), step("f", {"IN": "mid"}, {"OUT": "OUT"})),
                "a": member(backend="nosuch"),
                "f": ensemble(step("gone", {"IN": "IN"}, {"OUT": "OUT"})),
            }
        ),
        [
            (
                'e/config.pbtxt:5:22: error: this ensemble cannot load because model "a" does not load '
                "[step-model-failed]"
            ),
            '  Fix model "a" first.',
            (
                'e/config.pbtxt:6:22: error: this ensemble cannot load because ensemble "f" is refused '
                "[step-ensemble-invalid]"
            ),
            '  Fix ensemble "f" first.',
            'f/config.pbtxt:5:22: error: the repository has no model "gone" [step-model-missing]',
            "  Add the model, or name one that exists.",
            (
                "e: ensemble 'e' depends on 'f' which is not valid. Model 'f' failed with error: ensemble f "
                "contains models that are not available or ambiguous: gone"
            ),
            "f: ensemble f contains models that are not available or ambiguous: gone",
        ],
    ),
    "a failed model after an invalid ensemble": (
        Case(
            {
                "e": ensemble(step("f", {"IN": "IN"}, {"OUT": "mid"}), step("a", {"IN": "mid"}, {"OUT": "OUT"})),
                "a": member(backend="nosuch"),
                "f": ensemble(step("gone", {"IN": "IN"}, {"OUT": "OUT"})),
            }
        ),
        [
            (
                'e/config.pbtxt:5:22: error: this ensemble cannot load because ensemble "f" is refused '
                "[step-ensemble-invalid]"
            ),
            '  Fix ensemble "f" first.',
            (
                'e/config.pbtxt:6:22: error: this ensemble cannot load because model "a" does not load '
                "[step-model-failed]"
            ),
            '  Fix model "a" first.',
            'f/config.pbtxt:5:22: error: the repository has no model "gone" [step-model-missing]',
            "  Add the model, or name one that exists.",
            "e: ensemble 'e' depends on 'a' which has no loaded version.",
            "f: ensemble f contains models that are not available or ambiguous: gone",
        ],
    ),
    "a missing version before a failed model": (
        Case(
            {
                "e": ensemble(
                    step("b", {"IN": "IN"}, {"OUT": "mid"}),
                    step("a", {"IN": "mid"}, {"OUT": "OUT"}, "model_version: 4"),
                ),
                "a": member(),
                "b": member(backend="nosuch"),
            }
        ),
        [
            (
                'e/config.pbtxt:5:22: error: this ensemble cannot load because model "b" does not load '
                "[step-model-failed]"
            ),
            '  Fix model "b" first.',
            (
                'e/config.pbtxt:6:41: error: step 1 asks for version 4 of model "a", but only version 1 is loaded '
                "[step-version-not-loaded]"
            ),
            "  Set `model_version: -1` for the newest version.",
            "e: ensemble 'e' depends on 'a' whose required version 4 is not loaded.",
        ],
    ),
    "several versions loaded": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "IN"}, {"OUT": "mid"}, "model_version: 3"),
                    step("a", {"IN": "mid"}, {"OUT": "m2"}, ""),
                    step("a", {"IN": "m2"}, {"OUT": "OUT"}, "model_version: 2"),
                ),
                "a": member(more="version_policy { all { } }\n"),
            },
            files={"a/2/x": ""},
        ),
        [
            (
                'e/config.pbtxt:5:41: error: step 0 asks for version 3 of model "a", but only versions 1 and 2 are '
                "loaded [step-version-not-loaded]"
            ),
            "  Set `model_version: -1` for the newest version.",
            (
                'e/config.pbtxt:6:22: error: step 1 sets no model_version, so it asks for version 0 of model "a", '
                "but only versions 1 and 2 are loaded [step-version-not-loaded]"
            ),
            "  Set `model_version: -1` for the newest version.",
            "e: ensemble 'e' depends on 'a' whose required version 3 is not loaded.",
        ],
    ),
    "unknown keys of a model": (
        Case(
            {
                "e": ensemble(step("a", {"INN": "IN", "QQQ": "IN"}, {"OUTT": "OUT", "ZZZ": "mid"}), io=BOTH),
                "a": member(
                    port("input", "IN")
                    + port("input", "OTHER")
                    + port("output", "OUT")
                    + port("output", "more")
                    + port("output", "most")
                ),
            }
        ),
        [
            'e/config.pbtxt:6:61: error: model "a" has no input "INN" [step-input-unknown]',
            '  Did you mean "IN"?',
            'e/config.pbtxt:6:98: error: model "a" has no input "QQQ" [step-input-unknown]',
            '  Did you mean "OTHER"?',
            'e/config.pbtxt:6:136: error: model "a" has no output "OUTT" [step-output-unknown]',
            '  Did you mean "OUT"?',
            'e/config.pbtxt:6:176: error: model "a" has no output "ZZZ" [step-output-unknown]',
            "  Use an output of this model: OUT, more, most.",
            "e: in ensemble e, ensemble tensor IN is mapping to non-existing input INN in model a",
        ],
    ),
    "texts by another name": (
        Case(
            {
                "e": ensemble(step("a", {"text_input": "IN", "K": "IN"}, {"text_output": "OUT"})),
                "a": member(
                    port("input", "prompt") + port("input", "tokens") + port("output", "text") + port("output", "other")
                ),
            }
        ),
        [
            'e/config.pbtxt:5:61: error: model "a" has no input "text_input" [step-input-unknown]',
            '  Did you mean "prompt"?',
            'e/config.pbtxt:5:105: error: model "a" has no input "K" [step-input-unknown]',
            '  Did you mean "tokens"?',
            'e/config.pbtxt:5:141: error: model "a" has no output "text_output" [step-output-unknown]',
            '  Did you mean "text"?',
            "e: in ensemble e, ensemble tensor IN is mapping to non-existing input text_input in model a",
        ],
    ),
    "keys of a model without tensors": (
        Case({"e": ensemble(ONE), "a": member("", backend="python")}, files={"a/1/model.py": PYTHON}),
        [
            'e/config.pbtxt:5:61: error: model "a" has no input "IN" [step-input-unknown]',
            "  Remove this entry. The model has no inputs.",
            'e/config.pbtxt:5:98: error: model "a" has no output "OUT" [step-output-unknown]',
            "  Remove this entry. The model has no outputs.",
            "e: in ensemble e, ensemble tensor IN is mapping to non-existing input IN in model a",
        ],
    ),
    "an input that nothing is mapped to": (
        Case(
            {
                "e": ensemble(ONE),
                "a": member(
                    port("input", "IN")
                    + port("input", "X")
                    + port("input", "Y", more="optional: true")
                    + port("output", "OUT")
                ),
            }
        ),
        [
            (
                'e/config.pbtxt:5:22: error: step 0 does not map the required input "X" of model "a" '
                "[step-input-unmapped]"
            ),
            '  Add `input_map { key: "X" value: "a tensor of the ensemble" }`.',
            "e: in ensemble e, input X in model a is not mapped to any ensemble tensors",
        ],
    ),
    "types that differ between steps": (
        Case(
            {
                "e": ensemble(*CHAIN),
                "a": member(port("input", "IN") + port("output", "OUT", data_type="TYPE_INT32")),
                "b": member(),
            }
        ),
        [
            (
                'e/config.pbtxt:6:73: error: tensor "mid" is TYPE_INT32 in model "a", but TYPE_FP32 as "IN" of '
                'model "b" [tensor-type-differs]'
            ),
            "  Insert a step that converts the tensor, or change one of the models.",
            (
                "e: in ensemble e, ensemble tensor mid: inconsistent data type: TYPE_INT32 is inferred from model "
                "a while TYPE_FP32 is inferred from model b"
            ),
        ],
    ),
    "types that differ from the ensemble, at both ends": (
        Case(
            {
                "e": ensemble(ONE),
                "a": member(port("input", "IN", data_type="TYPE_INT32") + port("output", "OUT", data_type="TYPE_INT8")),
            }
        ),
        [
            (
                'e/config.pbtxt:2:31: error: tensor "IN" is TYPE_FP32 here, but TYPE_INT32 as "IN" of model "a" '
                "[tensor-type-differs]"
            ),
            "  Set `data_type: TYPE_INT32`, or map another tensor.",
            (
                'e/config.pbtxt:3:33: error: tensor "OUT" is TYPE_FP32 here, but TYPE_INT8 as "OUT" of model "a" '
                "[tensor-type-differs]"
            ),
            "  Set `data_type: TYPE_INT8`, or map another tensor.",
            (
                "e: in ensemble e, ensemble tensor IN: inconsistent data type: TYPE_FP32 is inferred from model e "
                "while TYPE_INT32 is inferred from model a"
            ),
        ],
    ),
    "shapes that differ from the ensemble, at both ends": (
        Case({"e": ensemble(ONE), "a": member(io("5", "4, 4"))}),
        [
            (
                'e/config.pbtxt:2:49: error: tensor "IN" has shape [4] here, but [5] as "IN" of model "a" '
                "[tensor-shape-differs]"
            ),
            "  Set `dims: [ 5 ]`. A leading -1 in a shape is the batch.",
            (
                'e/config.pbtxt:3:51: error: tensor "OUT" has shape [4] here, but [4,4] as "OUT" of model "a" '
                "[tensor-shape-differs]"
            ),
            "  Set `dims: [ 4, 4 ]`. A leading -1 in a shape is the batch.",
            (
                "e: in ensemble e, ensemble tensor IN: inconsistent shape: [4] is inferred from model e while [5] "
                "is inferred from model a"
            ),
        ],
    ),
    "shapes that differ from a model's": (
        Case({"e": ensemble(*CHAIN), "a": member(io("4", "7, 2")), "b": member(io("7, 3", "4"))}),
        [
            (
                'e/config.pbtxt:6:73: error: tensor "mid" has shape [7,2] in model "a", but [7,3] as "IN" of model '
                '"b" [tensor-shape-differs]'
            ),
            "  Insert a step that reshapes the tensor, or change one of the models. A leading -1 may be the batch.",
            (
                "e: in ensemble e, ensemble tensor mid: inconsistent shape: [7,2] is inferred from model a while "
                "[7,3] is inferred from model b"
            ),
        ],
    ),
    "an ensemble that lists no dims": (
        Case({"e": ensemble(ONE, io='input { name: "IN" data_type: TYPE_FP32 }\n' + port("output", "OUT")), **A}),
        [
            (
                "e: in ensemble e, ensemble tensor IN: inconsistent shape: [] is inferred from model e while [4] "
                "is inferred from model a"
            )
        ],
    ),
    "a model that lists no dims": (
        Case(
            {
                "e": ensemble(step("b", {"IN": "IN"}, {"OUT": "m"}), step("a", {"IN": "m"}, {"OUT": "OUT"})),
                "a": member(io("3", "4")),
                "b": member(),
            }
        ),
        [
            (
                'e/config.pbtxt:6:73: error: tensor "m" has shape [4] in model "b", but [3] as "IN" of model "a" '
                "[tensor-shape-differs]"
            ),
            "  Insert a step that reshapes the tensor, or change one of the models. A leading -1 may be the batch.",
            (
                "e: in ensemble e, ensemble tensor m: inconsistent shape: [4] is inferred from model b while [3] "
                "is inferred from model a"
            ),
        ],
    ),
    "batches over fixed dims of both sides": (
        Case(
            {
                "e": ensemble(*CHAIN, io=io("4", "2, 4"), more="max_batch_size: 8\n"),
                "a": member(io("3, 4", "1, 4")),
                "b": member(io("4", "-1, 4"), more="max_batch_size: 8\n"),
            }
        ),
        [
            (
                'e/config.pbtxt:6:73: warning: tensor "IN" has shape [-1,4], but [3,4] as "IN" of model "a", so '
                "only requests of batch size 3 work [ensemble-batching-over-fixed]"
            ),
            "  In the model without batching, set the first dim to -1, or enable batching.",
            (
                'e/config.pbtxt:7:73: warning: tensor "mid" has shape [1,4], but [-1,4] as "IN" of model "b", so '
                "only requests of batch size 1 work [ensemble-batching-over-fixed]"
            ),
            "  In the model without batching, set the first dim to -1, or enable batching.",
        ],
    ),
    "a batch from a fixed dim between models": (
        Case(
            {"e": ensemble(*CHAIN), "a": member(io("4", "4"), more="max_batch_size: 2\n"), "b": member(io("5, 4", "4"))}
        ),
        [
            (
                'e/config.pbtxt:5:22: info: model "a" supports batching, but the ensemble does not, so each '
                "request holds one item [ensemble-nonbatching-over-batching]"
            ),
            "  Set max_batch_size in the ensemble if a request should hold several items.",
            (
                'e/config.pbtxt:6:73: warning: tensor "mid" has shape [-1,4], but [5,4] as "IN" of model "b", so '
                "only requests of batch size 5 work [ensemble-batching-over-fixed]"
            ),
            "  In the model without batching, set the first dim to -1, or enable batching.",
        ],
    ),
    "a batch from a variable dim between models": (
        Case(
            {
                "e": ensemble(*CHAIN),
                "a": member(io("4", "4"), more="max_batch_size: 2\n"),
                "b": member(io("-1, 4", "4")),
            }
        ),
        [
            (
                'e/config.pbtxt:5:22: info: model "a" supports batching, but the ensemble does not, so each '
                "request holds one item [ensemble-nonbatching-over-batching]"
            ),
            "  Set max_batch_size in the ensemble if a request should hold several items.",
        ],
    ),
    "a fixed dim that feeds a batch": (
        Case(
            {"e": ensemble(*CHAIN), "a": member(io("4", "5, 4")), "b": member(io("4", "4"), more="max_batch_size: 2\n")}
        ),
        [
            (
                'e/config.pbtxt:6:73: warning: tensor "mid" has shape [5,4], but [-1,4] as "IN" of model "b", so '
                "only requests of batch size 5 work [ensemble-batching-over-fixed]"
            ),
            "  In the model without batching, set the first dim to -1, or enable batching.",
        ],
    ),
    "variable dims of a model under fixed ones": (
        Case({"e": ensemble(ONE, io=io("4, 3", "-1, 4")), "a": member(io("-1, 3", "-1, -1"))}),
        [],
    ),
    "fixed dims of a model under variable ones": (
        Case({"e": ensemble(ONE, io=io("-1, -1", "-1, 4")), "a": member(io("-1, 3", "2, 4"))}),
        [
            (
                'e/config.pbtxt:2:49: info: input "IN" has dims [-1,-1], but requests fail in model "a" unless they '
                "fit [-1,3] [step-batching-shape-vs-wildcard]"
            ),
            "  Set `dims: [ -1, 3 ]`, so that Triton rejects other requests at once.",
        ],
    ),
    "fixed dims of one model under variable ones of another": (
        Case({"e": ensemble(*CHAIN), "a": member(io("4", "-1")), "b": member(io("4", "4"))}),
        [],
    ),
    "two models that batch under an ensemble that does not": (
        Case({"e": ensemble(*CHAIN), "a": member(more="max_batch_size: 2\n"), "b": member(more="max_batch_size: 2\n")}),
        [
            (
                'e/config.pbtxt:5:22: info: model "a" supports batching, but the ensemble does not, so each '
                "request holds one item [ensemble-nonbatching-over-batching]"
            ),
            "  Set max_batch_size in the ensemble if a request should hold several items.",
        ],
    ),
    "a model without batching under a batch": (
        Case(
            {"e": ensemble(*CHAIN, more="max_batch_size: 2\n"), "a": member(more="max_batch_size: 2\n"), "b": member()}
        ),
        [
            (
                'e/config.pbtxt:7:22: warning: max_batch_size is 2, but model "b" does not batch, so only requests of '
                "batch size 1 work [ensemble-batching-over-fixed]"
            ),
            '  Set max_batch_size of model "b", or `max_batch_size: 1` in the ensemble.',
        ],
    ),
    "a model without batching under batches of one": (
        Case({"e": ensemble(ONE, more="max_batch_size: 1\n"), "a": member()}),
        [],
    ),
    "a model that takes the batch as its first dim": (
        Case({"e": ensemble(ONE, more="max_batch_size: 2\n"), "a": member(io("-1, 4", "-1, 4"))}),
        [],
    ),
    "a model that may batch under a batch": (
        Case(
            {"e": ensemble(ONE, more="max_batch_size: 2\n"), "a": member(backend="python")},
            files={"a/1/model.py": COMPLETES},
        ),
        [],
    ),
    "both variable": (Case({"e": ensemble(ONE, io=io("-1", "-1")), "a": member(io("-1", "-1"))}), []),
    "batch sizes below, equal and above": (
        Case(
            {
                "e": ensemble(
                    *CHAIN,
                    step("c", {"IN": "IN"}, {"OUT": "mid3"}),
                    io=io("4", "4") + port("output", "mid3"),
                    more="max_batch_size: 4\n",
                ),
                "a": member(more="max_batch_size: 4\n"),
                "b": member(more="max_batch_size: 1\n"),
                "c": member(more="max_batch_size: 3\n"),
            }
        ),
        [
            (
                'e/config.pbtxt:2:17: error: max_batch_size is 4, but model "b" in step 1 allows only 1 '
                "[ensemble-batch-above-step]"
            ),
            '  Set `max_batch_size: 1`, or raise that of model "b".',
            (
                'e/config.pbtxt:2:17: error: max_batch_size is 4, but model "c" in step 2 allows only 3 '
                "[ensemble-batch-above-step]"
            ),
            '  Set `max_batch_size: 3`, or raise that of model "c".',
            (
                "e: ensemble e allows maximum batch size 4, but it contains model b which only allows maximum "
                "batch size to be 1"
            ),
        ],
    ),
    "a batch size of 1": (
        Case({"e": ensemble(ONE, more="max_batch_size: 1\n"), "a": member(more="max_batch_size: 1\n")}),
        [],
    ),
    "an ensemble without batching over a batch size of 1": (
        Case({"e": ensemble(ONE), "a": member(more="max_batch_size: 1\n")}),
        [
            (
                'e/config.pbtxt:5:22: info: model "a" supports batching, but the ensemble does not, so each '
                "request holds one item [ensemble-nonbatching-over-batching]"
            ),
            "  Set max_batch_size in the ensemble if a request should hold several items.",
        ],
    ),
    "an optional input": (
        Case(
            {
                "e": ensemble(
                    ONE,
                    step("b", {"IN": "IN"}, {"OUT": "mid"}),
                    io=port("input", "IN", more="optional: true") + port("output", "OUT") + port("output", "mid"),
                ),
                "a": member(port("input", "IN", more="optional: true") + port("output", "OUT")),
                "b": member(),
            }
        ),
        [
            (
                'e/config.pbtxt:7:73: warning: ensemble input "IN" is optional, but it feeds "IN", which is '
                "required [ensemble-optional-to-required]"
            ),
            '  Remove optional from "IN", or add it to "IN" of the model.',
        ],
    ),
    "outputs of one name": (
        Case(
            {
                "e": ensemble(ONE),
                "a": member(
                    port("input", "IN") + port("output", "OUT") + port("output", "OUT") + port("output", "OUT")
                ),
            }
        ),
        [
            (
                'e/config.pbtxt:5:111: error: model "a" has 3 outputs "OUT", which are all mapped to tensor "OUT" '
                "[multiple-outputs-to-one-tensor]"
            ),
            '  Rename these outputs of model "a" so that each name is unique.',
            "e: in ensemble e, multiple outputs in model a are mapped to the same ensemble tensor OUT",
        ],
    ),
    "an unknown backend's completion": (
        Case(
            {
                "e": ensemble(ONE, **BATCHED),
                "a": member('input { name: "IN" }\n' + port("output", "OUT", "5"), backend="python"),
            },
            files={"a/1/model.py": COMPLETES},
        ),
        [
            (
                'e/config.pbtxt:4:51: error: tensor "OUT" has shape [-1,4] here, but [5] as "OUT" of model "a" '
                "[tensor-shape-differs]"
            ),
            "  Set `dims: [ 5 ]`. A leading -1 in a shape is the batch.",
            (
                "e: in ensemble e, ensemble tensor OUT: inconsistent shape: [-1,4] is inferred from model e while "
                "[5] is inferred from model a"
            ),
        ],
    ),
    "an ensemble that lists no type, over one that may complete": (
        Case(
            {
                "e": ensemble(ONE, **BATCHED),
                "a": member(port("input", "IN", "8, 4") + port("output", "OUT", "7"), backend="python"),
            },
            files={"a/1/model.py": COMPLETES},
        ),
        [
            (
                'e/config.pbtxt:4:51: error: tensor "OUT" has shape [-1,4] here, but [7] as "OUT" of model "a" '
                "[tensor-shape-differs]"
            ),
            "  Set `dims: [ 7 ]`. A leading -1 in a shape is the batch.",
            (
                "e: in ensemble e, ensemble tensor OUT: inconsistent shape: [-1,4] is inferred from model e while "
                "[7] is inferred from model a"
            ),
        ],
    ),
    "steps in another order": (
        Case({"e": ensemble(CHAIN[1], CHAIN[0]), **AB}),
        [],
    ),
    "a limit of requests": (
        Case(
            {
                "e": ensemble(ONE).replace("ensemble_scheduling {", "ensemble_scheduling { max_inflight_requests: 1"),
                **A,
            },
            options="--release 26.03",
        ),
        [],
    ),
    "a limit of no requests": (
        Case(
            {
                "e": ensemble(ONE).replace("ensemble_scheduling {", "ensemble_scheduling { max_inflight_requests: 0"),
                **A,
            },
            options="--release 26.03",
        ),
        [],
    ),
    "an output that is an input": (
        Case({"e": ensemble(ONE, io=port("input", "IN") + port("output", "OUT") + port("output", "IN")), **A}),
        [],
    ),
    "a namespace": (
        Case({"e": ensemble(ONE.replace("step {", 'step { model_namespace: "n"')), **A}),
        [
            "e/config.pbtxt:5:10: info: Triton overwrites the model_namespace of a step [step-model-namespace]",
            "  Remove it.",
        ],
    ),
    "fields without effect": (
        Case(
            {
                "e": ensemble(
                    ONE,
                    more='default_model_filename: "x"\nparameters { key: "k" value { } }\n'
                    "model_transaction_policy { }\nresponse_cache { enable: true }\n",
                ),
                **A,
            }
        ),
        [
            "e/config.pbtxt:2:1: info: default_model_filename has no effect in an ensemble [ensemble-ignored-fields]",
            "  Move it to the models of the steps.",
            "e/config.pbtxt:3:1: info: parameters has no effect in an ensemble [ensemble-ignored-fields]",
            "  Move it to the models of the steps.",
            (
                "e/config.pbtxt:4:1: info: Triton overwrites model_transaction_policy of an ensemble to match its "
                "steps [ensemble-decoupled-flag]"
            ),
            "  Remove it.",
        ],
    ),
    "fields of a backend": (
        Case({"e": ensemble(ONE, more="instance_group { }\noptimization { }\nmodel_warmup { }\n"), **A}),
        [
            "e/config.pbtxt:2:1: error: an ensemble cannot have an instance_group [ensemble-instance-group]",
            "  Move instance_group to the models of the steps.",
            "e/config.pbtxt:3:1: error: an ensemble cannot set optimization [ensemble-optimization]",
            "  Move optimization to the models of the steps.",
            "e/config.pbtxt:4:1: error: an ensemble cannot have a model_warmup [ensemble-warmup]",
            "  Move model_warmup to the models of the steps.",
            "e: instance group should not be specified for ensemble 'e'",
        ],
    ),
    "empty lists of a backend": (Case({"e": ensemble(ONE, more="instance_group [ ]\nmodel_warmup [ ]\n"), **A}), []),
    "another platform": (
        Case({"e": ensemble(ONE).replace('"ensemble"', '"onnxruntime_onnx"'), **A}),
        [
            (
                'e/config.pbtxt:1:11: error: ensemble_scheduling is set, but a model with backend "onnxruntime" is '
                "not an ensemble [ensemble-scheduling-wrong-platform]"
            ),
            '  Set `platform: "ensemble"` instead of the backend, or remove ensemble_scheduling.',
            "e: ensemble scheduling cannot be set for model 'e' whose platform is not ensemble",
        ],
    ),
    "another backend": (
        Case({"e": ensemble(ONE).replace('platform: "ensemble"', 'backend: "python"'), **A}),
        [
            (
                'e/config.pbtxt:1:10: error: ensemble_scheduling is set, but a model with backend "python" is not '
                "an ensemble [ensemble-scheduling-wrong-platform]"
            ),
            '  Set `platform: "ensemble"` instead of the backend, or remove ensemble_scheduling.',
            "e: ensemble scheduling cannot be set for model 'e' whose platform is not ensemble",
        ],
    ),
    "a backend that only a file identifies": (
        Case({"e": ensemble(ONE).partition("\n")[2], **A}, files={"e/1/model.py": PYTHON}),
        [
            (
                'e/config.pbtxt:3:21: error: ensemble_scheduling is set, but a model with backend "python" is not '
                "an ensemble [ensemble-scheduling-wrong-platform]"
            ),
            '  Set `platform: "ensemble"` instead of the backend, or remove ensemble_scheduling.',
            "e: ensemble scheduling cannot be set for model 'e' whose platform is not ensemble",
        ],
    ),
    "an ensemble without scheduling": (
        Case({"e": 'platform: "ensemble"\n' + port("input", "IN") + port("output", "OUT")}),
        [
            (
                "e/config.pbtxt:1:11: error: ensemble_scheduling is missing from this ensemble "
                "[ensemble-scheduling-missing]"
            ),
            "  Add ensemble_scheduling with the steps, or set a backend instead of the platform.",
            "e: ensemble scheduling must be set for ensemble e whose platform is ensemble",
        ],
    ),
    "a step that two decoupled models feed": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "IN"}, {"OUT": "x"}),
                    step("b", {"IN": "IN"}, {"OUT": "y"}),
                    step("c", {"P": "x", "Q": "y", "R": "IN"}, {"OUT": "OUT"}),
                ),
                "a": member(**DECOUPLED),
                "b": member(**DECOUPLED),
                "c": member(port("input", "P") + port("input", "Q") + port("input", "R") + port("output", "OUT")),
            }
        ),
        [
            (
                'e/config.pbtxt:7:22: error: the tensors that step 2 (model "c") reads do not follow the same '
                'decoupled model: "x", "y", "IN" [mixed-decoupled-sources]'
            ),
            "  Route them all through the same decoupled step, or join them in a Python model.",
            "e: in ensemble e, step of model 'e' receives inputs originated from different decoupled models",
        ],
    ),
    "an inner step that a decoupled model and an input feed": (
        Case(
            {
                "e": ensemble(
                    step("d", {"IN": "last"}, {"OUT": "OUT"}),
                    step("c", {"P": "IN", "Q": "x"}, {"OUT": "last"}),
                    step("a", {"IN": "IN"}, {"OUT": "x"}),
                ),
                "a": member(**DECOUPLED),
                "c": member(port("input", "P") + port("input", "Q") + port("output", "OUT")),
                "d": member(),
            }
        ),
        [
            (
                'e/config.pbtxt:6:22: error: the tensors that step 1 (model "c") reads do not follow the same '
                'decoupled model: "IN", "x" [mixed-decoupled-sources]'
            ),
            "  Route them all through the same decoupled step, or join them in a Python model.",
            "e: in ensemble e, step of model 'd' receives inputs originated from different decoupled models",
        ],
    ),
    "three outputs of two decoupled models": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "IN"}, {"OUT": "OUT"}),
                    step("b", {"IN": "IN"}, {"OUT": "mid"}),
                    step("c", {"IN": "mid"}, {"OUT": "P"}),
                    io=port("input", "IN") + port("output", "OUT") + port("output", "mid") + port("output", "P"),
                ),
                "a": member(**DECOUPLED),
                "b": member(**DECOUPLED),
                "c": member(),
            }
        ),
        [
            (
                "e/config.pbtxt:4:16: error: the outputs of the ensemble do not follow the same decoupled model: "
                '"OUT", "mid" [mixed-decoupled-sources]'
            ),
            "  Route them all through the same decoupled step, or join them in a Python model.",
            "e: in ensemble e, step of model 'e' receives inputs originated from different decoupled models",
        ],
    ),
    "a decoupled step whose output is not an ensemble output": (
        Case({"e": ensemble(*CHAIN), "a": member(**DECOUPLED), "b": member()}),
        [],
    ),
    "a cache that the ensemble itself forbids": (
        Case(
            {
                "e": ensemble(
                    ONE, more="response_cache { enable: true }\nmodel_transaction_policy { decoupled: true }\n"
                ),
                "a": member(**DECOUPLED),
            }
        ),
        [
            (
                "e/config.pbtxt:3:1: info: Triton overwrites model_transaction_policy of an ensemble to match its "
                "steps [ensemble-decoupled-flag]"
            ),
            "  Remove it.",
        ],
    ),
    "a cycle of two with a tail": (
        Case(
            {
                "e": ensemble(step("a", {"IN": "IN"}, {"OUT": "m"}), step("f", {"IN": "m"}, {"OUT": "OUT"})),
                "f": ensemble(step("e", {"IN": "IN"}, {"OUT": "OUT"})),
                **A,
            }
        ),
        [
            'e/config.pbtxt:6:22: error: ensemble "e" uses itself through "f" [ensemble-cycle]',
            "  Remove one of the steps that form this cycle.",
            'f/config.pbtxt:5:22: error: ensemble "f" uses itself through "e" [ensemble-cycle]',
            "  Remove one of the steps that form this cycle.",
            "e: circular dependency between ensembles: e -> ... -> f -> e",
            "f: circular dependency between ensembles: f -> ... -> e -> f",
        ],
    ),
    "a cycle used from outside, directly and indirectly": (
        Case({"e": INTO["e"], "f": INTO["f"], "g": INTO["g"], "h": ensemble(step("e", {"IN": "IN"}, {"OUT": "OUT"}))}),
        [
            (
                'e/config.pbtxt:5:22: error: ensemble "f" is part of a cycle, and using it from outside the cycle '
                "crashes the server [ensemble-cycle-crash]"
            ),
            '  Fix ensemble "f" first.',
            'f/config.pbtxt:5:22: error: ensemble "f" uses itself through "g" [ensemble-cycle]',
            "  Remove one of the steps that form this cycle.",
            'g/config.pbtxt:5:22: error: ensemble "g" uses itself through "f" [ensemble-cycle]',
            "  Remove one of the steps that form this cycle.",
            (
                'h/config.pbtxt:5:22: error: ensemble "e" uses an ensemble that is part of a cycle, which crashes '
                "the server [ensemble-cycle-crash]"
            ),
            '  Fix ensemble "e" first.',
            (
                'h/config.pbtxt:5:22: error: this ensemble cannot load because ensemble "e" is refused '
                "[step-ensemble-invalid]"
            ),
            '  Fix ensemble "e" first.',
            "e: server ended: -11",
            "f: server ended: -11",
            "g: server ended: -11",
            "h: server ended: -11",
        ],
    ),
    "an ensemble that uses itself": (
        Case({"e": ensemble(step("a", {"IN": "IN"}, {"OUT": "m"}), step("e", {"IN": "m"}, {"OUT": "OUT"})), **A}),
        [
            'e/config.pbtxt:6:22: error: ensemble "e" uses itself [ensemble-cycle]',
            "  Remove one of the steps that form this cycle.",
            "e: circular dependency between ensembles: e -> ... -> e -> e",
        ],
    ),
    "a use of a cycle next to a missing model": (
        Case(
            {
                "e": ensemble(step("f", {"IN": "IN"}, {"OUT": "m"}), step("gone", {"IN": "m"}, {"OUT": "OUT"})),
                "f": INTO["f"],
                "g": INTO["g"],
            }
        ),
        [
            'e/config.pbtxt:6:22: error: the repository has no model "gone" [step-model-missing]',
            "  Add the model, or name one that exists.",
            'f/config.pbtxt:5:22: error: ensemble "f" uses itself through "g" [ensemble-cycle]',
            "  Remove one of the steps that form this cycle.",
            'g/config.pbtxt:5:22: error: ensemble "g" uses itself through "f" [ensemble-cycle]',
            "  Remove one of the steps that form this cycle.",
            "e: ensemble e contains models that are not available or ambiguous: gone",
            "f: circular dependency between ensembles: f -> ... -> g -> f",
            "g: circular dependency between ensembles: g -> ... -> f -> g",
        ],
    ),
    "calls of missing models and versions": (
        Case(
            {"a": CALLER, "bb": CALLER, "e": ensemble(ONE)},
            files={
                "a/1/model.py": PYTHON,
                "bb/1/model.py": PYTHON,
                "bb/2/model.py": PYTHON,
                "a/1/calls.json": '{"bbb": 1,\n "qqqqq": 1, "bb": 1, "aa": 1}',
            },
        ),
        [
            'a/1/calls.json:1:2: warning: the repository has no model "bbb" to call [calls-model-missing]',
            '  Did you mean "bb"?',
            'a/1/calls.json:2:2: warning: the repository has no model "qqqqq" to call [calls-model-missing]',
            "  Add the model, or call one that exists.",
            (
                'a/1/calls.json:2:14: warning: version 1 of model "bb" is not served; only version 2 is served '
                "[calls-version-missing]"
            ),
            '  Select version 1 in the version_policy of "bb".',
            'a/1/calls.json:2:23: warning: the repository has no model "aa" to call [calls-model-missing]',
            "  Add the model, or call one that exists.",
        ],
    ),
    "calls of versions": (
        Case(
            {
                "a": CALLER,
                "b": member(backend="python", more="version_policy { specific { versions: [ 2, 3 ] } }\n"),
                "c": CALLER,
                "d": member(backend="python", more="version_policy { specific { versions: [ 9 ] } }\n"),
            },
            files={
                "a/1/model.py": PYTHON,
                "b/1/model.py": PYTHON,
                "b/2/model.py": PYTHON,
                "b/3/model.py": PYTHON,
                "c/1/model.py": PYTHON,
                "d/1/model.py": PYTHON,
                "a/1/calls.json": '{"b": 1, "c": 4, "d": 1}',
            },
        ),
        [
            (
                'a/1/calls.json:1:2: warning: version 1 of model "b" is not served; only versions 2 and 3 are '
                "served [calls-version-missing]"
            ),
            '  Select version 1 in the version_policy of "b".',
            (
                'a/1/calls.json:1:10: warning: version 4 of model "c" does not exist; only version 1 is served '
                "[calls-version-missing]"
            ),
            "  Call a version that is served.",
        ],
    ),
    "calls in two cycles": (
        Case(
            {"a": CALLER, "b": CALLER, "c": CALLER, "d": CALLER},
            files={
                "a/1/model.py": PYTHON,
                "b/1/model.py": PYTHON,
                "c/1/model.py": PYTHON,
                "d/1/model.py": PYTHON,
                "a/1/calls.json": '{"d": 1, "b": 1, "c": 1}',
                "b/1/calls.json": '{"c": 1}',
                "c/1/calls.json": '{"d": 1, "a": 1}',
            },
        ),
        [
            "a/1/calls.json:1:10: warning: the calls form a cycle: a → b → c → a [calls-cycle]",
            "  Remove one of these calls. Each waits for the next, so none ends.",
        ],
    ),
    "calls back through an ensemble": (
        Case(
            {"b": CALLER, "a": CALLER, "e": ensemble(*CHAIN)},
            files={"a/1/model.py": PYTHON, "b/1/model.py": PYTHON, "b/1/calls.json": '{"e": 1}'},
        ),
        [
            "b/1/calls.json:1:2: warning: the calls form a cycle: b → e → b [calls-cycle]",
            "  Remove one of these calls. Each waits for the next, so none ends.",
        ],
    ),
    "a variable dim that feeds a batch": (
        Case(
            {
                "e": ensemble(*CHAIN),
                "a": member(io("4", "-1, 4")),
                "b": member(io("4", "4"), more="max_batch_size: 2\n"),
            }
        ),
        [],
    ),
    "a fixed batch over a model that may batch": (
        Case(
            {"e": ensemble(ONE, io=io("2, 4", "2, 4")), "a": member(io("4", "4"), backend="python")},
            files={"a/1/model.py": COMPLETES},
        ),
        [],
    ),
    "a model that may complete all but its batch size of 1": (
        Case(
            {
                "e": ensemble(ONE, more="max_batch_size: 1\n"),
                "a": member(io("7, 4", "4"), more="max_batch_size: 1\n", backend="python"),
            },
            files={"a/1/model.py": COMPLETES},
        ),
        [
            (
                'e/config.pbtxt:3:49: error: tensor "IN" has shape [-1,4] here, but [-1,7,4] as "IN" of model "a" '
                "[tensor-shape-differs]"
            ),
            "  Set `dims: [ 7, 4 ]`. A leading -1 in a shape is the batch.",
            (
                "e: in ensemble e, ensemble tensor IN: inconsistent shape: [-1,4] is inferred from model e while "
                "[-1,7,4] is inferred from model a"
            ),
        ],
    ),
    "a batch of 1 over fixed dims": (
        Case({"e": ensemble(ONE, more="max_batch_size: 1\n"), "a": member(io("2, 4", "2, 4"))}),
        [
            (
                'e/config.pbtxt:6:73: warning: tensor "IN" has shape [-1,4], but [2,4] as "IN" of model "a", so '
                "only requests of batch size 2 work [ensemble-batching-over-fixed]"
            ),
            "  In the model without batching, set the first dim to -1, or enable batching.",
            (
                'e/config.pbtxt:6:111: warning: tensor "OUT" has shape [-1,4], but [2,4] as "OUT" of model "a", so '
                "only requests of batch size 2 work [ensemble-batching-over-fixed]"
            ),
            "  In the model without batching, set the first dim to -1, or enable batching.",
        ],
    ),
    "models whose names come after the ensemble's": (
        Case(
            {
                "e": ensemble(
                    step("x", {"IN": "IN"}, {"OUT": "m", "mid": "n"}),
                    step("y", {"IN": "m", "TOO": "n"}, {"OUT": "OUT"}),
                ),
                "x": member(BOTH),
                "y": member(
                    port("input", "IN", data_type="TYPE_INT8") + port("input", "TOO", "5") + port("output", "OUT")
                ),
            }
        ),
        [
            (
                'e/config.pbtxt:6:73: error: tensor "m" is TYPE_FP32 in model "x", but TYPE_INT8 as "IN" of model '
                '"y" [tensor-type-differs]'
            ),
            "  Insert a step that converts the tensor, or change one of the models.",
            (
                'e/config.pbtxt:6:109: error: tensor "n" has shape [4] in model "x", but [5] as "TOO" of model "y" '
                "[tensor-shape-differs]"
            ),
            "  Insert a step that reshapes the tensor, or change one of the models. A leading -1 may be the batch.",
            (
                "e: in ensemble e, ensemble tensor m: inconsistent data type: TYPE_FP32 is inferred from model x "
                "while TYPE_INT8 is inferred from model y"
            ),
        ],
    ),
    "an input that is optional in one step": (
        Case(
            {
                "e": ensemble(
                    step("b", {"IN": "m"}, {"OUT": "OUT"}),
                    step("x", {"IN": "n"}, {"OUT": "mid"}),
                    step("a", {"IN": "m"}, {"OUT": "p"}),
                    step("a", {"IN": "n"}, {"OUT": "q"}),
                    step("c", {"IN": "IN"}, {"OUT": "m", "mid": "n"}),
                    io=BOTH + port("output", "p") + port("output", "q"),
                ),
                "a": member(),
                "b": member(port("input", "IN", more="optional: true") + port("output", "OUT")),
                "c": member(BOTH),
                "x": member(port("input", "IN", more="optional: true") + port("output", "OUT")),
            }
        ),
        [],
    ),
    "tensors that no step reads, the last name first": (
        Case(
            {
                "e": ensemble(
                    ONE,
                    step("b", {"IN": "IN"}, {"OUT": "r"}),
                    step("b", {"IN": "IN"}, {"OUT": "q"}),
                    step("b", {"IN": "IN"}, {"OUT": "p"}),
                ),
                **AB,
            }
        ),
        [
            'e/config.pbtxt:6:111: error: no step reads tensor "r" of step 1 (model "b") [tensor-never-read]',
            '  Remove this output_map entry, or make "r" an output of the ensemble.',
            'e/config.pbtxt:7:111: error: no step reads tensor "q" of step 2 (model "b") [tensor-never-read]',
            '  Remove this output_map entry, or make "q" an output of the ensemble.',
            'e/config.pbtxt:8:111: error: no step reads tensor "p" of step 3 (model "b") [tensor-never-read]',
            '  Remove this output_map entry, or make "p" an output of the ensemble.',
            "e: ensemble tensor 'p' is unused in ensemble 'e'",
        ],
    ),
    "versions of three models": (
        Case(
            {
                "e": ensemble(
                    step("a", {"IN": "IN"}, {"OUT": "x"}, "model_version: 9"),
                    step("c", {"IN": "x"}, {"OUT": "y"}, "model_version: 8"),
                    step("b", {"IN": "y"}, {"OUT": "OUT"}, "model_version: 2"),
                ),
                **AB,
                "c": member(),
            }
        ),
        [
            (
                'e/config.pbtxt:5:41: error: step 0 asks for version 9 of model "a", but only version 1 is loaded '
                "[step-version-not-loaded]"
            ),
            "  Set `model_version: -1` for the newest version.",
            (
                'e/config.pbtxt:6:41: error: step 1 asks for version 8 of model "c", but only version 1 is loaded '
                "[step-version-not-loaded]"
            ),
            "  Set `model_version: -1` for the newest version.",
            (
                'e/config.pbtxt:7:41: error: step 2 asks for version 2 of model "b", but only version 1 is loaded '
                "[step-version-not-loaded]"
            ),
            "  Set `model_version: -1` for the newest version.",
            "e: ensemble 'e' depends on 'b' whose required version 2 is not loaded.",
        ],
    ),
    "a version below the newest": (
        Case({"e": ensemble(step("a", {"IN": "IN"}, {"OUT": "OUT"}, "model_version: -2")), **A}),
        [
            (
                'e/config.pbtxt:5:41: error: step 0 asks for version -2 of model "a", but only version 1 is loaded '
                "[step-version-not-loaded]"
            ),
            "  Set `model_version: -1` for the newest version.",
            "e: ensemble 'e' depends on 'a' whose required version -2 is not loaded.",
        ],
    ),
    "unknown keys, the last name first, and one duplicate": (
        Case(
            {
                "e": ensemble(
                    ONE.replace(
                        "input_map {",
                        'input_map { key: "Q" value: "IN" } input_map { key: "Q" value: "IN" } '
                        'input_map { key: "A" value: "IN" } input_map {',
                        1,
                    )
                ),
                **A,
            }
        ),
        [
            'e/config.pbtxt:5:96: error: model "a" has no input "Q" [step-input-unknown]',
            "  Use an input of this model: IN.",
            'e/config.pbtxt:5:131: error: model "a" has no input "A" [step-input-unknown]',
            "  Use an input of this model: IN.",
            "e: in ensemble e, ensemble tensor IN is mapping to non-existing input Q in model a",
        ],
    ),
    "a version of a model that does not load": (
        Case(
            {"e": ensemble(step("a", {"IN": "IN"}, {"OUT": "OUT"}, "model_version: 9")), "a": member(backend="nosuch")}
        ),
        [
            (
                'e/config.pbtxt:5:22: error: this ensemble cannot load because model "a" does not load '
                "[step-model-failed]"
            ),
            '  Fix model "a" first.',
            "e: ensemble 'e' depends on 'a' which has no loaded version.",
        ],
    ),
}


@tabled(("case", "expected"), WORDS.values(), ids=WORDS)
def test_each_word(case: Case, expected: Sequence[str]) -> None:
    found = judged(tree(case), case.options)
    lines = [line for d in found.diagnostics if d.rule in FAMILY for line in str(d).splitlines()]
    reasons = [f"{verdict.model}: {verdict.server_reason}" for verdict in found.verdicts if verdict.rule in FAMILY]
    assert [*lines, *reasons] == list(expected)


NAMES = {"": "", "a": '"a"', "ab": '"a" or "b"', "abcd": '"a", "b", "c" or "d"'}


@pytest.mark.parametrize(("names", "text"), NAMES.items(), ids=["none", "one", "two", "four"])
def test_names_are_listed_in_words(names: str, text: str) -> None:
    assert listed(names) == text


ENCODER = 'backend: "onnxruntime"\nmax_batch_size: 8\n' + port("input", "input_ids", "-1").replace("FP32", "INT64")
VECTORS, POOLED = port("output", "O", "-1, 8"), port("output", "O", "8")
LLM = {"llm": 'backend: "vllm"\ninstance_group { kind: KIND_MODEL }\n'}
TOKENIZER = 'backend: "python"\n' + port("input", "T").replace("FP32", "STRING") + port("output", "I", "-1")
ENCODERS = {
    "one vector for each token": ({**LLM, "x": ENCODER + VECTORS}, "pool and normalize them as well."),
    "one vector for each text": ({**LLM, "x": ENCODER + POOLED}, "and an ensemble of the two."),
    "TorchScript": (
        {**LLM, "x": (ENCODER + POOLED).replace("onnxruntime", "pytorch").replace("input_ids", "INPUT__0")},
        "and an ensemble of the two.",
    ),
    "no language model": ({"x": ENCODER + VECTORS}, None),
    "a tokenizer": ({**LLM, "x": ENCODER + VECTORS, "t": TOKENIZER}, None),
    "a Python model with unknown inputs": ({**LLM, "x": ENCODER + VECTORS, "t": 'backend: "python"\n'}, None),
    "an ensemble of texts": ({**LLM, "x": ENCODER + VECTORS, "t": 'platform: "ensemble"\n' + TOKENIZER[18:]}, None),
    "a config that cannot be read": ({**LLM, "x": ENCODER + VECTORS, "t": "{"}, None),
    "a model of numbers": ({**LLM, "x": ENCODER.replace("INT64", "FP32") + VECTORS}, None),
    "another input": ({**LLM, "x": ENCODER + port("input", "image", "-1") + VECTORS}, None),
    "indices of another kind": ({**LLM, "x": ENCODER.replace("input_ids", "user_ids") + POOLED}, None),
}


@tabled(("configs", "hint"), ENCODERS.values(), ids=ENCODERS)
def test_an_encoder_that_no_text_can_reach(configs: Mapping[str, str], hint: str | None) -> None:
    files = {f"{name}/config.pbtxt": of_text(text) for name, text in configs.items()}
    files["llm/1/model.json"] = of_text('{"model": "m"}')
    found = [each.hint for each in judged(files).diagnostics if each.rule == "encoder-without-tokenizer"]
    assert len(found) == bool(hint)
    assert all(each.endswith(hint or "") for each in found)


CALLEE: dict[str, Entry] = {
    "a/config.pbtxt": of_text(member(io("4", "4") + port("output", "LOG"), "max_batch_size: 4\n")),
    "a/1": Directory(),
}
HEAD = 'platform: "ensemble"\n' + io("4", "4")
ONE = f"ensemble_scheduling {{\n{step('a', {'IN': 'IN'}, {'OUT': 'OUT'})}}}"
TWO = ONE.replace("\n}", "\n" + step("a", {"IN": "IN"}, {"OUT": "OUT"}).replace('"OUT" }', '"MORE" }') + "}")
FIXES = {
    "a platform in place of a backend": (
        "ensemble-scheduling-wrong-platform",
        f'backend:"python"{io("4", "4")}{ONE}',
        f'platform: "ensemble" {io("4", "4")}{ONE}',
        "unsafe",
    ),
    "a platform in place of another": (
        "ensemble-scheduling-wrong-platform",
        f'platform: "onnxruntime_onnx"; # of an ensemble\n{io("4", "4")}{ONE}\nbackend: "onnxruntime"\n',
        f'platform: "ensemble"; # of an ensemble\n{io("4", "4")}{ONE}\n',
        "unsafe",
    ),
    "a step without an output_map": (
        "ensemble-scheduling-wrong-platform",
        bad := 'backend: "python"\n' + io("4", "4") + ONE.replace("output_map", "input_map"),
        bad,
        "",
    ),
    "a model in two steps": (
        "step-model-missing",
        HEAD + TWO.replace('"a"', "'aa'"),
        HEAD + TWO,
        "unsafe",
    ),
    "an input in other letters": (
        "step-input-unknown",
        HEAD + ONE.replace('key: "IN"', "key: 'In' # of a\n"),
        HEAD + ONE.replace('key: "IN"', 'key: "IN" # of a\n'),
        "safe",
    ),
    "an output of another name": (
        "step-output-unknown",
        HEAD + ONE.replace('key: "OUT"', "key: 'OUTPUT'"),
        HEAD + ONE,
        "unsafe",
    ),
    "an input that two steps read": (
        "ensemble-input-unused",
        HEAD + TWO.replace('value: "IN"', "value: 'in'"),
        HEAD + TWO,
        "safe",
    ),
    "an output in a list": (
        "ensemble-output-unused",
        HEAD + ONE.replace('output_map { key: "OUT" value: "OUT" }', "output_map [ <key: 'OUT'; value: 'UOT'> ]"),
        HEAD + ONE.replace('output_map { key: "OUT" value: "OUT" }', "output_map [ <key: 'OUT'; value: \"OUT\"> ]"),
        "unsafe",
    ),
    "instance groups here and there": (
        "ensemble-instance-group",
        f"{HEAD}instance_group [ {{ count: 2 }} ],{ONE} instance_group <> # why",
        f"{HEAD}{ONE} # why",
        "unsafe",
    ),
    "an instance group that says nothing": (
        "ensemble-instance-group",
        f"{HEAD}{ONE}instance_group {{ }}",
        HEAD + ONE,
        "safe",
    ),
    "an optimization that says nothing": (
        "ensemble-optimization",
        f"{HEAD}optimization <>\r\n{ONE}",
        HEAD + ONE,
        "safe",
    ),
    "an optimization": (
        "ensemble-optimization",
        f"{HEAD}{ONE}\noptimization {{ graph {{ level: 1 }} }}",
        f"{HEAD}{ONE}\n",
        "unsafe",
    ),
    "warm-up requests": (
        "ensemble-warmup",
        f"{HEAD}{ONE} model_warmup [ {{ name: 'a' }}, {{ name: 'b' }} ];",
        HEAD + ONE,
        "unsafe",
    ),
    "a version of a step": (
        "step-version-not-loaded",
        HEAD + ONE.replace("-1", "7 # the best\n"),
        HEAD + ONE.replace("-1", "-1 # the best\n"),
        "unsafe",
    ),
    "a step without a version": (
        "step-version-not-loaded",
        HEAD + ONE.replace(" model_version: -1 ", "\n    # the newest\n    "),
        HEAD + ONE.replace(" model_version: -1 ", " model_version: -1\n    # the newest\n    "),
        "safe",
    ),
    "the batch of a step": (
        "ensemble-batch-above-step",
        f"max_batch_size: 0x10 # many\n{HEAD}{ONE}",
        f"max_batch_size: 4 # many\n{HEAD}{ONE}",
        "unsafe",
    ),
}


@tabled(("rule", "bad", "good", "safe"), FIXES.values(), ids=FIXES)
def test_a_fix_keeps_the_rest_of_an_ensemble(rule: str, bad: str, good: str, safe: str) -> None:
    assert mended(rule, bad, beside={"m/1": Directory(), **CALLEE}) == (safe, good)


UNREAD = {
    "an entry of its own": (
        'output_map { key: "LOG" value: "log" } output_map { key: "OUT" value: "OUT" }',
        'output_map { key: "OUT" value: "OUT" }',
    ),
    "an entry of a list": (
        'output_map [ { key: "OUT" value: "OUT" }, # needed\n { key: "LOG" value: "log" } ] # all\n',
        'output_map [ { key: "OUT" value: "OUT" } # needed\n  ] # all\n',
    ),
    "two entries with one key": (
        'output_map [ { key: "LOG" value: "OUT" }, { key: "OUT" value: "OUT" }, <key: "LOG", value: "log"> ]',
        'output_map [ { key: "OUT" value: "OUT" } ]',
    ),
    "the only entry": ('output_map { key: "LOG" value: "log" }', ""),
}


@pytest.mark.parametrize(("bad", "good"), UNREAD.values(), ids=UNREAD)
def test_a_tensor_that_nobody_reads_leaves_the_map(bad: str, good: str) -> None:
    head = ONE.replace('output_map { key: "OUT" value: "OUT" }', "%s")
    other = step("a", {"IN": "IN"}, {"OUT": "OUT"}) if not good else ""
    head = HEAD + head.replace("}\n}", "}\n" + other + "}")
    safe = "unsafe" if good else ""
    assert mended("tensor-never-read", head % bad, beside={"m/1": Directory(), **CALLEE}) == (
        safe,
        head % (good or bad),
    )


VERSIONS = {
    "none": ("", {}, ["1"]),
    "the versions of the policy": ("version_policy { specific { versions: [ 4, 2, 4 ] } }", {}, ["2", "4"]),
    "no version in the policy": ("version_policy { specific { } }", {}, []),
    "a version that cannot be one": ("version_policy { specific { versions: 0 } }", {}, []),
    "a directory that may be one": ("", {"m/v1": Directory()}, []),
    "a file in its place": ("", {"m/1": of_text("")}, []),
    "another directory": ("", {"m/docs": Directory()}, ["1"]),
}


@tabled(("policy", "beside", "made"), VERSIONS.values(), ids=VERSIONS)
def test_a_version_directory_is_created(policy: str, beside: Mapping[str, Entry], made: list[str]) -> None:
    tree = {"m/config.pbtxt": of_text(HEAD + policy + ONE), **beside, **CALLEE}
    fixes = [d.fix for d in judged(tree).diagnostics if d.rule == "ensemble-no-version-directory"]
    files = [Create(f"m/{version}/.gitkeep", "") for version in made]
    assert [[*fix.files] for fix in fixes if fix is not None] == ([files] if made else [])
