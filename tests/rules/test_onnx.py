"""Corner cases of the rules that compare ONNX models with their graphs; the words are those of the backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import onnx
import pytest

from tests.mending import mended
from tests.onnx_models import DIRECTORY, MODELS, embedder, same, scaled, started
from tests.pages import judged, loud
from tests.tabled import tabled
from tritonrepo.diagnostics import State
from tritonrepo.releases import RELEASES
from tritonrepo.tree import Entry, of_bytes, of_text

STRICT = "--no-auto-complete"
IN, OUT = (
    'input { name: "IN" data_type: TYPE_FP32 dims: [ %s ] }\n',
    'output { name: "OUT" data_type: TYPE_FP32 dims: [ %s ] }\n',
)
IO = IN % "4" + OUT % "4"
WHOLE = IN % "-1, 4" + OUT % "-1, 4"
BATCH = "max_batch_size: 8\n"
START = """sequence_batching {
  control_input { name: "START" control { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } }
}
"""
STATE = 'sequence_batching { state { input_name: "%s" output_name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] } }\n'
W = 'input { name: "W" data_type: TYPE_FP32 dims: [ 1 ] %s }\n'
COUNT = "unable to load model 'm', configuration expects {} inputs, model provides {}"
FOUR, ALL = same(["batch", 4]), "version_policy { all { } }\n"
TOKENS = """input { name: "input_ids" data_type: TYPE_INT64 dims: [ -1 ] }
input { name: "attention_mask" data_type: TYPE_INT64 dims: [ -1 ] }
output { name: "embedding" data_type: TYPE_FP32 dims: [ 4 ] }
"""


class Case(NamedTuple):
    """A config, the graphs of versions 1, 2, …, the rule and the start of the reason of its verdict, what speaks."""

    config: str
    graphs: tuple[bytes, ...] = (FOUR,)
    rule: str = ""
    reason: str = ""
    also: frozenset[str] = frozenset()
    options: str = ""


def tree(case: Case) -> dict[str, Entry]:
    """Return the case's repository."""
    files: dict[str, Entry] = {f"m/{n}/model.onnx": of_bytes(graph) for n, graph in enumerate(case.graphs, 1)}
    return {"m/config.pbtxt": of_text(f'backend: "onnxruntime"\n{case.config}'), **files}


