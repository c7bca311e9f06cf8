"""Corner cases of dynamic_batching and sequence_batching; the server's messages are those of Triton 24.10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from tests.mending import mended
from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.diagnostics import Diagnostic, State
from tritonrepo.rules import RULES
from tritonrepo.tree import Directory, Entry, of_bytes, of_text

HEAD = """\
backend: "identity"
input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
"""
DELAY = "{ timeout_action: DELAY default_timeout_microseconds: 5 }"


FAMILY = {name for name, rule in RULES.items() if ".rules.scheduling." in rule.check.__module__}


class Case(NamedTuple):
    """A block, the findings above `info` as rule and token, and the verdict's reason; without one the model loads."""

    name: str
    block: str
    said: Sequence[str] = ()
    reason: str = ""
    batch: int | None = 8
    files: Sequence[str] = ()
    options: str = ""


def tree(case: Case) -> dict[str, Entry]:
    """Return the case's repository: HEAD, max_batch_size, then the block on line 5, or 4 without max_batch_size."""
    size = "" if case.batch is None else f"max_batch_size: {case.batch}\n"
    found: dict[str, Entry] = {"m/config.pbtxt": of_text(HEAD + size + case.block), "m/1": Directory()}
    for path in case.files:
        found[f"m/{path.rstrip('/')}"] = Directory() if path.endswith("/") else of_bytes(b"x" * 16)
    return found


def token(case: Case, found: Diagnostic) -> str:
    """Return what the finding points at, up to the next space."""
    line = case.block if found.at.line == 4 + (case.batch is not None) else ""
    return line[found.at.column - 1 :].split(maxsplit=1)[0] if line else str(found.at)


def check(case: Case) -> None:
    found = judged(tree(case), case.options)
    loud = [d for d in found.diagnostics if d.rule in FAMILY and RULES[d.rule].severity != "info"]
    assert [f"{d.rule}: {token(case, d)}" for d in loud] == list(case.said)
    (verdict,) = found.verdicts
    assert verdict.server_reason == case.reason
    assert (verdict.verdict is State.READY) is not bool(case.reason)


def dynamic(text: str) -> str:
    return f"dynamic_batching {{ {text} }}"


def control(text: str, name: str = "C") -> str:
    return f'control_input {{ name: "{name}" control {{ {text} }} }} '


def sequence(*parts: str) -> str:
    return f"sequence_batching {{ {''.join(parts)}}}"


def kind(word: str, values: str = "int32_false_true: [ 0, 1 ]") -> str:
    return f"kind: CONTROL_SEQUENCE_{word} {values}"


def state(initial: str, dims: str = "4", data_type: str = "TYPE_FP32", name: str = "S") -> str:
    return f'state {{ input_name: "{name}" output_name: "{name}O" data_type: {data_type} dims: [ {dims} ] {initial}}} '


def initial(data: str, dims: str = "4", data_type: str = "TYPE_FP32") -> str:
    return f'initial_state {{ name: "i" data_type: {data_type} dims: [ {dims} ] {data} }} '


POSITIVE = "dynamic batching preferred size must be positive for m"
BELOW = "dynamic batching preferred size must be <= max batch size for m"
KEYS = "priority queue policy must have priority level in range [1, 2] for m"
QUEUE = "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for m"

