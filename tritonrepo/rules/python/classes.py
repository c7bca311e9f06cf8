"""What is wrong with a Python model's class before its first request: it cannot be read, found, called."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model
from tritonrepo.rules.python.facts import CLASS, Facts, Told, facts
from tritonrepo.rules.python.raising import Raised
from tritonrepo.rules.python.script import Fault, Script, not_installed, parse, python_of, scripts
from tritonrepo.rules.registry import Finding, rule


@rule("python-syntax-error", Severity.ERROR, "backend=python")
def syntax(model: Model) -> Iterator[Finding]:
    """A Python model's file can be read by the Python of its image.

    Why:
        The backend imports it as the model loads, and refuses the model with Python's own words. Images up to 24.10
        have Python 3.10, later ones 3.12. Where the model brings an environment of its own, newer syntax is not judged.
    Source:
        python_backend, src/pb_stub.cc, ModelContext::StubSetup
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:1:24: error: Python cannot read it: expected ':' [python-syntax-error]
          Mend the line; nothing behind it was looked at.
    Server says:
        SyntaxError: expected ':' (model.py, line 1)
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    """
    for script in scripts(model):
        fault = parse(script, python_of(model))
        if isinstance(fault, Fault):
            at = Span(f"{model.name}/{script.path}", fault.line, fault.column)
            hint = "Mend the line; nothing behind it was looked at."
            yield Finding(at, f"Python cannot read it: {fault.message}", hint, fault.reason)


@rule("python-no-class", Severity.ERROR, "backend=python")
def no_class(model: Model) -> Iterator[Finding]:
    """A Python model's file has a class TritonPythonModel.

    Why:
        The backend looks it up by this name as the model loads, and refuses the model without it.
    Source:
        python_backend, src/pb_stub.cc, Stub::AutoCompleteModelConfig, Stub::Initialize
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class Ranker:
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py: error: it has no class TritonPythonModel [python-no-class]
          Call the model's class so.
    Server says:
        AttributeError: module '1.model' has no attribute 'TritonPythonModel'
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    """
    for script, found in _facts(model):
        if found.classless:
            module = ".".join(script.path.removesuffix(".py").split("/")[-2:])
            lacking = not_installed(model, script)  # Python comes to the import first
            attribute = f"AttributeError: module '{module}' has no attribute '{CLASS}'"
            reason = f"ModuleNotFoundError: No module named '{lacking}'" if lacking else attribute
            hint = "Call the model's class so." if script.text.strip() else "Write it: the file is empty."
            yield Finding(script.path, f"it has no class {CLASS}", hint, reason)


@rule("python-no-execute", Severity.WARNING, "backend=python")
def no_execute(model: Model) -> Iterator[Finding]:
    """A Python model's class has a method execute that takes the requests.

    Why:
        Nothing looks for it as the model loads: the model is ready, and every request fails.
    Source:
        python_backend, src/pb_stub.cc, Stub::ProcessRequests; seen on 24.10
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def excute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:1:1: warning: TritonPythonModel has no method execute: it loads, and every request fails [python-no-execute]
          Write def execute(self, requests):
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    """
    for script, found in _facts(model):
        told = found.executes_not
        if told is not None:
            what = f"{CLASS}.{told.words}" if told.words else f"{CLASS} has no method execute"
            hint = "Write def execute(self, requests):"
            yield Finding(_at(model, script, told), f"{what}: it loads, and every request fails", hint)


@rule("python-initialize-signature", Severity.ERROR, "backend=python")
def initialize_signature(model: Model) -> Iterator[Finding]:
    """A Python model's class is made without arguments, and its initialize takes one.

    Why:
        The backend calls TritonPythonModel(), then initialize(args) with the config and the place of the instance.
    Source:
        python_backend, src/pb_stub.cc, Stub::Initialize
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def initialize(self):
                self.top = 4
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:2:5: error: TritonPythonModel.initialize() takes 1 positional argument but 2 were given [python-initialize-signature]
          Write def initialize(self, args):
    Server says:
        TypeError: TritonPythonModel.initialize() takes 1 positional argument but 2 were given
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def initialize(self, args):
                self.top = 4
            def execute(self, requests):
                return [None for _ in requests]
    """
    for script, found in _facts(model):
        for name, told in found.signatures:
            if name != "auto_complete_config":
                hint = f"Write def {name}({'self' if name == '__init__' else 'self, args'}):"
                message = told.words.removeprefix("TypeError: ")
                if message.endswith("is not callable"):
                    message = f"{name} is no {'class' if name == CLASS else 'method'}: {message}"
                hint = f"Leave this name to the class {CLASS}." if name == CLASS else hint
                yield Finding(_at(model, script, told), message, hint, told.words)
                break


@rule("python-initialize-raises", Severity.ERROR, "backend=python")
def initialize_raises(model: Model) -> Iterator[Finding]:
    """A Python model's initialize does not always raise.

    Why:
        The exception refuses the model. Seen here is what is raised on every way, names that nothing defines among it.
    Source:
        python_backend, src/pb_stub.cc, Stub::Initialize
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def initialize(self, args):
                raise NotImplementedError("load the weights")
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:3:9: error: initialize always raises NotImplementedError [python-initialize-raises]
          Drop the line, or make it depend on something.
    Server says:
        NotImplementedError: load the weights
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    """
    for script, found in _facts(model):
        wrong = {name for name, _ in found.signatures}
        for name, told in found.raising:
            if name != "auto_complete_config" and not wrong & {name, "__init__"}:
                item = told.line if name == "initialize" else 0
                yield Finding(_at(model, script, told), f"{name} {told.message}", told.hint, told.words, item)
                break


def _facts(model: Model) -> Iterator[tuple[Script, Facts]]:
    for script in scripts(model):
        yield script, facts(script, python_of(model))


def _at(model: Model, script: Script, told: Told | Raised) -> Span:
    return Span(f"{model.name}/{script.path}", told.line, told.column)