MISMATCH, BATCHED, EXACT = "onnx-dims-mismatch", "onnx-dims-mismatch-batching", "onnx-output-dims-exact"
EXPECTS = "model 'm', tensor '{}': the model expects {} dimensions (shape {}"
RAISED = frozenset({"onnx-autofill-raises-max-batch"})
SHAPES = {
    "without the batch": Case(BATCH + IO),
    "with the batch": Case(WHOLE),
    "an input may fix what is variable": Case(BATCH + IN % "7" + OUT % "-1", (same(["b", "s"]),)),
    "an input cannot leave open what is fixed": Case(
        BATCH + IN % "-1" + OUT % "4", rule=BATCHED, reason=EXPECTS.format("IN", 2, "[-1,4])")
    ),
    "an output cannot fix what surely stays variable": Case(
        BATCH + IN % "7" + OUT % "7", (same(["b", "s"]),), EXACT, EXPECTS.format("OUT", 2, "[-1,-1])")
    ),
    "an output may fix what ONNX Runtime may infer": Case(
        BATCH + IN % "4" + OUT % "4, 1", (same(["b", 4], out=["b", "s", "t"]),)
    ),
    "an output of another rank than that of the file": Case(
        BATCH + IN % "4" + OUT % "4", (same(["b", 4], out=["b", "s", "t"]),), BATCHED, "model 'm', tensor 'OUT'"
    ),
    "an output has the size of the input that it is": Case(
        BATCH + IN % "4" + OUT % "7", (same(["b", 4], out=["b", "s"]),), BATCHED, EXPECTS.format("OUT", 2, "[-1,4])")
    ),
    "negative dims of a graph are variable": Case(BATCH + IN % "7" + OUT % "-1", (same([-1, -5]),)),
    "an input without a rank is a scalar": Case(IN % "1" + OUT % "1", (same(None),)),
    "a scalar of one element": Case(IN % "1, 1" + OUT % "1", (same([]),)),
    "a scalar that batches": Case(
        BATCH + IN % "4" + OUT % "1", (same([]),), "onnx-scalar-dims", "unable to load model 'm', scalar tensor 'IN', "
    ),
    "only the batch": Case(
        BATCH + "".join(f"{io % '1'}".replace(" }", " reshape { shape: [ ] } }") for io in (IN, OUT)), (same(["b"]),)
    ),
    "only the batch, without a reshape": Case(
        BATCH + IN % "1" + OUT % "1", (same(["b"]),), BATCHED, EXPECTS.format("IN", 1, "[-1]) but")
    ),
    "a reshape counts in place of dims": Case(
        BATCH + IN.replace(" }", " reshape { shape: [ 4 ] } }") % "2, 2" + OUT % "4"
    ),
    "a reshape is compared": Case(
        BATCH + IN.replace(" }", " reshape { shape: [ 2, 2 ] } }") % "4" + OUT % "4",
        rule=BATCHED,
        reason=EXPECTS.format("IN", 2, "[-1,4])"),
    ),
    "a missing max_batch_size is one fault": Case(IO, rule=MISMATCH, reason=EXPECTS.format("IN", 2, "[-1,4]) but")),
    "a batch that is fixed is one fault": Case(
        BATCH + IO, (same([1, 4]),), "onnx-batch-dim-not-dynamic", "model 'm', tensor 'IN': for the model to support"
    ),
    "the type comes before the shape": Case(
        BATCH + IN % "5" + OUT.replace("FP32", "FP16") % "4",
        rule=BATCHED,
        reason="model 'm', tensor 'IN'",
        also=frozenset({"onnx-output-dtype"}),
    ),
    "a string is BYTES to the server": Case(
        BATCH + IO,
        (same(["b", 4], onnx.TensorProto.STRING),),
        "onnx-input-dtype",
        "unable to load model 'm', configuration expects datatype TYPE_FP32 for input 'IN', model provides TYPE_BYTES",
        frozenset({"onnx-output-dtype"}),
    ),
    "a batch_output is not compared": Case(
        BATCH + IN % "4" + OUT % "9, 9" + "batch_output { kind: BATCH_SCATTER_WITH_INPUT_SHAPE target_name: "
        '"OUT" source_input: "IN" }\n'
    ),
    "one bad version of two": Case(
        BATCH + IO + ALL, (FOUR, same([1, 4])), "onnx-batch-dim-not-dynamic", "model 'm', tensor 'IN': for the model"
    ),
    "a fault of both versions": Case(BATCH + IN % "5" + OUT % "4" + ALL, (FOUR, FOUR), BATCHED, "model 'm', tensor"),
    "a version that is not served": Case(BATCH + IO, (same([1, 4]), FOUR)),
}
COUNTS = {
    "an input too many": Case(BATCH + IO + W % "", rule="onnx-input-count", reason=COUNT.format(2, 1)),
    "an input too few": Case(BATCH + TOKENS.split("\n", 1)[1], (embedder(),), "onnx-input-count", COUNT.format(1, 2)),
    "an input twice": Case(BATCH + IN % "4" + IO, rule="onnx-input-count", reason=COUNT.format(2, 1)),
    "an initializer can be left out": Case(BATCH + IO, (scaled(),)),
    "an initializer can be optional": Case(WHOLE + W % "optional: true", (scaled(),)),
    "an initializer that is required": Case(WHOLE + W % "", (scaled(),), "onnx-input-count", COUNT.format(2, 1)),
    "an initializer of an old file cannot be overridden": Case(
        WHOLE + W % "optional: true",
        (scaled(3),),
        "onnx-unknown-input",
        "unexpected inference input 'W', allowed inputs",
    ),
    "an optional input that batches": Case(
        BATCH + IO + W % "optional: true",
        (scaled(),),
        "onnx-optional-with-batching",
        "unable to load model 'm', optional",
    ),
    "an optional input after the backend raised max_batch_size": Case(
        IN % "4" + W % "optional: true",
        (scaled(),),
        "onnx-optional-with-batching",
        "unable to load model 'm', optional input 'W' is not supported",
    ),
    "an optional input of the graph": Case(
        WHOLE.replace("4 ] }", "4 ] optional: true }", 1),
        rule="onnx-optional-not-initializer",
        reason=COUNT.format(0, 1),
    ),
    "optional and ragged": Case(
        WHOLE + W % "optional: true allow_ragged_batch: true",
        (scaled(),),
        "onnx-ragged-optional",
        "for ragged input 'W', which is not supported for optional input",
        frozenset({"ragged-without-batching"}),
    ),
    "ragged": Case(
        BATCH
        + IN.replace(" }", " allow_ragged_batch: true }") % "-1"
        + OUT.replace(" }", " reshape { shape: [ ] } }") % "1"
        + "dynamic_batching { }\n",
        (same(["b"]),),
    ),
    "a batch_input counts": Case(
        BATCH + IO + 'batch_input { kind: BATCH_ELEMENT_COUNT target_name: "START" data_type: TYPE_FP32 '
        'source_input: "IN" }\n',
        (started(),),
    ),
    "a control counts": Case(BATCH + IO + START, (started(),)),
    "a control that the graph lacks": Case(
        BATCH + IO + START,
        rule="onnx-sequence-control-missing",
        reason="configuration specified sequence control 'START', but model does not provide that input",
    ),
    "a control of two values": Case(
        BATCH + IO + START,
        (started(["b", 2]),),
        "onnx-sequence-control-shape",
        "unable to load model 'm', sequence control 'START' in model has dims [2] but dims [1] is expected",
    ),
    "a control without batching": Case(WHOLE + START, (started([1]),)),
    "a control of another type": Case(
        BATCH + IO + START.replace("fp32", "int32"),
        (started(),),
        "onnx-sequence-control-shape",
        "unable to load model 'm', sequence control 'START', the model expects data-type FLOAT but the model",
    ),
    "a control without listed inputs counts twice": Case(
        BATCH + OUT % "4" + START, (started(),), "onnx-input-count", COUNT.format(3, 2)
    ),
    "a state counts, whatever its name": Case(BATCH + IO + STATE % "START", (started(),)),
    "unknown inputs of the right number": Case(
        BATCH + IO.replace("IN", "in"),
        rule="onnx-unknown-input",
        reason="unexpected inference input 'in', allowed inputs are: IN",
    ),
    "an unknown output": Case(
        BATCH + IO.replace("OUT", "out"),
        rule="onnx-unknown-output",
        reason="unexpected inference output 'out', allowed outputs",
    ),
    "not all outputs": Case(BATCH + IN % "4" + OUT % "4", (FOUR,)),
}
COMPLETED = {
    "an empty config": Case(""),
    "an empty config without auto-complete": Case(
        "", rule="onnx-no-io-without-autofill", reason=COUNT.format(0, 1), options=STRICT
    ),
    "no outputs without auto-complete": Case(BATCH + IN % "4", options=STRICT),
    "only inputs, as they are with the batch": Case(IN % "4"),
    "only inputs, as they would be without": Case(
        IN % "-1, 4", rule=BATCHED, reason=EXPECTS.format("IN", 2, "[-1,4]) but")
    ),
    "a max_batch_size of 0 that is raised": Case("max_batch_size: 0\n", also=RAISED),
    "a max_batch_size of 0 that stays": Case("max_batch_size: 0\n", (same([1, 4]),)),
    "a max_batch_size that stays": Case("max_batch_size: 1\n"),
    "a graph that does not batch": Case(
        BATCH, (same([1, 4]),), "onnx-autofill-not-batchable", "autofill failed for model 'm': model does not support"
    ),
    "a scalar does not batch": Case(BATCH, (same([]),), "onnx-autofill-not-batchable", "autofill failed for model 'm'"),
    "a graph that is complete is not looked at": Case(
        BATCH + IO, (same([1, 4]),), "onnx-batch-dim-not-dynamic", "model 'm'"
    ),
    "an output of unknown rank is that of the input": Case(
        IN % "-1, 4", (same(["b", 4], out=None),), BATCHED, EXPECTS.format("IN", 2, "[-1,4]) but")
    ),
    "a broken graph is not compared": Case(BATCH + IO, (b"\x08\x08",)),
}
TABLES: Mapping[str, Mapping[str, Case]] = {"shapes": SHAPES, "counts": COUNTS, "completed": COMPLETED}
ROWS = {f"{table}: {name}": case for table, cases in TABLES.items() for name, case in cases.items()}
OURS = ("onnx-", "ragged-")
FILE_RULES = ("onnx-model", "onnx-file", "onnx-not", "onnx-empty")


