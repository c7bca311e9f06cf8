"""Names of tensors and models in the sources of Python models; 24.10 was asked about one of each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.tree import of_text

IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
TWO = IO + 'input { name: "MORE" data_type: TYPE_FP32 dims: [ 4 ] optional: true }\n'
READ, WRITTEN = "python-input-not-in-config", "python-output-not-in-config"
MODEL, VERSION, CYCLE = "calls-model-missing", "calls-version-missing", "calls-cycle"
GIVEN, ASKED, LACKING = "calls-input-unknown", "calls-output-unknown", "calls-input-missing"
ANSWER = "calls-output-not-returned"
RULES = {READ, WRITTEN, MODEL, VERSION, CYCLE, GIVEN, ASKED, LACKING, ANSWER}
HEAD = """import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
"""
TAIL = "        return responses\n"


class Says(NamedTuple):
    """A source, its config, further models, and which rules report something, each with the hint's last words."""

    text: str
    said: Mapping[str, str] = {}
    config: str = IO
    more: Mapping[str, str] = {}


def get(name: str, after: str = ".as_numpy()", quoted: str = '"') -> str:
    """Return a statement that reads an input."""
    return f"x = pb_utils.get_input_tensor_by_name(request, {quoted}{name}{quoted}){after}"


def executing(*lines: str, head: str = HEAD) -> str:
    """Return a source that does this for each request."""
    return head + "".join(f"            {line}\n" for line in lines) + TAIL


def call(inputs: str = '[pb_utils.Tensor("IN", x)]', model: str = '"callee"', more: str = "") -> str:
    """Return a source that calls another model."""
    outputs = "" if "requested_output_names" in more else 'requested_output_names=["OUT"]'
    return executing(f"pb_utils.InferenceRequest(model_name={model}, inputs={inputs}, {more}{outputs}).exec()")


def returning(*lines: str, listed: str) -> str:
    return executing(*lines, f"responses.append(pb_utils.InferenceResponse(output_tensors={listed}))")


def reading(
    name: str, *more: str, listed: str = '["OUT"]', after: str = ".as_numpy()", run: str = "q.exec()", head: str = HEAD
) -> str:
    """Return a source that reads an output of another model's response."""
    request = f'q = pb_utils.InferenceRequest(model_name="callee", inputs=tensors, requested_output_names={listed})'
    got = f'y = pb_utils.get_output_tensor_by_name(a, "{name}"){after}'
    return executing(request, f"a = {run}", got, *more, head=head)


ASYNC = HEAD.replace("def execute", "async def execute")
CALLEE = {"callee/config.pbtxt": f'backend: "repeat"\n{IO}', "callee/1/x": ""}
OTHER = 'output { name: "OTHER" data_type: TYPE_FP32 dims: [ 4 ] }\n'
OTHERS = CALLEE | {"callee/config.pbtxt": f'backend: "repeat"\n{IO}{OTHER}'}
OPTIONAL = CALLEE | {"callee/config.pbtxt": f'backend: "repeat"\n{TWO}'}
COMPLETING = """    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "ADDED", "data_type": "TYPE_FP32", "dims": [4]})
        return config
"""
SEQUENCE = IO + 'max_batch_size: 8\nsequence_batching { control_input { name: "START" control {\n'
SEQUENCE += "  kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } } }\n"