DYNAMIC = [
    Case("an empty list of sizes", dynamic("preferred_batch_size: [ ]")),
    Case("a size equal to the largest batch", dynamic("preferred_batch_size: [ 8 ]")),
    Case(
        "the first bad size of either kind is the reason",
        dynamic("preferred_batch_size: [ 9, 0 ]"),
        ['dynamic-preferred-above-max: 9,', 'dynamic-preferred-not-positive: 0'],
        BELOW,
    ),
    Case(
        "and the other way round",
        dynamic("preferred_batch_size: [ 0, 9 ]"),
        ['dynamic-preferred-not-positive: 0,', 'dynamic-preferred-above-max: 9'],
        POSITIVE,
    ),
    Case("without max_batch_size any size is above it", dynamic("preferred_batch_size: [ 1 ]"),
         ["dynamic-preferred-above-max: 1"], BELOW, None),
    Case("without max_batch_size", dynamic(""), ["dynamic-without-batching: dynamic_batching"], batch=None),
    Case("without max_batch_size, but with a queue policy", dynamic("default_queue_policy { max_queue_size: 4 }"),
         batch=None),
    Case("level 0 does not exist", dynamic("priority_levels: 2 default_priority_level: 0"),
         ["default-priority-out-of-range: 0"], "default priority level must be in range [1, 2] for m"),
    Case("a missing key is 0",
         dynamic("priority_levels: 2 default_priority_level: 1 priority_queue_policy { value { } }"),
         ["priority-policy-key-out-of-range: {"], KEYS),
    Case("a policy without levels has no effect", dynamic("priority_queue_policy { key: 7 value { } }"),
         ["priority-without-levels: priority_queue_policy"]),
    Case("DELAY without a timeout keeps the order",
         dynamic("preserve_ordering: true default_queue_policy { timeout_action: DELAY }")),
    Case("DELAY of a level that does not exist is still refused",
         dynamic(f"preserve_ordering: true priority_queue_policy {{ key: 1 value {DELAY} }}"),
         ['priority-without-levels: priority_queue_policy', 'preserve-ordering-with-priority-delay: DELAY'], QUEUE),
    Case("the last of two policies with one key counts",
         dynamic(f"preserve_ordering: true priority_levels: 1 default_priority_level: 1 "
                 f"priority_queue_policy {{ key: 1 value {DELAY} }} priority_queue_policy {{ key: 1 value {{ }} }}")),
    Case("the longest delay whose nanoseconds are counted", dynamic("max_queue_delay_microseconds: 18446744073709551")),
    Case("the shortest that wraps around", dynamic("max_queue_delay_microseconds: 18446744073709552"),
         ["queue-delay-huge: 18446744073709552"]),
]  # fmt: skip

EITHER = "either 'int32_false_true', 'fp32_false_true' or 'bool_false_true'"
TWICE = "sequence batching specifies multiple CONTROL_SEQUENCE_START tensors for m"
NONE = f"sequence batching must specify {EITHER} for CONTROL_SEQUENCE_END for m"
NAME = "sequence batching control tensor must have a name for m"

CONTROLS = [
    Case("several kinds in one tensor",
         sequence(control(kind("START") + " } control { " + kind("END")), control(kind("READY"), "R"))),
    Case("a fault of START in the last tensor precedes one of END in the first",
         sequence(control(kind("END", "")), control(kind("START"), "A"), control(kind("START"), "B")),
         ['control-values-missing: {', 'control-kind-twice: CONTROL_SEQUENCE_START'], TWICE),
    Case("a missing name at the end precedes a fault of END",
         sequence(control(kind("END", "")), control(kind("START"), "")),
         ['control-values-missing: {', 'control-without-name: ""'], NAME),
    Case("a fault of START precedes a missing name",
         sequence(control(kind("START", "")), control(kind("END"), "")),
         ['control-values-missing: {', 'control-without-name: ""'],
         f"sequence batching must specify {EITHER} for CONTROL_SEQUENCE_START for m"),
    Case("the earlier of two controls in one tensor",
         sequence(control(kind("START", "") + " } control { " + kind("START"))),
         ['control-values-missing: {', 'control-kind-twice: CONTROL_SEQUENCE_START'],
         f"sequence batching must specify {EITHER} for CONTROL_SEQUENCE_START for m"),
    Case("a control without kind is START", sequence(control("int32_false_true: [ 0, 1 ]"))),
    Case("an empty control", sequence(control("")), ["control-values-missing: {"],
         f"sequence batching must specify {EITHER} for CONTROL_SEQUENCE_START for m"),
    Case("an empty list counts as missing", sequence(control(kind("END", "int32_false_true: [ ]"))),
         ["control-values-missing: {"], NONE),
    Case("values one by one",
         sequence(control(kind("START", "int32_false_true: 0 int32_false_true: 1")))),
    Case("the values of a second CORRID come after it",
         sequence(control(kind("CORRID"), "A"), control(kind("CORRID", "data_type: TYPE_INT32"), "B")),
         ['corrid-with-values: int32_false_true:', 'control-kind-twice: CONTROL_SEQUENCE_CORRID'],
         f"sequence batching must not specify {EITHER} for CONTROL_SEQUENCE_CORRID for m"),
    Case("a CORRID control whose type is not for IDs",
         sequence(control(kind("CORRID", "data_type: TYPE_FP64"))), ["corrid-data-type: TYPE_FP64"],
         "unexpected data type for control CONTROL_SEQUENCE_CORRID for m. Allowed data types are TYPE_UINT64, "
         "TYPE_INT64, TYPE_UINT32, TYPE_INT32 and TYPE_STRING"),
    Case("a kind that the enum lacks is never looked for", sequence(control("kind: 9")), []),
    Case("a tensor without control", sequence('control_input { name: "C" }'), ["control-empty: {"]),
]  # fmt: skip