@tabled("case", ROWS.values(), ids=ROWS)
def test_verdict_and_what_speaks(case: Case) -> None:
    found = judged(tree(case), case.options)
    (verdict,) = found.verdicts
    if case.graphs[0] == b"\x08\x08":
        assert not verdict.rule.startswith(("onnx-dims", "onnx-input"))
        return
    assert verdict.rule == case.rule
    assert verdict.server_reason.startswith(case.reason)
    assert bool(verdict.server_reason) is bool(case.rule)
    heard = {name for name in loud(tree(case), case.options) if name.startswith(OURS)}
    assert heard == case.also | ({case.rule} if case.rule else set())


@pytest.mark.parametrize(
    "case", [SHAPES["a missing max_batch_size is one fault"], SHAPES["a batch that is fixed is one fault"]]
)
def test_one_fault_of_several_tensors_has_one_message(case: Case) -> None:
    assert len([found for found in judged(tree(case)).diagnostics if found.severity == "error"]) == 1


def accelerated(name: str, key: str = "", value: str = "") -> str:
    """Return a config with an accelerator for GPUs and one parameter."""
    parameters = f'parameters {{ key: "{key}" value: "{value}" }}' if key else ""
    block = f'gpu_execution_accelerator {{ name: "{name}" {parameters} }}'
    return f"{BATCH}{IO}optimization {{ execution_accelerators {{ {block} }} }}\n"