SAYS = {
    "an input that is there": Says(executing(get("IN"))),
    "a misspelt input": Says(executing(get("INN")), {READ: 'Did you mean "IN"?'}),
    "a far one": Says(executing(get("prompt")), {READ: "or use an input of it."}),
    "by keyword": Says(
        executing('x = pb_utils.get_input_tensor_by_name(request, name="INN").as_numpy()'), {READ: '"IN"?'}
    ),
    "a variable": Says(executing(get("INN", ""), "y = x.as_numpy()"), {READ: '"IN"?'}),
    "one that is tested": Says(executing(get("INN", ""), "if x is not None:", "    y = x.as_numpy()")),
    "one that is tested in an expression": Says(executing(get("INN", ""), "y = x.as_numpy() if x else None")),
    "one that is set twice": Says(executing(get("INN", ""), "x = other(x)", "y = x.as_numpy()")),
    "one that is never used": Says(executing(get("INN", ""))),
    "a name that is computed": Says(executing(get("f'{self.name}'", quoted=""))),
    "a name that is a constant": Says('NAME = "INN"\n' + executing(get("NAME", quoted=""))),
    "another module of that name": Says(
        executing(get("INN")).replace("import triton_python_backend_utils", "import tree")
    ),
    "a module that is replaced": Says(executing(get("INN")) + "pb_utils = None\n"),
    "what the config is completed with": Says(executing(get("ADDED")) + COMPLETING, config=IO),
    "and what it is not": Says(executing(get("ADDEDD")) + COMPLETING, {READ: '"ADDED"?'}),
    "an uncertain completion": Says(executing(get("INN")) + COMPLETING.replace("config.add", "helper(config).add")),
    "an input of a scheduler": Says(executing(get("START")), config=SEQUENCE),
    "a model without inputs": Says(executing(get("INN")), config=IO.split("\n")[1]),
    "an output that is there": Says(returning(listed='[pb_utils.Tensor("OUT", x)]')),
    "a misspelt output": Says(returning(listed='[pb_utils.Tensor("OUTT", x)]'), {WRITTEN: '"OUT"?'}),
    "an output in a variable": Says(returning('y = pb_utils.Tensor("OUTT", x)', listed="[y]"), {WRITTEN: '"OUT"?'}),
    "a list that is computed": Says(returning(listed='[pb_utils.Tensor(n, x) for n in ("OUTT",)]')),
    "a tensor that is no output": Says(executing('y = pb_utils.Tensor("OUTT", x)')),
    "a call of what is there": Says(call(), more=CALLEE),
    "a misspelt model": Says(call(model='"calee"'), {MODEL: 'Did you mean "callee"?'}, more=CALLEE),
    "a model that is computed": Says(call(model="self.callee"), more=CALLEE),
    "a version that is not there": Says(call(more="model_version=7, "), {VERSION: "is served."}, more=CALLEE),
    "the latest version": Says(call(more="model_version=-1, "), more=CALLEE),
    "a call of itself": Says(call(model='"m"'), {CYCLE: "so none ends."}),
    "a misspelt input of a call": Says(call('[pb_utils.Tensor("INN", x)]'), {GIVEN: '"IN"?'}, more=CALLEE),
    "a misspelt output of a call": Says(
        call(more='requested_output_names=["OUTT"], '), {ASKED: 'Did you mean "OUT"?'}, more=CALLEE
    ),
    "an output of a response": Says(reading("OUT"), more=CALLEE),
    "a misspelt output of a response": Says(reading("OUTT"), {ANSWER: 'Did you mean "OUT"?'}, more=CALLEE),
    "an output that is not like any": Says(reading("X"), {ANSWER: 'returns: "OUT".'}, more=CALLEE),
    "an output that is not requested": Says(reading("OTHER"), {ANSWER: "requested_output_names."}, more=OTHERS),
    "all outputs are requested": Says(reading("OTHER", listed="[]"), more=OTHERS),
    "all outputs are requested, and a misspelt one": Says(
        reading("OUTT", listed="[]"), {ANSWER: 'Did you mean "OUT"?'}, more=CALLEE
    ),
    "requested names that are computed": Says(reading("OTHER", listed="wanted"), more=OTHERS),
    "requested names, one of which is computed": Says(reading("OTHER", listed='["OUT", name]'), more=OTHERS),
    "an output of a model that is not known": Says(reading("OUTT", listed="[]"), {MODEL: "exists."}),
    "a misspelt request goes before its answer": Says(
        reading("OUT", listed='["OUTT"]'), {ASKED: '"OUT"?'}, more=CALLEE
    ),
    "an awaited response": Says(
        reading("OUTT", run="await q.async_exec()", head=ASYNC), {ANSWER: '"OUT"?'}, more=CALLEE
    ),
    "an output that is tested": Says(reading("OUTT", "if y is None: y = 1", after=""), more=CALLEE),
    "an output that is used later": Says(reading("OUTT", "y.as_numpy()", after=""), {ANSWER: '"OUT"?'}, more=CALLEE),
    "one of many responses": Says(reading("OUTT", run="q.exec(decoupled=True)"), more=CALLEE),
    "a response that is set twice": Says(reading("OUTT", "a = None"), more=CALLEE),
    "a response that is given": Says(reading("OUTT", head=HEAD.replace("requests)", "requests, a=None)")), more=CALLEE),
    "a response of something else": Says(reading("OUTT", run="helper(q)"), more=CALLEE),
    "an input that is not given": Says(call("[]"), {LACKING: "of that model."}, more=CALLEE),
    "an optional one": Says(call(), more=OPTIONAL),
    "inputs that are computed": Says(call("[make(x)]"), more=CALLEE),
    "a list of inputs that is computed": Says(call("tensors"), more=CALLEE),
    "a callee whose tensors are not listed": Says(
        call('[pb_utils.Tensor("INN", x)]'), more=CALLEE | {"callee/config.pbtxt": 'backend: "onnxruntime"\n'}
    ),
    "a callee that adds tensors": Says(
        call('[pb_utils.Tensor("stream", x)]'), more=CALLEE | {"callee/config.pbtxt": f'backend: "vllm"\n{IO}'}
    ),
    "a callee whose config is broken": Says(
        call('[pb_utils.Tensor("INN", x)]'), more=CALLEE | {"callee/config.pbtxt": f"{IO} }}"}
    ),
}


@tabled("says", SAYS.values(), ids=SAYS)
def test_what_is_said_about_names(says: Says) -> None:
    model = {"m/config.pbtxt": f'backend: "python"\n{says.config}', "m/1/model.py": says.text}
    found = judged({path: of_text(text) for path, text in {**model, **says.more}.items()})
    said = [each for each in found.diagnostics if each.rule in RULES]
    assert [each.rule for each in said] == [*says.said]
    assert all(each.hint.endswith(says.said[each.rule]) for each in said)
    assert all(each.at.path == "m/1/model.py" and each.at.line > 1 for each in said)


def test_a_circle_of_calls_is_told_once() -> None:
    def source(model: str) -> str:
        return call(model=f'"{model}"')

    files = {f"{name}/config.pbtxt": f'backend: "python"\n{IO}' for name in "abc"}
    files |= {"a/1/model.py": source("b"), "b/1/model.py": source("c"), "c/1/model.py": source("a")}
    found = judged({path: of_text(text) for path, text in files.items()})
    (said,) = [each for each in found.diagnostics if each.rule == CYCLE]
    assert "a → b → c → a" in said.message


def test_each_name_is_told_once() -> None:
    lines: Sequence[str] = [get("INN")] * 3
    files = {"m/config.pbtxt": f'backend: "python"\n{IO}', "m/1/model.py": executing(*lines)}
    found = judged({path: of_text(text) for path, text in files.items()})
    assert [each.at.line for each in found.diagnostics if each.rule == READ] == [6]