SLOTS = "sequence batching minimum slot utilization must be in range (0.0, 1.0] for m"
OLDEST = "sequence batching preferred batch size must be <= max batch size for m"

STRATEGIES = [
    Case("0 is accepted", sequence("direct { minimum_slot_utilization: 0 } ")),
    Case("nan is accepted", sequence("direct { minimum_slot_utilization: nan } ")),
    Case("1.0 is the most", sequence("direct { minimum_slot_utilization: 1.0 } ")),
    Case("so close to 1 that a float is 1", sequence("direct { minimum_slot_utilization: 1.00000001 } ")),
    Case("more than 1", sequence("direct { minimum_slot_utilization: 1.5 } "), ["direct-slot-utilization: 1.5"], SLOTS),
    Case("less than 0", sequence("direct { minimum_slot_utilization: -0.5 } "),
         ["direct-slot-utilization: -0.5"], SLOTS),
    Case("oldest without batching", sequence("oldest { preferred_batch_size: 1 max_candidate_sequences: 4 } "),
         ["oldest-preferred-above-max: 1"], OLDEST, None),
    Case("missing candidates default to max_batch_size", sequence("oldest { } ")),
    Case("negative candidates", sequence("oldest { max_candidate_sequences: -4 } "), ["oldest-max-candidates: -4"]),
    Case("a cache that is not enabled", sequence() + " response_cache { enable: false }"),
]  # fmt: skip

SHORT = "initial_state setting expects {} bytes, but the data provided from fonly has 16 bytes."
MISSING = "failed to open text file for read m/initial_state/{}"
RANK = "Number of dimensions in 'initial_state' doesn't match the size of 'state' dimensions for state input 'S'. {}"
TYPES = "The data type used for 'initial_state' field of state 'S' does not match the state data type."
WRAPS, MORE = "4611686018427387904", "4611686018427387909"