RELEASED = {
    "cuda": (accelerated("cuda"), "24.06", "onnx-gpu-accelerator-name"),
    "a parameter": (accelerated("tensorrt", "trt_dla_enable", "1"), "24.04", "onnx-trt-parameter-name"),
    "a precision": (accelerated("tensorrt", "precision_mode", "BF16"), "26.02", "onnx-trt-precision"),
    "a boolean": (
        accelerated("tensorrt", "int8_use_native_calibration_table", "on"),
        "24.02",
        "onnx-trt-parameter-type",
    ),
}


@pytest.mark.parametrize(("config", "since", "rule"), RELEASED.values(), ids=RELEASED)
def test_accelerators_by_release(config: str, since: str, rule: str) -> None:
    earlier = max(name for name in RELEASES if name < since)
    for release, spoken in ((earlier, {rule}), (since, set())):
        heard = loud(tree(Case(config)), f"--release {release} --gpus 1")
        assert {name for name in heard if name.startswith(OURS)} == spoken, release
    assert not {name for name in loud(tree(Case(config)), f"--release {earlier}") if name.startswith(OURS)}


@tabled(
    ("name", "value", "state"),
    [
        ("trt_min_subgraph_size", "2147483647", State.READY),
        ("trt_min_subgraph_size", "2147483648", State.CRASH),
        ("trt_cuda_graph_enable", "1", State.READY),
        ("max_workspace_size_bytes", "18446744073709551615", State.READY),
        ("max_workspace_size_bytes", "18446744073709551616", State.CRASH),
    ],
)
def test_a_number_that_does_not_fit_ends_the_server(name: str, value: str, state: State) -> None:
    (verdict,) = judged(tree(Case(accelerated("tensorrt", name, value))), "--gpus 1").verdicts
    assert (verdict.rule, verdict.verdict) == ("onnx-trt-parameter-overflow" if state is State.CRASH else "", state)


@tabled(
    ("name", "value", "rule"),
    [
        ("execution_mode", "4x", "onnx-execution-mode"),
        ("execution_mode", "1x", ""),
        ("execution_mode", " 99999999999", "onnx-int-parameter-overflow"),
        ("inter_op_thread_count", "-2147483649", "onnx-int-parameter-overflow"),
        ("inter_op_thread_count", "-2147483648", ""),
        ("intra_op_thread_count", "", "onnx-int-parameter"),
        ("intra_op_thread_count", "-1", ""),
        ("enable_mem_pattern", "ON", ""),
        ("enable_mem_pattern", "yes", "onnx-bool-parameter"),
        ("cudnn_conv_algo_search", "9", ""),
        ("my_own_parameter", "4", ""),
    ],
)
def test_parameters(name: str, value: str, rule: str) -> None:
    config = f'{BATCH}{IO}parameters {{ key: "{name}" value {{ string_value: "{value}" }} }}\n'
    assert {each for each in loud(tree(Case(config))) if each.startswith(OURS)} == ({rule} if rule else set())


WARM = 'model_warmup { name: "w" batch_size: %s inputs { key: "%s" value { data_type: TYPE_FP32 dims: [ %s ] '
WARM += "zero_data: true } } }\n"


