"""What Python models import: by image, Python version and files beside them; 24.10 was asked about what is refused."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.pages import judged
from tests.rules.test_python import CLASS, STRICT, Case, named, source, tree
from tests.tabled import tabled
from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Said, target
from tritonrepo.rules.python.importing import MOST_FAILURES
from tritonrepo.rules.python.modules import Found, found, is_own, meant
from tritonrepo.tree import of_text

ERROR, DOUBT = "python-import-error", "python-module-not-in-image"
ENVIRONMENT = 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "$$TRITON_MODEL_DIRECTORY/e" } }\n'
E = {"e/bin/activate": ""}


def missing(module: str) -> str:
    return f"ModuleNotFoundError: No module named '{module}'"


class Says(NamedTuple):
    """What is said about the source of a model "m": rules with line and column, and how the first reason begins."""

    case: Case
    said: tuple[tuple[str, int, int], ...] = ()
    reason: str = ""


def top(text: str, more: str = "", **files: str) -> Case:
    """Return a model whose source begins with these lines."""
    return Case(source(f"{text}\n{CLASS}", more=more, **files))


def error(line: int, column: int) -> tuple[tuple[str, int, int], ...]:
    return ((ERROR, line, column),)


SAYS = {
    "misspelt": Says(top("import transformerz"), error(1, 8), missing("transformerz")),
    "the second of a line": Says(top("import os, numpi.linalg as n"), error(1, 12), missing("numpi")),
    "a name from it": Says(top("\nfrom no_such.part import x"), error(2, 6), missing("no_such")),
    "two of them": Says(top("import no_such\nimport nor_this"), ((ERROR, 1, 8), (ERROR, 2, 8)), missing("no_such")),
    "one of them twice": Says(top("from no_such.a import b\nimport no_such.c"), error(1, 6), missing("no_such")),
    "what an image may have": Says(top("import torch, transformers, yaml, triton_python_backend_utils")),
    "a package that is common": Says(top("import faiss"), ((DOUBT, 1, 8),)),
    "in an image that is known": Says(
        top("import faiss")._replace(options="--image py3"), error(1, 8), missing("faiss")
    ),
    "in an image of one's own": Says(top("import ours, faiss")._replace(options="--image team/triton:1")),
    "misspelt, for an image of one's own": Says(
        top("import transformerz")._replace(options="--image team/triton:1"), ((DOUBT, 1, 8),)
    ),
    "relative, for an image of one's own": Says(
        top("from .nowhere import x")._replace(options="--image team/triton:1"), error(1, 6), missing("1.nowhere")
    ),
    "a later standard library": Says(top("import tomllib"), error(1, 8), missing("tomllib")),
    "and in its image": Says(top("import tomllib")._replace(options="--release 25.05")),
    "an earlier one": Says(top("import imp\nimport distutils.core")),
    "and after it": Says(top("import imp")._replace(options="--release 25.05"), error(1, 8), missing("imp")),
    "beside it": Says(top("import near, far.part\nfrom near import x", near="", far__x="")),
    "in the model's directory": Says(Case(source(f"import near\n{CLASS}") | {"near.py": ""})),
    "a library beside it": Says(Case(source(f"import near\n{CLASS}") | {"1/near.cpython-310-x86_64-linux-gnu.so": ""})),
    "a directory beside it": Says(Case(source(f"import near.sub\n{CLASS}") | {"1/near/data.txt": ""})),
    "around a source below": Says(Case(named("sub/main.py", sub__main_dot_py=f"import near\n{CLASS}", near_dot_py=""))),
    "relative, and there": Says(top("from .near import x\nfrom . import y", near="")),
    "relative, and not there": Says(top("from .nowhere import x"), error(1, 6), missing("1.nowhere")),
    "from a package around it": Says(top("from ..far import x")),
    "from a file beside it": Says(top("import near", near="import no_such"), error(1, 8), missing("no_such")),
    "a file beside it that imports it back": Says(top("import near", near="import model, near")),
    "one that no Python can parse": Says(top("import near", near="def"), error(1, 4), "SyntaxError: "),
    "one with Python's own name": Says(top("import json", json="import no_such")),
    "in a try statement": Says(top("try:\n    import no_such\nexcept ImportError:\n    no_such = None")),
    "in a branch": Says(top("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import no_such")),
    "in a function": Says(top("def f():\n    import no_such")),
    "in a text": Says(top('"""\nimport no_such\n"""')),
    "after the path was changed": Says(top("import sys\nsys.path.append('/opt/lib')\nimport no_such")),
    "after it was replaced": Says(top("import sys\nsys.path += ['/opt/lib']\nimport no_such")),
    "after something was installed": Says(
        top("import subprocess\nsubprocess.run(['pip', 'install', 'no_such'])\nimport no_such")
    ),
    "after a module was made": Says(top("import sys\nsys.modules['no_such'] = sys\nimport no_such")),
    "after a file beside it changed the path": Says(
        top("import near\nimport no_such", near="import sys\nsys.path.append('/opt/lib')")
    ),
    "after something harmless": Says(
        top("import logging\nlog = logging.getLogger(__name__)\nimport no_such"), error(3, 8), missing("no_such")
    ),
    "before the path is changed": Says(
        top("import no_such\nimport sys\nsys.path.append('/opt/lib')"), error(1, 8), missing("no_such")
    ),
    "with an environment": Says(Case(source(f"import no_such\n{CLASS}", more=ENVIRONMENT) | E)),
    "relative, with an environment": Says(
        Case(source(f"from .nowhere import x\n{CLASS}", more=ENVIRONMENT) | E), error(1, 6), missing("1.nowhere")
    ),
    "with its own stub": Says(Case(source(f"import no_such\n{CLASS}") | {"triton_python_backend_stub": "x"})),
    "of another backend": Says(
        Case({k: v.replace("python", "identity") for k, v in source("import no_such").items() if isinstance(v, str)})
    ),
    "from a package beside it": Says(
        Case(source(f"import a.b.c\n{CLASS}") | {"1/a/__init__.py": "", "1/a/b/c.py": "import no_such"}),
        error(1, 8),
        missing("no_such"),
    ),
    "after a mark of the encoding": Says(top("\ufeffimport no_such"), error(1, 8), missing("no_such")),
    "after a file that is too large": Says(top("import near\nimport no_such", near="#" * 70_000)),
    "characters that are not ASCII": Says(top("import nö_such"), error(1, 8), missing("nö_such")),
    "before a class that is not there": Says(Case(source("import no_such\n")), error(1, 8), missing("no_such")),
}


@tabled("says", SAYS.values(), ids=SAYS)
def test_what_is_said_about_imports(says: Says) -> None:
    for options in (says.case.options, f"{says.case.options} {STRICT}"):
        found_in = judged(tree(says.case), options)
        every = [each for each in found_in.diagnostics if each.rule in {ERROR, DOUBT}]
        said = [(each.rule, each.at.line, each.at.column) for each in every]
        assert tuple(said) == says.said
        (verdict,) = found_in.verdicts
        refused = any(rule == ERROR for rule, *_ in says.said)
        assert (verdict.rule == ERROR) is refused
        assert not refused or verdict.server_reason.startswith(says.reason)


def test_files_beside_are_followed_only_so_far() -> None:
    chain = {f"1/a{number}.py": f"import a{number + 1}\n" for number in range(200)}
    files = {"m/config.pbtxt": 'backend: "python"\n', "m/1/model.py": "import a0\n", "m/1/a200.py": "import no_such\n"}
    found_in = judged({path: of_text(text) for path, text in (files | {f"m/{k}": v for k, v in chain.items()}).items()})
    assert not [each for each in found_in.diagnostics if each.rule == ERROR]


def test_an_own_image_may_have_any_module() -> None:
    own = target(Said("24.10", ("py3",), backends=("mine",)))
    assert found("no_such", own, (3, 10)) is Found.PROBABLY_NOT
    assert found("numpy", own, (3, 10)) is Found.PERHAPS
    assert found("no_such", target(Said("24.10", ("py3",))), (3, 10)) is Found.NO
    assert is_own(own)
    assert is_own(target(Said("24.10", ("py3", "team/triton:1"))))


@pytest.mark.parametrize(("module", "known"), [("transformerz", "transformers"), ("no_such", ""), ("jsn", "json")])
def test_a_misspelt_module_is_known(module: str, known: str) -> None:
    assert meant(module) == known


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("import ours", "Add ours.py next to model.py. If your own image has it, name that image, as in "),
        ("import ours.part", "Add the package ours next to model.py. If your own image has it, name that image, "),
        ("import faiss", "If your own image has it, name that image, as in `--image my-triton:1`. Otherwise, pack it"),
    ],
    ids=["a module", "a package", "what many have"],
)
def test_the_hint_names_what_to_add_and_how_to_name_an_own_image(text: str, hint: str) -> None:
    (said,) = [each for each in judged(tree(top(text))).diagnostics if each.rule in {ERROR, DOUBT}]
    assert said.hint.startswith(hint)


def test_a_doubt_is_a_warning() -> None:
    (said,) = [each for each in judged(tree(top("import faiss"))).diagnostics if each.rule == DOUBT]
    assert said.severity is Severity.WARNING


def test_only_so_many_imports_are_told() -> None:
    text = "".join(f"import no_such{number}\n" for number in range(3_000))
    said = [each for each in judged(tree(top(text))).diagnostics if each.rule == ERROR]
    assert len(said) == MOST_FAILURES


REACHED = {
    "what an image may lack": ("import faiss", missing("faiss")),
    "what it has": ("import torch", "AttributeError: "),
    "what a file beside it lacks": ("import near", missing("faiss")),
}


@pytest.mark.parametrize(("text", "reason"), REACHED.values(), ids=REACHED)
def test_an_import_that_may_fail_goes_before_a_class_that_is_not_there(text: str, reason: str) -> None:
    (verdict,) = judged(tree(Case(source(f"{text}\n", near="import faiss")))).verdicts
    assert (verdict.rule, verdict.server_reason.startswith(reason)) == ("python-no-class", True)