STATES = [
    Case("no input_name loads, but the first request crashes the server",
         sequence('state { output_name: "O" data_type: TYPE_FP32 dims: [ 4 ] }'), ["state-input-name-missing: {"]),
    Case("nothing but names", sequence('state { input_name: "S" output_name: "O" }'), ["state-fields-unchecked: {"]),
    Case("a type that only the initial state has",
         sequence('state { input_name: "S" output_name: "O" dims: [ 4 ] ' + initial("zero_data: true") + "}"),
         ["initial-state-data-type: TYPE_FP32"],
         "The data type used for 'initial_state' field of state 'S' does not match the state data type."),
    Case("a copied state is reported once", sequence(state(""), state("")), ['state-output-twice: "SO"']),
    Case("two initial states of one input", sequence(state(initial("zero_data: true")),
         state(initial("zero_data: true")).replace('"SO"', '"T"')),
         ['initial-state-input-twice: "S"'], "State input name 'S' specified more than once."),
    Case("zero_data: false is data", sequence(state(initial("zero_data: false")))),
    Case("a wrong dim before a variable one",
         sequence(state(initial("zero_data: true", "5, -1"), "4, -1")),
         ['initial-state-dim: 5,', 'initial-state-variable: -1'],
         "'initial_state' dim for input name 'S' doesn't match 'state' dim description. 5 != 4"),
    Case("a fixed dim where the state's varies", sequence(state(initial("zero_data: true", "7"), "-1"))),
    Case("several initial states: nothing else is reported about them",
         sequence(state(initial("", "5") + initial("", "6"))), ["initial-state-several: {"],
         "initial_state field for state input 'S' must contain exactly one or zero element. Found '2' elements."),
    Case("a file of the right size", sequence(state(initial('data_file: "f"'))), files=["initial_state/f"]),
    Case("a path that goes up and stays in the model", sequence(state(initial('data_file: "../1/f"'))),
         files=["initial_state/g", "1/f"]),
    Case("a path that leaves the model", sequence(state(initial('data_file: "../../n/f"'))),
         ['initial-state-file-missing: "../../n/f"'], MISSING.format("../../n/f: No such file or directory"),
         files=["initial_state/f"]),
    Case("a path that leaves the model and comes back", sequence(state(initial('data_file: "../../m/1/f"'))),
         files=["initial_state/g", "1/f"]),
    Case("a path that leaves the repository", sequence(state(initial('data_file: "../../../n/f"'))),
         files=["initial_state/f"]),
    Case("a path through a directory that does not exist", sequence(state(initial('data_file: "no/../f"'))),
         ['initial-state-file-missing: "no/../f"'], MISSING.format("no/../f: No such file or directory"),
         files=["initial_state/f"]),
    Case("a path through a file", sequence(state(initial('data_file: "f/g"'))),
         ['initial-state-file-missing: "f/g"'], MISSING.format("f/g: Not a directory"), files=["initial_state/f"]),
    Case("an empty name is the directory", sequence(state(initial('data_file: ""'))),
         ['initial-state-file-is-directory: ""'], "basic_string::_M_replace_aux", files=["initial_state/f"]),
    Case("an empty name without the directory", sequence(state(initial('data_file: ""'))),
         ['initial-state-file-missing: ""'], MISSING.format(": No such file or directory")),
    Case("FP64 takes eight bytes per element", sequence(state(initial('data_file: "f"', "4", "TYPE_FP64"), "4",
         "TYPE_FP64")), ['initial-state-file-too-short: "f"'], SHORT.format(32), files=["initial_state/f"]),
    Case("BF16 takes two", sequence(state(initial('data_file: "f"', "8", "TYPE_BF16"), "8", "TYPE_BF16")),
         files=["initial_state/f"]),
    Case("BOOL takes one", sequence(state(initial('data_file: "f"', "17", "TYPE_BOOL"), "17", "TYPE_BOOL")),
         ['initial-state-file-too-short: "f"'], SHORT.format(17), files=["initial_state/f"]),
    Case("UINT8 takes one", sequence(state(initial('data_file: "f"', "16", "TYPE_UINT8"), "16", "TYPE_UINT8")),
         files=["initial_state/f"]),
    Case("zeros of a negative dim", sequence(state(initial("zero_data: false", "-2"), "-1")),
         ["initial-state-too-large: -2"], "failed to allocate non-pinned system memory"),
    Case("zeros of two negative dims", sequence(state(initial("zero_data: true", "-2, -3"), "-1, -1"))),
    Case("zeros of a dim beyond all memory", sequence(state(initial("zero_data: true", "9223372036854775807"), "-1")),
         ["initial-state-too-large: 9223372036854775807"], "failed to allocate non-pinned system memory"),
    Case("a negative dim, a file", sequence(state(initial('data_file: "f"', "-2"), "-1")),
         ['initial-state-file-too-short: "f"'], SHORT.format(18446744073709551608), files=["initial_state/f"]),
    Case("a file of strings may have any size",
         sequence(state(initial('data_file: "f"', "9", "TYPE_STRING"), "9", "TYPE_STRING")), files=["initial_state/f"]),
    Case("without dims no bytes are needed", sequence('state { input_name: "S" output_name: "O" data_type: TYPE_FP32 '
         'initial_state { name: "i" data_type: TYPE_FP32 data_file: "f" } }'), ["state-fields-unchecked: {"],
         files=["initial_state/f"]),
    Case("a wrong dim leaves the file's length unknown",
         sequence(state(initial('data_file: "f"', "40"))), ["initial-state-dim: 40"],
         "'initial_state' dim for input name 'S' doesn't match 'state' dim description. 40 != 4",
         files=["initial_state/f"]),
    Case("a dim where the state's varies, a short file", sequence(state(initial('data_file: "f"', "5"), "-1")),
         ['initial-state-file-too-short: "f"'], SHORT.format(20), files=["initial_state/f"]),
    Case("a dim too many leaves the file's length unknown",
         sequence(state(initial('data_file: "f"', "4, 40"))), ["initial-state-rank: dims:"], RANK.format("2 != 1"),
         files=["initial_state/f"]),
    Case("a dim too few", sequence(state(initial('data_file: "f"', "40"), "40, 4")), ["initial-state-rank: dims:"],
         RANK.format("1 != 2"), files=["initial_state/f"]),
    Case("a dim of any size", sequence(state(initial('data_file: "f"', "-1, -40"), "-1, -40")),
         ["initial-state-variable: -1,"],
         "'initial_state' field for state input name 'S' contains variable dimensions.",
         files=["initial_state/f"]),
    Case("a wrong type leaves the length unknown", sequence(state(initial('data_file: "f"', "40"), "40", "TYPE_INT32")),
         ["initial-state-data-type: TYPE_FP32"], TYPES, files=["initial_state/f"]),
    Case("another type of the initial one", sequence(state(initial('data_file: "f"', "40", "TYPE_INT32"), "40")),
         ["initial-state-data-type: TYPE_INT32"], TYPES, files=["initial_state/f"]),
    Case("bytes that wrap around to 0", sequence(state(initial('data_file: "f"', WRAPS), WRAPS)),
         files=["initial_state/f"]),
    Case("bytes that wrap around", sequence(state(initial('data_file: "f"', MORE), MORE)),
         ['initial-state-file-too-short: "f"'], SHORT.format(20), files=["initial_state/f"]),
    Case("a missing type takes four bytes per element",
         sequence(state(initial('data_file: "f"', "5"), "5").replace("data_type: TYPE_FP32 ", "")),
         ["state-fields-unchecked: {", 'initial-state-file-too-short: "f"'], SHORT.format(20),
         files=["initial_state/f"]),
    Case("strings come before a short file",
         sequence(state(initial('data_file: "f"', "9", "TYPE_STRING"), "9", "TYPE_STRING"),
                  state(initial('data_file: "f"', "5"), "5", name="T")),
         ['initial-state-file-too-short: "f"'], SHORT.format(20), files=["initial_state/f"]),
    Case("every dim of 0 is reported", sequence(state("", "4, 0, 3, 0")),
         ["state-fields-unchecked: 0,", "state-fields-unchecked: 0"]),
    Case("two states of one input, the later without an initial state",
         sequence(state(initial("zero_data: true")), state("").replace('"SO"', '"T"')), ['state-input-twice: "S"']),
    Case("two, the earlier without", sequence(state(""), state(initial("zero_data: true")).replace('"SO"', '"T"')),
         ['state-input-twice: "S"']),
    Case("strings have a type", sequence(state("", "4", "TYPE_STRING"))),
    Case("growing on the CPU of a machine without a GPU",
         sequence(state("use_growable_memory: true use_same_buffer_for_input_output: true ")),
         ["growable-needs-gpu: true"]),
    Case("growing where the server chooses the GPUs",
         sequence(state("use_growable_memory: true use_same_buffer_for_input_output: true ")), options="--gpus 1"),
]  # fmt: skip