INPUTS = {
    "a sample": (BATCH + IN % "4" + WARM % (1, "IN", "4"), FOUR, ""),
    "a sample of another shape": (BATCH + IN % "4" + WARM % (1, "IN", "5"), FOUR, "warmup-shape-differs"),
    "a sample of another name": (BATCH + IN % "4" + WARM % (1, "INN", "4"), FOUR, "warmup-input-missing"),
    "inputs that are not listed": (BATCH + OUT % "4" + WARM % (1, "INN", "4"), FOUR, ""),
    "a batch size that is raised": (IN % "4" + WARM % (1, "IN", "1, 4"), FOUR, ""),
    "a graph that does not batch": (IN % "1, 4" + WARM % (1, "IN", "1, 5"), same([1, 4]), "warmup-shape-differs"),
    "an empty reshape": ((IN % "1").replace("] }", "] reshape { } }"), same([]), "reshape-empty-nonbatching"),
    "batching where it is raised": (IN % "4" + "dynamic_batching { }\n", FOUR, ""),
    "batching that is not": (IN % "1, 4" + "dynamic_batching { }\n", same([1, 4]), "dynamic-without-batching"),
    "no graph": (BATCH + IN % "4" + WARM % (1, "IN", "5"), b"no graph", "onnx-not-a-protobuf"),
}


@tabled(("config", "graph", "rule"), INPUTS.values(), ids=INPUTS)
def test_what_is_listed_is_judged_if_only_outputs_are_completed(config: str, graph: bytes, rule: str) -> None:
    heard = loud(tree(Case(config, (graph,)))) - RAISED
    assert heard == ({rule} if rule else set())


def test_a_misspelt_input_is_one_fault_of_a_wrong_number() -> None:
    config = BATCH + TOKENS.replace('"attention_mask"', '"atention_mask"') + W % ""
    found = [each for each in judged(tree(Case(config, (embedder(),)))).diagnostics if each.severity == "error"]
    assert [(each.rule, each.hint) for each in found] == [
        ("onnx-input-count", 'Did you mean "attention_mask"?'),
        ("onnx-input-count", "Remove this entry."),
    ]


def test_every_fault_is_reported_at_once() -> None:
    config = BATCH + TOKENS.replace("INT64", "INT32", 1).replace("[ -1 ]", "[ -1, -1 ]").replace("[ 4 ]", "[ 5 ]")
    assert loud(tree(Case(config, (embedder(),)))) == {"onnx-input-dtype", BATCHED}


def test_a_message_names_the_version() -> None:
    found = judged(tree(SHAPES["one bad version of two"])).diagnostics
    assert any("in the graph of version 2" in each.message for each in found)


@tabled("name", MODELS)
def test_the_models_of_the_pages_are_those_of_the_tests(name: str) -> None:
    file = DIRECTORY / f"{name}.onnx"
    assert onnx.load(file, load_external_data=False) == onnx.load_from_string(MODELS[name]())


def io(dims: str, out: str, data_type: str = "TYPE_FP32") -> str:
    """Return IN and OUT of these dims."""
    return (
        f"input {{ name: 'IN' data_type: {data_type} {dims} }}\noutput {{ name: 'OUT' data_type: TYPE_FP32 {out} }}\n"
    )


