"""Corner cases of the rules on a Python model's source; the real server, 24.10, was asked about what is refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages import judged, loud
from tests.tabled import tabled
from tritonrepo.rules import RULES
from tritonrepo.tree import Entry, Link, of_bytes, of_text

IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
LABELLED = IO[: -len(" }\n")] + ' label_filename: "l.txt" }\n'
CLASS = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
STRICT = "--no-auto-complete"
NO_CLASS = "AttributeError: module '1.model' has no attribute 'TritonPythonModel'"
LABEL = "failed to open text file for read m/l.txt: No such file or directory"


class Case(NamedTuple):
    """The files of a model "m", which rule decides with auto-complete and without, and how the reason begins."""

    files: Mapping[str, str | bytes | Entry]
    rule: str = ""
    strict: str = ""
    reason: str = ""
    options: str = ""


def config(more: str = "", tensors: str = IO) -> str:
    return f'backend: "python"\n{tensors}{more}'


def named(filename: str, **files: str) -> dict[str, str]:
    """Return the files of a model whose config names one; in paths `__` stands for / and `_dot_` for a dot."""
    paths = {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()}
    return {"config.pbtxt": config(f'default_model_filename: "{filename}"\n')} | {f"1/{p}": t for p, t in paths.items()}


def source(text: str | bytes, tensors: str = IO, more: str = "", **files: str) -> dict[str, str | bytes | Entry]:
    """Return the files of a model with this model.py."""
    beside = {
        f"1/{name if name == '__init__' else name.replace('__', '/', 1)}.py": content for name, content in files.items()
    }
    return {"config.pbtxt": config(more, tensors), "1/model.py": text, **beside}


def method(signature: str, body: str = "pass") -> str:
    """Return a class with one more method."""
    return f"{CLASS}    def {signature}:\n        {body}\n"


def completing(*lines: str, head: str = "@staticmethod\n    def auto_complete_config(c):") -> str:
    """Return a class with an auto_complete_config of these lines."""
    return f"{CLASS}    {head}\n" + "".join(f"        {line}\n" for line in lines)


def tree(case: Case) -> dict[str, Entry]:
    entries = {f"m/{path}": content for path, content in case.files.items()}
    made = {path: of_bytes(c) if isinstance(c, bytes) else c for path, c in entries.items()}
    return {path: of_text(c) if isinstance(c, str) else c for path, c in made.items()}


DIRECTORY = "python-model-file-is-directory"
EXTENSION, IMPORT = "python-filename-extension", "python-filename-import"
FORCE = 'parameters { key: "FORCE_CPU_ONLY_INPUT_TENSORS" %s }\n'
FORCED = "Incorrect value for FORCE_CPU_ONLY_INPUT_TENSORS: "
FILES = {
    "a directory and back": Case(
        named("a/../main.py", main_dot_py=CLASS), IMPORT, IMPORT, "ModuleNotFoundError: No module named '.'"
    ),
    "this directory": Case(
        named("./main.py", main_dot_py=CLASS), IMPORT, IMPORT, "ModuleNotFoundError: No module named '.'"
    ),
    "a directory below": Case(named("sub/main.py", sub__main_dot_py=CLASS)),
    "an ending that looks like .py to the backend": Case(
        named("modelp", modelp=CLASS), IMPORT, IMPORT, "ModuleNotFoundError: No module named '1.mod'"
    ),
    "and is cut to a module that is there": Case(named("modelp", modelp=CLASS, mod_dot_py=CLASS)),
    "a point": Case(
        named("my.model.py", my_dot_model_dot_py=CLASS), IMPORT, IMPORT, "ModuleNotFoundError: No module named '1.my'"
    ),
    "a point, and a directory of that name": Case(
        named("my.model.py", my_dot_model_dot_py="x", my__model_dot_py=CLASS)
    ),
    "another ending": Case(
        named("model.txt", model_dot_txt="class"),
        EXTENSION,
        EXTENSION,
        "Model name must end with '.py'. Model name is \"model.txt\".",
    ),
    "no": Case(source(CLASS, more=FORCE % 'value { string_value: "no" }')),
    "an empty value": Case(
        source(CLASS, more=FORCE % "value { }"), "python-force-cpu-value", "python-force-cpu-value", f"{FORCED}'"
    ),
    "no value": Case(source(CLASS, more=FORCE % ""), "python-force-cpu-value", "python-force-cpu-value", f"{FORCED}'"),
    "a parameter goes before a file that is not there": Case(
        {"config.pbtxt": config(FORCE % 'value { string_value: "YES" }'), "1/x": ""},
        "python-force-cpu-value",
        "python-force-cpu-value",
        f"{FORCED}YES'",
    ),
    "the last one counts": Case(
        source(CLASS, more=FORCE % 'value { string_value: "YES" }' + FORCE % 'value { string_value: "yes" }')
    ),
    "the file of another backend, before python": Case(
        {"config.pbtxt": config().replace("python", "identity"), "1/model.py": "class"}
    ),
    "and after it": Case({"config.pbtxt": config().replace("python", "repeat"), "1/model.py": "class"}),
    "a directory of another backend": Case(
        {"config.pbtxt": config().replace("python", "repeat"), "1/model.py/x": "", "1/x": ""}
    ),
    "a name that says nothing to another backend": Case(
        {key: text.replace("python", "repeat") for key, text in named("a.b.py", a_dot_b_dot_py=CLASS).items()}
    ),
    "nor does an ending": Case(
        {key: text.replace("python", "repeat") for key, text in named("m.txt", m_dot_txt=CLASS).items()}
    ),
    "a directory of another name": Case(
        named("main.py", main_dot_py__x=""), DIRECTORY, DIRECTORY, "ModuleNotFoundError: No module named '1.main'"
    ),
    "strangers beside a directory": Case(
        {"config.pbtxt": config(), "1/model.py/x": "", "1/modelx.py": "", "1/other.py": ""}, DIRECTORY, DIRECTORY
    ),
    "a library beside a directory": Case({"config.pbtxt": config(), "1/model.py/x": "", "1/model.so": ""}),
    "another name for a source": Case(named("main.py", main_dot_py="x = 1"), "python-no-class", "python-no-class"),
    "another backend": Case({"config.pbtxt": config(FORCE % "").replace("python", "identity"), "1/x": ""}),
    "an environment goes before a file that is not there": Case(
        {
            "config.pbtxt": config(
                'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "$$TRITON_MODEL_DIRECTORY/e.tgz" } }'
            ),
            "1/x": "",
        },
        "execution-env-missing",
        "execution-env-missing",
        "Failed to get the canonical path for m/e.tgz.",
    ),
}

READ = {
    "a syntax error, and a label file that is not there": Case(
        source("class", LABELLED), "python-syntax-error", "label-file-missing"
    ),
    "tabs and blanks": Case(
        source("class A:\n    def f(self):\n\tx = 1\n        y = 2\n"),
        "python-syntax-error",
        "python-syntax-error",
        "TabError: ",
    ),
    "a null byte": Case(
        source(f"{CLASS}x = 1\0\n"),
        "python-syntax-error",
        "python-syntax-error",
        "source code string cannot contain null bytes",
    ),
    "a return outside a function": Case(
        source(f"{CLASS}return 1\n"),
        "python-syntax-error",
        "python-syntax-error",
        "SyntaxError: 'return' outside function (model.py, line 4)",
    ),
    "an argument twice": Case(
        source("class TritonPythonModel:\n    def execute(self, requests, requests):\n        return []\n"),
        "python-syntax-error",
        "python-syntax-error",
        "SyntaxError: duplicate argument 'requests' in function definition (model.py, line 2)",
    ),
    "a future that does not come first": Case(
        source(f"{CLASS}from __future__ import annotations\n"),
        "python-syntax-error",
        "python-syntax-error",
        "SyntaxError: from __future__ imports must occur at the beginning of the file (model.py, line 4)",
    ),
    "no UTF-8": Case(
        source(f"{CLASS}x = '".encode() + b"\xff'\n"),
        "python-syntax-error",
        "python-syntax-error",
        "SyntaxError: (unicode error) 'utf-8' codec can't decode byte 0xff",
    ),
    "another encoding that is told": Case(source(f"# coding: latin-1\n{CLASS}x = '".encode() + b"\xff'\n")),
    "an escape that Python warns of": Case(source(f"{CLASS}x = '\\d'\n")),
    "no class": Case(source("x = 1"), "python-no-class", "python-no-class", NO_CLASS),
    "no class, after an import of what no image has": Case(
        source("import json, numpy.linalg\nfrom no_such.part import x\n"),
        "python-import-error",
        "python-import-error",
        "ModuleNotFoundError: No module named 'no_such'",
    ),
    "no class, after an import of what lies beside": Case(
        source("import near\n", near=""), "python-no-class", "python-no-class", NO_CLASS
    ),
    "an empty file": Case(source(""), "python-no-class", "python-no-class", NO_CLASS),
    "a class that is commented out": Case(
        source('"""TritonPythonModel"""\n# class TritonPythonModel:\n'), "python-no-class", "python-no-class", NO_CLASS
    ),
    "no class, and a label file that is not there": Case(
        source("x = 1", LABELLED), "python-no-class", "label-file-missing"
    ),
    "a module's __getattr__": Case(
        source("class M:\n    def execute(self, r):\n        return []\ndef __getattr__(name):\n    return M\n")
    ),
    "exec": Case(source("exec('class TritonPythonModel: pass')\n")),
    "an import of all": Case(source("from impl import *\n", impl=CLASS)),
    "an import": Case(source("from impl import TritonPythonModel\n", impl=CLASS)),
    "an import under this name": Case(
        source("from impl import M as TritonPythonModel\n", impl=CLASS.replace("TritonPythonModel", "M"))
    ),
    "a class where it depends": Case(source(f"if True:\n    {CLASS.replace(chr(10), chr(10) + '    ')}")),
    "a package of the same name": Case(source("x = 1", model____init__=CLASS)),
    "a package around it": Case(source("x = 1", __init__="TritonPythonModel = print")),
    "a library of the same name": Case(source("x = 1") | {"1/model.cpython-310-x86_64-linux-gnu.so": ""}),
    "a file too large to be parsed": Case(source("x = 1\n" * 20_000)),
    "the largest that is parsed": Case(source(f"{'#' * ((1 << 16) - 1)}\n"), "python-no-class", "python-no-class"),
    "one byte more": Case(source(f"{'#' * (1 << 16)}\n")),
    "a link that is not followed": Case({"config.pbtxt": config(), "1/model.py": Link("/elsewhere/model.py")}),
    "a version that is not served": Case(source(CLASS) | {"1/model.py": "x = 1", "2/model.py": CLASS}),
    "of two versions one": Case(
        source(CLASS, more="version_policy { all { } }") | {"2/model.py": "x = 1"},
        "python-no-class",
        "python-no-class",
        NO_CLASS.replace("1.", "2."),
    ),
}

SIGNATURE = "python-initialize-signature"
TYPE_ERROR = "TypeError: TritonPythonModel."
CALLED = {
    "no argument": Case(
        source(method("initialize()")),
        SIGNATURE,
        SIGNATURE,
        f"{TYPE_ERROR}initialize() takes 0 positional arguments but 2 were given",
    ),
    "one too few, and a label file that is not there": Case(
        source(method("initialize(self)"), LABELLED), "label-file-missing", "label-file-missing", LABEL
    ),
    "a default": Case(
        source(method("initialize(self=1)")),
        SIGNATURE,
        SIGNATURE,
        f"{TYPE_ERROR}initialize() takes from 0 to 1 positional arguments but 2 were given",
    ),
    "three too many": Case(
        source(method("initialize(self, args, a, b, c)")),
        SIGNATURE,
        SIGNATURE,
        f"{TYPE_ERROR}initialize() missing 3 required positional arguments: 'a', 'b', and 'c'",
    ),
    "two too many": Case(
        source(method("initialize(self, args, a, b)")),
        SIGNATURE,
        SIGNATURE,
        f"{TYPE_ERROR}initialize() missing 2 required positional arguments: 'a' and 'b'",
    ),
    "a keyword": Case(
        source(method("initialize(self, args, *, k)")),
        SIGNATURE,
        SIGNATURE,
        f"{TYPE_ERROR}initialize() missing 1 required keyword-only argument: 'k'",
    ),
    "any arguments": Case(source(method("initialize(*args)"))),
    "a further one with a default": Case(source(method("initialize(self, args, more=None)"))),
    "a constructor with an argument": Case(
        source(method("__init__(self, config)")),
        SIGNATURE,
        SIGNATURE,
        f"{TYPE_ERROR}__init__() missing 1 required positional argument: 'config'",
    ),
    "a decorated method": Case(
        source(method("initialize(self)").replace("    def init", "    @wrapped\n    def init"))
    ),
    "a class that is decorated": Case(source(f"@wrapped\n{method('initialize(self)')}")),
    "a class with a base": Case(source(method("initialize(self)").replace("Model:", "Model(Base):"))),
    "an object": Case(source(method("initialize(self)").replace("Model:", "Model(object):")), SIGNATURE, SIGNATURE),
    "a method that is replaced": Case(source(f"{method('initialize(self)')}TritonPythonModel.initialize = print\n")),
    "a class that is replaced": Case(source(f"{method('initialize(self)')}TritonPythonModel = print\n")),
    "a method that is written twice": Case(
        source(method("initialize(self)") + "    def initialize(self, args):\n        pass\n")
    ),
    "setattr": Case(source(f"{method('initialize(self)')}setattr(TritonPythonModel, 'initialize', print)\n")),
    "an exception without words": Case(
        source(method("initialize(self, args)", "raise NotImplementedError")),
        "python-initialize-raises",
        "python-initialize-raises",
        "NotImplementedError",
    ),
    "an exception after a docstring": Case(
        source(method("initialize(self, args)", "'''doc'''; raise ValueError('no')")),
        "python-initialize-raises",
        "python-initialize-raises",
        "ValueError: no",
    ),
    "Triton's exception": Case(
        source(method("initialize(self, args)", "raise pb_utils.TritonModelException('no')")),
        "python-initialize-raises",
        "python-initialize-raises",
        "TritonModelException: no",
    ),
    "an exception in some cases": Case(source(method("initialize(self, args)", "if args: raise ValueError('no')"))),
    "an exception whose words are not known": Case(source(method("initialize(self, args)", "raise ValueError(args)"))),
    "an exception of two words": Case(source(method("initialize(self, args)", "raise ValueError('no', 'yes')"))),
    "a word that is known, and one that is not": Case(
        source(method("initialize(self, args)", "raise ValueError('no', args)"))
    ),
    "an exception that takes no keywords": Case(source(method("initialize(self, args)", "raise ValueError(a=1)"))),
    "a key's words are quoted": Case(source(method("initialize(self, args)", "raise KeyError('no')"))),
    "a function of Python's own is no exception": Case(source(method("initialize(self, args)", "raise print('no')"))),
    "an exit is none": Case(source(method("initialize(self, args)", "raise SystemExit('no')"))),
    "one of a module that has the name of Python's": Case(
        source(method("initialize(self, args)", "raise errors.ValueError('no')"))
    ),
    "an exception of somebody else's": Case(source(method("initialize(self, args)", "raise Failure('no')"))),
    "a generator does not raise": Case(source(method("initialize(self, args)", "raise ValueError('no'); yield"))),
}

AUTO = "python-autocomplete-"
UNTYPED = 'input { name: "IN" dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
IN = '"name": "IN", "data_type": "TYPE_FP32", "dims": [4]'
COMPLETED = {
    "a method of an object": Case(
        source(completing("return c", head="def auto_complete_config(self, c):")),
        f"{AUTO}signature",
        "",
        f"{TYPE_ERROR}auto_complete_config() missing 1 required positional argument: 'c'",
    ),
    "of the class": Case(source(completing("return c", head="@classmethod\n    def auto_complete_config(cls, c):"))),
    "no argument": Case(
        source(completing("return c", head="@staticmethod\n    def auto_complete_config():")),
        f"{AUTO}signature",
        "",
        f"{TYPE_ERROR}auto_complete_config() takes 0 positional arguments but 1 was given",
    ),
    "not decorated": Case(source(completing("return c", head="def auto_complete_config(c):"))),
    "optional, where the config says nothing": Case(
        source(completing(f"c.add_input({{{IN}, 'optional': True}})", "return c")),
        f"{AUTO}optional",
        "",
        "ValueError: model 'm', tensor 'IN': the model expects optional True but the model",
    ),
    "an optional output": Case(
        source(
            completing(
                "c.add_output({'name': 'OUT', 'data_type': 'TYPE_FP32', 'dims': [4], 'optional': True})", "return c"
            )
        ),
        f"{AUTO}property",
        "",
        "ValueError: output 'OUT' in auto-complete-config function for model 'm' contains",
    ),
    "an unknown key without a name": Case(
        source(completing("c.add_input({'x': 1})", "return c")), f"{AUTO}property", "", "KeyError: 'name'"
    ),
    "no name": Case(
        source(completing("c.add_input({'dims': [4]})", "return c")),
        f"{AUTO}property",
        "",
        "ValueError: input in auto-complete-config function for model 'm' is missing 'name' property.",
    ),
    "no dims": Case(
        source(completing("c.add_input({'name': 'X', 'data_type': 'TYPE_FP32'})", "return c")),
        f"{AUTO}property",
        "",
        "ValueError: input 'X' in auto-complete-config function for model 'm' is missing 'dims' property.",
    ),
    "a tuple is no list": Case(
        source(completing(f"c.add_input({{{IN.replace('[4]', '(4,)')}}})", "return c")),
        f"{AUTO}dims",
        "",
        "ValueError: model 'm', tensor 'IN': the model expects dims (4,) but the model",
    ),
    "one tensor twice": Case(
        source(
            completing(
                f"c.add_input({{{IN.replace('IN', 'A')}}})",
                f"c.add_input({{{IN.replace('IN', 'A').replace('FP32', 'FP16')}}})",
                "return c",
            )
        ),
        f"{AUTO}dtype",
        "",
        "ValueError: unable to load model 'm', configuration expects datatype TYPE_FP32 for input 'A'",
    ),
    "a type that was filled in": Case(
        source(completing(f"c.add_input({{{IN}}})", f"c.add_input({{{IN.replace('32', '16')}}})", "return c"), UNTYPED),
        f"{AUTO}dtype",
        "io-data-type-missing",
    ),
    "a name for a tensor": Case(
        source(
            completing(
                "i = dict(name='IN', data_type='TYPE_INT8', dims=[4])", "d = c.as_dict()", "c.add_input(i)", "return c"
            )
        ),
        f"{AUTO}dtype",
        "",
        "ValueError: unable to load model 'm', configuration expects datatype TYPE_FP32 for input 'IN'",
    ),
    "what is not written is filled in": Case(
        source(
            completing(f"c.add_input({{{IN}}})", f"c.add_output({{{IN.replace('IN', 'OUT')}}})", "return c"),
            'input { name: "IN" }\noutput { name: "OUT" }\n',
        ),
        "",
        "io-data-type-missing",
    ),
    "and compared": Case(
        source(
            completing(f"c.add_input({{{IN}}})", f"c.add_output({{{IN.replace('IN', 'OUT')}}})", "return c"),
            'input { name: "IN" }\noutput { name: "OUT" data_type: TYPE_FP16 }\n',
        ),
        f"{AUTO}dtype",
        "io-data-type-missing",
    ),
    "a type that is no text": Case(
        source(completing("c.add_input({'name': 'IN', 'data_type': 1, 'dims': [4]})", "return c"))
    ),
    "a name that is none": Case(
        source(completing("c.add_input({'name': 1, 'data_type': 'TYPE_FP16', 'dims': [4]})", "return c"))
    ),
    "behind a condition": Case(
        source(completing("if c:", f"    c.add_input({{{IN.replace('[4]', '[5]')}}})", "return c"))
    ),
    "behind a call of something else": Case(
        source(completing("prepare(c)", f"c.add_input({{{IN.replace('[4]', '[5]')}}})", "return c"))
    ),
    "a value that is not known": Case(
        source(completing("c.add_input(tensor())", f"c.add_input({{{IN.replace('[4]', '[5]')}}})", "return c"))
    ),
    "a parameter that is bound anew": Case(
        source(completing("c = Other()", "c.set_max_batch_size(0)", "return c"), more="max_batch_size: 2\n")
    ),
    "an unknown policy": Case(
        source(completing("c.set_model_transaction_policy({'x': True})", "return c")),
        f"{AUTO}property",
        "",
        "ValueError: model transaction property in auto-complete-config function for model 'm'",
    ),
    "an empty policy says false": Case(
        source(
            completing("c.set_model_transaction_policy({'decoupled': True})", "return c"),
            more="model_transaction_policy { }\n",
        ),
        f"{AUTO}decoupled",
        "",
        "ValueError: trying to change decoupled property in auto-complete-config for model 'm'",
    ),
    "a smaller batch is raised": Case(
        source(completing("c.set_max_batch_size(8)", "return c"), more="max_batch_size: 2\n")
    ),
    "a larger one is not": Case(
        source(completing("c.set_max_batch_size(0)", "return c"), more="max_batch_size: 2\n"),
        f"{AUTO}max-batch",
        "",
        "ValueError: configuration specified max_batch_size 2, but in auto-complete-config",
    ),
    "dynamic batching once more": Case(
        source(completing("c.set_dynamic_batching()", "return c"), more="max_batch_size: 2\ndynamic_batching { }\n")
    ),
    "an exception": Case(source(completing("raise ValueError('a')")), f"{AUTO}raises", "", "ValueError: a"),
    "None": Case(
        source(completing("return None")),
        f"{AUTO}return",
        "",
        "auto_complete_config function in model 'm' must return a valid pb.ModelConfig object.",
    ),
    "nothing on any way": Case(
        source(completing("if c:", "    return 1", "def f():", "    return c")), f"{AUTO}return"
    ),
    "the config on one way": Case(source(completing("if c:", "    return c"))),
    "a call": Case(source(completing("return made(c)"))),
    "the first fault decides": Case(
        source(completing("c.set_max_batch_size(0)"), more="max_batch_size: 2\n"), f"{AUTO}max-batch"
    ),
    "it goes before the tensors": Case(
        source(completing("c.set_max_batch_size(8)"), 'input { name: "IN" dims: [ 4 ] }\n'),
        f"{AUTO}return",
        "io-data-type-missing",
    ),
    "it goes before a label file that is not there": Case(
        source(completing("c.set_max_batch_size(8)"), LABELLED), f"{AUTO}return", "label-file-missing"
    ),
}

LOOKUP = "python-tensor-not-in-config"
IMPORTS = "import json\nimport triton_python_backend_utils as pb_utils\n"


def looking(*lines: str, imports: str = IMPORTS, completes: str = "") -> dict[str, str | bytes | Entry]:
    """Return the files of a model whose initialize(self, args) has these lines, behind `c = json.loads(...)`."""
    body = "".join(f"        {line}\n" for line in ("c = json.loads(args['model_config'])", *lines))
    return source(f"{imports}{CLASS}{completes}    def initialize(self, args):\n{body}")


GET = "pb_utils.get_output_config_by_name(c, 'NO')"
COMPLETES = "    @staticmethod\n    def auto_complete_config(c):\n        return c\n"
LOOKED_UP = {
    "at once": Case(
        looking(f"{GET}['data_type']"), LOOKUP, LOOKUP, "TypeError: 'NoneType' object is not subscriptable"
    ),
    "later": Case(looking(f"o = {GET}", "n = c['max_batch_size']", "self.t = str(o['data_type'])"), LOOKUP, LOOKUP),
    "through the object": Case(
        looking("self.c = c", f"self.o = {GET.replace('(c', '(self.c')}", "t = self.o['dims']"), LOOKUP, LOOKUP
    ),
    "an input": Case(looking(f"{GET.replace('output', 'input')}['dims']"), LOOKUP, LOOKUP),
    "one that is there": Case(looking(f"{GET.replace('NO', 'OUT')}['data_type']")),
    "not taken apart": Case(looking(f"o = {GET}", "self.o = o")),
    "in another spelling": Case(looking(f"{GET.replace('NO', 'N' + chr(92) + 'x4f')}['dims']"), LOOKUP, LOOKUP),
    "in one of two spellings": Case(
        looking(f"{GET.replace('NO', 'OUT')}['dims']", f"{GET.replace('NO', 'N' + chr(92) + 'x4f')}['dims']"),
        LOOKUP,
        LOOKUP,
    ),
    "in a method that cannot be called": Case(
        {path: str(text).replace("(self, args)", "(self)") for path, text in looking(f"{GET}['dims']").items()},
        "python-initialize-signature",
        "python-initialize-signature",
    ),
    "in a method that is called later": Case(
        source(f"{IMPORTS}{CLASS.replace('return []', GET)}    def finalize(self):\n        pass\n")
    ),
    "in a class that is decorated": Case(
        {
            path: str(text).replace("class Tri", "@wrapped\nclass Tri")
            for path, text in looking(f"{GET}['dims']").items()
        }
    ),
    "behind an import": Case(looking("import os", "pass", f"{GET}['dims']"), LOOKUP, LOOKUP),
    "with an argument more": Case(
        {path: str(text).replace("args)", "args, more=1)") for path, text in looking(f"{GET}['dims']").items()}
    ),
    "with a json of another name": Case(looking(f"{GET}['dims']", imports=IMPORTS.replace("json", "json as zip"))),
    "with one of an earlier name": Case(looking(f"{GET}['dims']", imports=IMPORTS.replace("json", "json as a"))),
    "with none": Case(looking(f"{GET}['dims']", imports=IMPORTS.replace("import json\n", ""))),
    "asked first": Case(looking(f"o = {GET}", "if o is not None:", "    t = o['dims']")),
    "asked in one line": Case(looking(f"o = {GET}", "t = o['dims'] if o else None", "u = o and o['dims']")),
    "bound anew": Case(looking(f"o = {GET}", "o = {'dims': 1}", "t = o['dims']")),
    "bound anew among others": Case(looking(f"o = {GET}", "o, p = {'dims': 1}, 2", "t = o['dims']")),
    "behind a branch": Case(looking("if c:", "    return", f"{GET}['dims']")),
    "behind a return": Case(looking("return", f"{GET}['dims']")),
    "in a config that something else may have changed": Case(looking("prepare(c)", f"{GET}['dims']")),
    "in a config whose outputs are changed": Case(
        looking("c['output'].append({'name': 'NO', 'dims': 1})", f"{GET}['dims']")
    ),
    "in a config that the object may have changed": Case(
        looking("self.c = c", "self.prepare()", f"{GET.replace('(c', '(self.c')}['dims']")
    ),
    "in arguments that are changed": Case(
        looking("prepare(args)", "c = json.loads(args['model_config'])", f"{GET}['dims']")
    ),
    "another config": Case(looking("c = other()", f"{GET}['dims']")),
    "a model that completes its config": Case(looking(f"{GET}['dims']", completes=COMPLETES)),
    "a generator": Case(looking(f"{GET}['dims']", "yield")),
    "another module": Case(looking(f"{GET}['dims']", imports="import json\nimport tree as pb_utils\n")),
}

TABLES = {"looked up": LOOKED_UP, "files": FILES, "read": READ, "called": CALLED, "completed": COMPLETED}
ALL = {f"{table}: {name}": case for table, cases in TABLES.items() for name, case in cases.items()}


@tabled("case", ALL.values(), ids=ALL)
def test_what_decides(case: Case) -> None:
    for options, rule in (("", case.rule), (STRICT, case.strict)):
        (verdict,) = judged(tree(case), options).verdicts
        assert verdict.rule == rule
        if rule == case.rule:
            assert verdict.server_reason.startswith(case.reason)


SAID = {
    "a null byte on a later line": (
        Case(source("x = 1\n\n\0\n\0")),
        [
            (
                "m/1/model.py:3: error: Python cannot parse model.py: the file contains a null byte "
                "[python-syntax-error]"
            ),
            "  Fix this line. Nothing after it was checked.",
            "source code string cannot contain null bytes",
        ],
    ),
    "a null byte on the first": (
        Case(source("\0")),
        [
            (
                "m/1/model.py:1: error: Python cannot parse model.py: the file contains a null byte "
                "[python-syntax-error]"
            ),
            "  Fix this line. Nothing after it was checked.",
            "source code string cannot contain null bytes",
        ],
    ),
    "a parameter whose last entry is empty": (
        Case(source(CLASS, more=FORCE % 'value { string_value: "yes" }' + FORCE % "")),
        [
            (
                "m/config.pbtxt:4:12: warning: the entry on line 5 overrides key "
                '"FORCE_CPU_ONLY_INPUT_TENSORS" of parameters [map-key-twice]'
            ),
            "  Remove one of the two entries.",
            "",
            (
                'm/config.pbtxt:5:12: error: FORCE_CPU_ONLY_INPUT_TENSORS must be "yes" or "no", not "" '
                "[python-force-cpu-value]"
            ),
            '  Set it to "yes" or "no".',
            "Incorrect value for FORCE_CPU_ONLY_INPUT_TENSORS: '",
        ],
    ),
    "a parameter whose last entry is wrong": (
        Case(source(CLASS, more=FORCE % 'value { string_value: "yes" }' + FORCE % 'value { string_value: "on" }')),
        [
            (
                "m/config.pbtxt:4:12: warning: the entry on line 5 overrides key "
                '"FORCE_CPU_ONLY_INPUT_TENSORS" of parameters [map-key-twice]'
            ),
            "  Remove one of the two entries.",
            "",
            (
                'm/config.pbtxt:5:72: error: FORCE_CPU_ONLY_INPUT_TENSORS must be "yes" or "no", not "on" '
                "[python-force-cpu-value]"
            ),
            '  Set it to "yes" or "no".',
            "Incorrect value for FORCE_CPU_ONLY_INPUT_TENSORS: on'",
        ],
    ),
    "a hidden file": (
        Case(named(".txt", _dot_txt=CLASS)),
        [
            (
                "m/config.pbtxt:4:25: error: the file of a Python model must have a name that ends with .py, not "
                '".txt" [python-filename-extension]'
            ),
            "  Rename .txt to model.py, and update default_model_filename.",
            "Model name must end with '.py'. Model name is \".txt\".",
        ],
    ),
    "an ending of many points": (
        Case(named("my.old.txt", my_dot_old_dot_txt=CLASS)),
        [
            (
                "m/config.pbtxt:4:25: error: the file of a Python model must have a name that ends with .py, not "
                '"my.old.txt" [python-filename-extension]'
            ),
            "  Rename my.old.txt to my.py, and update default_model_filename.",
            "Model name must end with '.py'. Model name is \"my.old.txt\".",
        ],
    ),
    "two points": (
        Case(named("my.old.model.py", my_dot_old_dot_model_dot_py=CLASS)),
        [
            (
                "m/config.pbtxt:4:25: error: Python cannot import \"my.old.model.py\" because module '1.my' does not "
                "exist [python-filename-import]"
            ),
            "  Rename it to my_old_model.py.",
            "ModuleNotFoundError: No module named '1.my'",
        ],
    ),
    "a name that is cut": (
        Case(named("modelp", modelp=CLASS)),
        [
            (
                "m/config.pbtxt:4:25: error: Python cannot import \"modelp\" because module '1.mod' does not exist "
                "[python-filename-import]"
            ),
            "  Rename it to model.py.",
            "ModuleNotFoundError: No module named '1.mod'",
        ],
    ),
    "a directory before the name": (
        Case(named("./main.py", main_dot_py=CLASS)),
        [
            (
                "m/config.pbtxt:4:25: error: Python cannot import \"./main.py\" because module '.' does not exist "
                "[python-filename-import]"
            ),
            "  Use a file in the version directory, without ./ or ../.",
            "ModuleNotFoundError: No module named '.'",
        ],
    ),
    "an execute that takes nothing": (
        Case(source("x = 1\nclass TritonPythonModel:\n    y = 2\n    def execute(self): pass\n")),
        [
            (
                "m/1/model.py:4:5: warning: TritonPythonModel.execute() takes 1 positional argument but 2 were "
                "given, so every request fails once the model has loaded [python-no-execute]"
            ),
            "  Define it as `def execute(self, requests):`.",
            "",
        ],
    ),
    "no execute": (
        Case(source("x = 1\nclass TritonPythonModel:\n    y = 2\n")),
        [
            (
                "m/1/model.py:2:1: warning: TritonPythonModel has no method execute, so every request fails once "
                "the model has loaded [python-no-execute]"
            ),
            "  Define it as `def execute(self, requests):`.",
            "",
        ],
    ),
    "no constructor's self": (
        Case(source(method("__init__()"))),
        [
            (
                "m/1/model.py:4:5: error: TritonPythonModel.__init__() takes 0 positional arguments but 1 was "
                "given [python-initialize-signature]"
            ),
            "  Define it as `def __init__(self):`.",
            "TypeError: TritonPythonModel.__init__() takes 0 positional arguments but 1 was given",
        ],
    ),
    "two keywords": (
        Case(source(method("initialize(self, a=1, *, j=0, k, l)"))),
        [
            (
                "m/1/model.py:4:5: error: TritonPythonModel.initialize() missing 2 required keyword-only "
                "arguments: 'k' and 'l' [python-initialize-signature]"
            ),
            "  Define it as `def initialize(self, args):`.",
            "TypeError: TritonPythonModel.initialize() missing 2 required keyword-only arguments: 'k' and 'l'",
        ],
    ),
    "a default and one too few": (
        Case(source(method("initialize(self, a, b, c=1, *, k)"))),
        [
            (
                "m/1/model.py:4:5: error: TritonPythonModel.initialize() missing 1 required positional argument: "
                "'b' [python-initialize-signature]"
            ),
            "  Define it as `def initialize(self, args):`.",
            "TypeError: TritonPythonModel.initialize() missing 1 required positional argument: 'b'",
        ],
    ),
    "an exception behind what does nothing": (
        Case(source(method("initialize(self, args)", "'doc'; pass; raise ValueError('no')"))),
        [
            "m/1/model.py:5:22: error: initialize always raises ValueError [python-initialize-raises]",
            "  Remove the line or the whole method, which is optional.",
            "ValueError: no",
        ],
    ),
    "an unknown key of an input": (
        Case(source(completing("c.add_input({'name': 'A', 'x': 1})", "return c"))),
        [
            'm/1/model.py:6:9: error: add_input does not accept the key "x" [python-autocomplete-property]',
            "  Use only name, data_type, dims or optional.",
            (
                "ValueError: input 'A' in auto-complete-config function for model 'm' contains property other than "
                "'name', 'data_type', 'dims' and 'optional'."
            ),
        ],
    ),
    "an unknown key of an output": (
        Case(source(completing("c.add_output({'name': 'A', 'x': 1})", "return c"))),
        [
            'm/1/model.py:6:9: error: add_output does not accept the key "x" [python-autocomplete-property]',
            "  Use only name, data_type or dims.",
            (
                "ValueError: output 'A' in auto-complete-config function for model 'm' contains property other "
                "than 'name', 'data_type' and 'dims'."
            ),
        ],
    ),
    "a type that is lacking": (
        Case(source(completing("c.add_output({'name': 'A'})", "return c"))),
        [
            (
                'm/1/model.py:6:9: error: add_output is called without the required key "data_type" '
                "[python-autocomplete-property]"
            ),
            '  Add "data_type" to the tensor.',
            "ValueError: output 'A' in auto-complete-config function for model 'm' is missing 'data_type' property.",
        ],
    ),
    "a batch of 1": (
        Case(source(completing("c.set_max_batch_size(1)", "return c"), more="max_batch_size: 2\n")),
        [
            (
                "m/1/model.py:6:9: error: auto_complete_config sets max_batch_size 1, but the config has 2 "
                "[python-autocomplete-max-batch]"
            ),
            "  Set max_batch_size to 1 or less in the config.",
            (
                "ValueError: configuration specified max_batch_size 2, but in auto-complete-config function for "
                "model 'm' specified max_batch_size 1"
            ),
        ],
    ),
    "a batch of none": (
        Case(source(completing("c.set_max_batch_size(0)", "return c"), more="max_batch_size: 1\n")),
        [
            (
                "m/1/model.py:6:9: error: auto_complete_config sets max_batch_size 0, but the config has 1 "
                "[python-autocomplete-max-batch]"
            ),
            "  Set max_batch_size to 0 in the config.",
            (
                "ValueError: configuration specified max_batch_size 1, but in auto-complete-config function for "
                "model 'm' specified max_batch_size 0"
            ),
        ],
    ),
    "a decoupled model": (
        Case(
            source(
                completing("c.set_model_transaction_policy({'decoupled': False})", "return c").replace(
                    "return []", "return None"
                ),
                more="model_transaction_policy { decoupled: true }\n",
            )
        ),
        [
            (
                "m/1/model.py:6:9: error: auto_complete_config sets decoupled False, but the config has True "
                "[python-autocomplete-decoupled]"
            ),
            "  Set the same value in both.",
            (
                "ValueError: trying to change decoupled property in auto-complete-config for model 'm', which is "
                "already set to 'True'."
            ),
        ],
    ),
    "a scheduler": (
        Case(
            source(
                completing("c.set_dynamic_batching()", "return c"), more="max_batch_size: 2\nsequence_batching { }\n"
            )
        ),
        [
            (
                "m/1/model.py:6:9: error: auto_complete_config sets dynamic_batching, but the config has "
                "sequence_batching [python-autocomplete-scheduler]"
            ),
            "  Remove one of the two.",
            (
                "ValueError: Configuration specified scheduling_choice as 'sequence_batching', but "
                "auto-complete-config function for model 'm' tries to set scheduling_choice as 'dynamic_batching'"
            ),
        ],
    ),
    "the second of two inputs": (
        Case(source(completing(f"c.add_input({{{IN}}})", f"c.add_input({{{IN.replace('[4]', '[5]')}}})", "return c"))),
        [
            (
                'm/1/model.py:7:9: error: add_input sets dims [5] for input "IN", but the config has [4] '
                "[python-autocomplete-dims]"
            ),
            "  Use the same value in both, or set it in only one of them.",
            (
                "ValueError: model 'm', tensor 'IN': the model expects dims [5] but the model configuration "
                "specifies dims [4]"
            ),
        ],
    ),
    "a name with braces": (
        Case(
            source(
                completing("c.add_input({'name': '{}', 'data_type': 'TYPE_FP32', 'dims': [5]})", "return c"),
                IO.replace("IN", "{}"),
            )
        ),
        [
            (
                'm/1/model.py:6:9: error: add_input sets dims [5] for input "{}", but the config has [4] '
                "[python-autocomplete-dims]"
            ),
            "  Use the same value in both, or set it in only one of them.",
            (
                "ValueError: model 'm', tensor '{}': the model expects dims [5] but the model configuration "
                "specifies dims [4]"
            ),
        ],
    ),
    "an optional output": (
        Case(source(completing(f"c.add_output({{{IN}, 'optional': True}})", "return c"))),
        [
            'm/1/model.py:6:9: error: add_output does not accept the key "optional" [python-autocomplete-property]',
            "  Use only name, data_type or dims.",
            (
                "ValueError: output 'IN' in auto-complete-config function for model 'm' contains property other "
                "than 'name', 'data_type' and 'dims'."
            ),
        ],
    ),
    "an optional input": (
        Case(source(completing(f"c.add_input({{{IN}, 'optional': True}})", "return c"))),
        [
            (
                'm/1/model.py:6:9: error: add_input sets optional True for input "IN", but the config has optional '
                "False [python-autocomplete-optional]"
            ),
            "  Set optional to the same value in the config.",
            (
                "ValueError: model 'm', tensor 'IN': the model expects optional True but the model configuration "
                "specifies optional False"
            ),
        ],
    ),
    "the first of two lookups": (
        Case(looking(f"o = ({GET}['dims'], {GET.replace('NO', 'YES')}['dims'])")),
        [
            (
                'm/1/model.py:8:52: error: initialize needs output "NO", but the config does not have it '
                "[python-tensor-not-in-config]"
            ),
            "  Use an output of the config: OUT.",
            "TypeError: 'NoneType' object is not subscriptable",
            (
                'm/1/model.py:8:105: error: initialize needs output "YES", but the config does not have it '
                "[python-tensor-not-in-config]"
            ),
            "  Use an output of the config: OUT.",
            "TypeError: 'NoneType' object is not subscriptable",
        ],
    ),
}


@tabled(("case", "said"), SAID.values(), ids=SAID)
def test_all_that_is_said(case: Case, said: Sequence[str]) -> None:
    found = [d for d in judged(tree(case), case.options).diagnostics if RULES[d.rule].severity != "info"]
    assert [line for d in found for line in (*str(d).split("\n"), d.server_reason)] == list(said)


EXECUTE = {
    "none": ("class TritonPythonModel:\n    pass\n", True),
    "one that takes no requests": ("class TritonPythonModel:\n    def execute(self):\n        return []\n", True),
    "one that cannot wait": (
        "class TritonPythonModel:\n    async def execute(self, requests):\n        return []\n",
        False,
    ),
    "one that is assigned": ("class TritonPythonModel:\n    execute = run\n", False),
    "one that is set later": ("class TritonPythonModel:\n    pass\nTritonPythonModel.execute = run\n", False),
    "one of a base": ("class TritonPythonModel(Base):\n    pass\n", False),
    "one that initialize sets": (
        "class TritonPythonModel:\n    def initialize(self, args):\n        self.execute = run\n",
        False,
    ),
}


@tabled(("text", "warned"), EXECUTE.values(), ids=EXECUTE)
def test_a_class_without_execute_gets_a_warning(text: str, *, warned: bool) -> None:
    assert loud(tree(Case(source(text)))) == ({"python-no-execute"} if warned else set())


VERSIONS = {
    "groups of exceptions came after 3.10": (
        f"try:\n    pass\nexcept* ValueError:\n    pass\n{CLASS}",
        "24.10",
        "",
        True,
    ),
    "and are in 3.12": (f"try:\n    pass\nexcept* ValueError:\n    pass\n{CLASS}", "26.07", "", False),
    "type came after 3.10": (f"type Text = str\n{CLASS}", "24.10", "", True),
    "and is in 3.12": (f"type Text = str\n{CLASS}", "26.07", "", False),
    "quotes within quotes are in 3.12": (f"{CLASS}x = f'{{y['a']}}'\n", "26.07", "", False),
    "parameters of a class are in 3.12": (f"class Box[T]:\n    pass\n{CLASS}", "26.07", "", False),
    "so are blocks of them": (f'{CLASS}x = f"""{{y["""a"""]}}"""\n', "26.07", "", False),
    "quotes within quotes came after 3.10": (f'{CLASS}x = f"{{y["a"]}}"\n', "24.10", "", True),
    "an error is one in 3.12, too": (f"class Box\n    pass\n{CLASS}", "26.07", "", True),
    "a model with its own Python may have any": (
        f"type Text = str\n{CLASS}",
        "24.10",
        'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "/opt/env.tar.gz" } }\n',
        False,
    ),
}


@tabled(("text", "release", "more", "refused"), VERSIONS.values(), ids=VERSIONS)
def test_syntax_is_that_of_the_images_python(text: str, release: str, more: str, *, refused: bool) -> None:
    found = judged(tree(Case(source(text, more=more))), f"--release {release}").verdicts[0]
    assert found.rule == ("python-syntax-error" if refused else "")


def test_a_model_with_its_own_stub_may_have_any_python() -> None:
    stub: dict[str, str | bytes | Entry] = {"triton_python_backend_stub": "ELF"}
    assert not judged(tree(Case(source(f"type Text = str\n{CLASS}") | stub))).verdicts[0].rule


SIZE = 60_000
ONE, OTHER = "012345678901234567890", "098765432109876543210"
POLICY = "version_policy { specific { versions: [ 1, 2 ] } }"
SHARED: dict[str, tuple[dict[str, str], list[str]]] = {
    "all there": ({"1/settings.json": f'{{"a": "{ONE}", "b": "{OTHER}/x"}}', f"{ONE}/y": "", f"{OTHER}/x": ""}, []),
    "none there": ({"1/settings.json": f'{{"a": "{OTHER}", "b": "{ONE}/x"}}'}, [f"1 {ONE}", f"1 {OTHER}"]),
    "a file in its place": ({"1/settings.json": f'{{"a": "{ONE}"}}', ONE: ""}, [f"1 {ONE}"]),
    "another version's": (
        {"1/settings.json": f'{{"a": "{ONE}"}}', "2/settings.json": f'{{"a": "{OTHER}"}}', f"{ONE}/y": ""},
        [f"2 {OTHER}"],
    ),
    "that of a version that is not served": ({"3/settings.json": f'{{"a": "{ONE}"}}'}, []),
    "settings of another kind": ({"1/settings.json": f'"{ONE}"'}, []),
}


@tabled(("more", "missing"), SHARED.values(), ids=SHARED)
def test_what_a_served_version_shares_is_there(more: dict[str, str], missing: list[str]) -> None:
    files = {"config.pbtxt": config(POLICY), **{f"{version}/model.py": CLASS for version in "123"}, **more}
    found = [each for each in judged(tree(Case(files))).diagnostics if each.rule == "shared-directory-missing"]
    assert [f"{each.at.path.split('/')[1]} {each.message.split()[3].strip(',')}" for each in found] == missing


HOSTILE = {
    "brackets": "x=" + "(" * SIZE,
    "attributes": "x" + ".a" * (SIZE // 2),
    "signs": "x=" + "-" * SIZE + "1",
    "sums": "x=1" + "+1" * (SIZE // 2),
    "calls": "x" + "()" * (SIZE // 2),
    "lambdas": "x=" + "lambda:" * (SIZE // 7) + "1",
    "branches": "if a:pass\n" + "elif a:pass\n" * (SIZE // 12),
    "assignments": "x=" * (SIZE // 2) + "1",
    "attributes that are bound": looking("x = x" + ".a" * 20_000, "x.a = c" + "[0]" * 20_000)["1/model.py"],
    "an encoding that is none": "# coding: rot13\nx = 1\n",
    "a literal": f"{CLASS}    @staticmethod\n    def auto_complete_config(c):\n        c.add_input({'-' * 50_000}1)\n",
}


@tabled("text", HOSTILE.values(), ids=HOSTILE)
def test_a_source_that_is_made_to_break_a_parser_breaks_nothing(text: str | bytes | Entry) -> None:
    judged(tree(Case({"config.pbtxt": config(), "1/model.py": text})))


PIECES = """
class TritonPythonModel|:|def auto_complete_config|(c)|(self)|return c|c.|add_input|({'name': 1})|(dict(**x))
@staticmethod|x|async|raise|KeyError|=|*|'|add_output|([])|set_max_batch_size|('')|(*c)|set_dynamic_batching|{}|lambda
def initialize|(*, k)|import json|import triton_python_backend_utils as pb_utils|
json.loads(args['model_config'])|c = |(self, args)
pb_utils.get_output_config_by_name|(c, 'x')|['y']|self.c = |(c)
"""
PARTS = ["\n", "\n    ", " ", *PIECES.strip().replace("\n", "|").split("|")]


@given(st.lists(st.sampled_from(PARTS), max_size=30).map("".join))
def test_no_source_raises_anything(text: str) -> None:
    judged(tree(Case(source(text))))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="newer Pythons say it in other words")
def test_pythons_words_have_the_place() -> None:
    spoken = judged(tree(Case(source("class A:\n  x = (\n")))).diagnostics
    (found,) = [each for each in spoken if each.rule == "python-syntax-error"]
    assert str(found.at) == "m/1/model.py:2:7"
    assert found.message == "Python cannot parse model.py: '(' was never closed"
    assert found.server_reason == "SyntaxError: '(' was never closed (model.py, line 2)"