CASES = [*DYNAMIC, *CONTROLS, *STRATEGIES, *STATES]


@tabled("case", CASES, ids=[case.name for case in CASES])
def test_the_servers_verdict_is_predicted(case: Case) -> None:
    check(case)


SIZES = {
    1: ("BOOL", "UINT8", "INT8"),
    2: ("UINT16", "INT16", "FP16", "BF16"),
    4: ("UINT32", "INT32", "FP32"),
    8: ("UINT64", "INT64", "FP64"),
}
WIDTHS = [(f"TYPE_{name}", size) for size, names in SIZES.items() for name in names]


@tabled(("data_type", "size"), WIDTHS, ids=[name for name, _ in WIDTHS])
def test_a_file_has_the_bytes_of_its_type(data_type: str, size: int) -> None:
    for dims, short in ((16 // size, False), (16 // size + 1, True)):
        block = sequence(state(initial('data_file: "f"', f"{dims}", data_type), f"{dims}", data_type))
        said = ['initial-state-file-too-short: "f"'] if short else []
        reason = SHORT.format(16 + size) if short else ""
        check(Case("a file of 16 bytes", block, said, reason, files=["initial_state/f"]))


DIMS = "'initial_state' dim for input name '{}' doesn't match 'state' dim description. 5 != 4"
DATA = {
    "a directory": ('data_file: "d"', 'initial-state-file-is-directory: "d"', "basic_string::_M_replace_aux"),
    "no file": ('data_file: "n"', 'initial-state-file-missing: "n"', MISSING.format("n: No such file or directory")),
    "a short file": ('data_file: "f"', 'initial-state-file-too-short: "f"', SHORT.format(64)),
    "no data": ("", "initial-state-no-data: {", "initial_state setting expects state'{}' to have state_data set"),
}


def square(dims: str, data: str, name: str) -> str:
    """Return a state of 4 by 4 whose initial state has these dims."""
    return state(initial(data, dims), "4, 4", name=name)


@pytest.mark.parametrize(("data", "said", "reason"), DATA.values(), ids=DATA)
def test_states_are_checked_in_turn_their_dims_before_their_data(data: str, said: str, reason: str) -> None:
    files = ["initial_state/f", "initial_state/d/"]
    wrong, wanted = square("4, 5", "zero_data: true", "A"), "initial-state-dim: 5"
    check(Case("dims first", sequence(wrong, square("4, 4", data, "B")), [wanted, said], DIMS.format("A"), files=files))
    later = sequence(square("4, 4", data, "A"), wrong.replace('"A', '"B'))
    check(Case("data first", later, [said, wanted], reason.format("A"), files=files))
    both = square("4, 5", data, "A")
    first = sorted({wanted} | {said} - {DATA["a short file"][1]}, reverse=said.endswith("{"))
    check(Case("both", sequence(both), first, DIMS.format("A"), files=files))


def test_a_hint_names_the_bytes_that_are_needed() -> None:
    block = sequence(state(initial('data_file: "/f"', "5"), "-1"))
    place = block.index('"/f"') + 1
    found = judged(tree(Case("a short file", block, files=["initial_state/f"]))).diagnostics
    (said,) = [str(d) for d in found if d.rule == "initial-state-file-too-short"]
    words = "error: initial_state/f has 16 bytes, but dims and data_type need 20 [initial-state-file-too-short]"
    assert said == f"m/config.pbtxt:5:{place}: {words}\n  Use a file of at least 20 bytes."


def test_the_reason_has_the_name_in_the_config() -> None:
    text = f'name: "other"\n{HEAD}dynamic_batching {{ preferred_batch_size: 4 }}\n'
    (verdict,) = judged({"m/config.pbtxt": of_text(text), "m/1": Directory()}).verdicts
    assert verdict.server_reason == "dynamic batching preferred size must be <= max batch size for other"


def test_an_onnx_model_may_still_get_a_max_batch_size() -> None:
    text = 'backend: "onnxruntime"\ndynamic_batching { }\n'
    files: dict[str, Entry] = {"m/config.pbtxt": of_text(text), "m/1/model.onnx": of_bytes(b"")}
    said = {d.rule for d in judged(files).diagnostics}
    assert "dynamic-without-batching" not in said
    assert "dynamic-without-batching" in {d.rule for d in judged(files, "--no-auto-complete").diagnostics}


@pytest.mark.parametrize(("field", "said"), [("", True), ("iterative_sequence: true", False)], ids=["clients", "model"])
def test_only_what_waits_for_clients_has_an_idle_time(field: str, *, said: bool) -> None:
    found = judged(tree(Case("", f"sequence_batching {{ {field} }}\n"))).diagnostics
    assert ("sequence-idle-default" in {each.rule for each in found}) is said


def test_a_control_with_values_of_two_kinds_has_no_finding_about_their_count() -> None:
    (verdict,) = judged(
        tree(Case("", sequence(control(kind("START", "int32_false_true: 0 fp32_false_true: 0")))))
    ).verdicts
    assert verdict.rule == "control-values-several"


FIXES = {
    "the cache of sequences": (
        "sequence-response-cache",
        "sequence_batching { } response_cache: <enable: true> # cached\n",
        "sequence_batching { } # cached\n",
        "safe",
    ),
    "values of an ID": (
        "corrid-with-values",
        sequence(control("int32_false_true: [ 0, 1 ];kind: CONTROL_SEQUENCE_CORRID")),
        sequence(control("data_type: TYPE_UINT64;kind: CONTROL_SEQUENCE_CORRID")),
        "unsafe",
    ),
    "values of an ID, one by one": (
        "corrid-with-values",
        sequence(control("fp32_false_true: 0 fp32_false_true:[1]kind: CONTROL_SEQUENCE_CORRID")),
        sequence(control("data_type: TYPE_UINT64 kind: CONTROL_SEQUENCE_CORRID")),
        "unsafe",
    ),
    "values of an ID with a type": (
        "corrid-with-values",
        sequence(control("kind: CONTROL_SEQUENCE_CORRID int32_false_true: [ 0, 1 ] data_type: TYPE_INT64")),
        sequence(control("kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_INT64")),
        "safe",
    ),
    "values of an ID with a wrong type": (
        "corrid-with-values",
        sequence(control("kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_FP32 fp32_false_true: [ 0, 1 ]")),
        sequence(control("kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64")),
        "unsafe",
    ),
}


@tabled(("rule", "bad", "good", "safe"), FIXES.values(), ids=FIXES)
def test_a_fix_keeps_the_rest_of_the_config(rule: str, bad: str, good: str, safe: str) -> None:
    assert mended(rule, HEAD + bad) == (safe, HEAD + good)