LONG = "dims: [\n  -1, # the batch\n  4 # numbers\n]"
FIXES = {
    "a type, with a comment": (
        "onnx-input-dtype",
        io("dims: [ -1, 4 ]", "dims: [ -1, 4 ]", "TYPE_INT32, # a number\n"),
        io("dims: [ -1, 4 ]", "dims: [ -1, 4 ]", "TYPE_FP32, # a number\n"),
        "unsafe",
    ),
    "the batch, in a list over lines": (
        BATCHED,
        BATCH + io(LONG, "dims: [ 4 ]"),
        BATCH + io(LONG.replace("-1,", ""), "dims: [ 4 ]"),
        "safe",
    ),
    "the batch, one by one": (
        BATCHED,
        BATCH + io("dims: -1;dims: 4;", "dims: 4"),
        BATCH + io("dims: 4;", "dims: 4"),
        "safe",
    ),
    "the batch of input and output": (
        BATCHED,
        BATCH + io("dims: [-1,4]", "dims: [ -1, 4 ]"),
        BATCH + io("dims: [4]", "dims: [ 4 ]"),
        "safe",
    ),
    "a batch of 1": (BATCHED, BATCH + io("dims: [ 1, 4 ]", "dims: 4"), BATCH + io("dims: [ 4 ]", "dims: 4"), "unsafe"),
    "another size": (BATCHED, BATCH + io("dims: 5", "dims: 4"), BATCH + io("dims: 4", "dims: 4"), "unsafe"),
    "an output that is variable": (
        EXACT,
        BATCH + io("dims: 4", "dims: [-1] # d\n"),
        BATCH + io("dims: 4", "dims: [4] # d\n"),
        "safe",
    ),
    "a size of the whole shape": (
        MISMATCH,
        io("dims: [ 9, 5 ]", "dims: [ -1, 4 ]"),
        io("dims: [ 9, 4 ]", "dims: [ -1, 4 ]"),
        "unsafe",
    ),
    "the batch is lacking": (
        MISMATCH,
        io("dims: 4", "dims: [ 4 ]"),
        io("dims: [ -1, 4 ]", "dims: [ -1, 4 ]"),
        "unsafe",
    ),
    "a reshape": (BATCHED, BATCH + io("dims: [ 2, 2 ] reshape { shape: [ 2, 2 ] }", "dims: 4"), "", ""),
    "a batch that is set to 0": (
        "onnx-autofill-raises-max-batch",
        "max_batch_size: 0 # one\n",
        "max_batch_size: 4 # one\n",
        "unsafe",
    ),
    "a misspelt input": (
        "onnx-unknown-input",
        io("dims: [ -1, 4 ]", "dims: [ -1, 4 ]").replace("'IN'", "'INN' # in\n"),
        io("dims: [ -1, 4 ]", "dims: [ -1, 4 ]").replace("'IN'", '"IN" # in\n'),
        "unsafe",
    ),
    "an input in lower case": (
        "onnx-unknown-input",
        io("dims: [ -1, 4 ]", "dims: [ -1, 4 ]").replace("IN'", "in'"),
        io("dims: [ -1, 4 ]", "dims: [ -1, 4 ]").replace("'IN'", '"IN"'),
        "safe",
    ),
    "an input too many, in a list": (
        "onnx-input-count",
        "input [ { name: 'X' data_type: TYPE_FP32 dims: 1 }, # not there\n"
        + (list_ := IN[6:].strip() % "-1, 4" + " ]\n" + OUT % "-1, 4"),
        "input [  # not there\n" + list_,
        "unsafe",
    ),
    "no inputs": ("onnx-no-io-without-autofill", OUT % "-1, 4", IN % "-1, 4" + OUT % "-1, 4", "safe"),
    "no inputs and outputs": ("onnx-no-io-without-autofill", "", IN % "-1, 4" + OUT % "-1, 4", "safe"),
}


@tabled(("rule", "bad", "good", "safe"), FIXES.values(), ids=FIXES)
def test_a_fix_follows_the_graph(rule: str, bad: str, good: str, safe: str) -> None:
    head, options = 'backend: "onnxruntime"\n', "--no-auto-complete" if "without" in rule else ""
    assert mended(rule, head + bad, options, {"m/1/model.onnx": of_bytes(FOUR)}) == (safe, head + (good or bad))


def test_no_fix_follows_one_of_several_graphs() -> None:
    config = 'backend: "onnxruntime"\nversion_policy { all { } }\n' + io(
        "dims: [ 1, 2 ]", "dims: [ 1, 2 ]", "TYPE_FP16"
    )
    graphs = {f"m/{n}/model.onnx": of_bytes(same([1, n])) for n in (1, 2)}
    assert not mended("onnx-input-dtype", config, "", graphs).safe
    assert mended("onnx-input-dtype", config, "", dict.fromkeys(graphs, graphs["m/2/model.onnx"])).safe == "unsafe"


SWITCHES = {
    "no": ("false", "safe"),
    " On": ("true", "safe"),
    "Enabled": ("true", "safe"),
    "flase": ("false", "unsafe"),
    "2": ("", ""),
    "": ("", ""),
}


@tabled(("written", "becomes", "safe"), [(k, *v) for k, v in SWITCHES.items()], ids=SWITCHES)
def test_a_switch_gets_a_word_that_the_backend_reads(written: str, becomes: str, safe: str) -> None:
    start = f'backend: "onnxruntime"\n{WHOLE}parameters: <key: "enable_mem_arena", value: {{string_value: '
    beside = {"m/1/model.onnx": of_bytes(FOUR)}
    found = mended("onnx-bool-parameter", f"{start}'{written}'}}>", "", beside)
    assert found == (safe, start + (f'"{becomes}"' if becomes else f"'{written}'") + "}>")
