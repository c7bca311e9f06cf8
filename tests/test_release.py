"""What a release needs besides the code: SECURITY.md, forms for issues, and files that are complete."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.package import ROOT, here, wrong_wheel
from tests.facts import PROJECT
from tests.test_docs_project import steps_of

FORMS = {path.stem: path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"}


def test_the_forms_are_those_that_ci_checks() -> None:
    (line,) = (line for line in steps_of("beside") if line.startswith(".github/ISSUE_TEMPLATE/"))
    assert sorted(FORMS) == re.findall(r"\w+", line.partition("{")[2].partition("}")[0])


def fields(form: str) -> dict[str, dict[str, Any]]:
    body = yaml.safe_load(FORMS[form].read_text("utf-8"))["body"]
    return {each["id"]: each for each in body if each["type"] != "markdown"}


ASKED = {
    "bug": {"command", "expected", "doctor", "version"},
    "verdict": {"kind", "said", "log", "image", "config", "version"},
    "feature": {"problem", "today"},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_asks_for_what_an_answer_needs(form: str) -> None:
    needed = {name for name, each in fields(form).items() if each.get("validations", {}).get("required")}
    assert needed == ASKED[form]


def test_the_wheel_and_the_clone_have_the_same_files(tmp_path: Path) -> None:
    """A wheel that lacks a page, or has a test, is found: here, of a wheel that is made up."""
    name, info = "tritonrepo-1.0", "tritonrepo-1.0.dist-info/"
    names = here("tritonrepo") | {f"{name}.data/data/share/tritonrepo/{each}" for each in here("schemas")}
    names |= {info + each for each in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    for more, less, said in (
        (set(), set(), []),
        ({"tests/test_x.py"}, {"tritonrepo/py.typed"}, ["lacks tritonrepo/py.typed", "has tests/test_x.py"]),
    ):
        wheel = tmp_path / f"{name}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for each in sorted(names - less | more):
                archive.writestr(each, "")
        assert [*wrong_wheel(wheel)] == [f"the wheel {each}" for each in said]
    assert "tritonrepo/py.typed" in names
    assert "tritonrepo/rules/pages/version-zero.md" in names


def test_the_wheel_is_built_from_the_package_and_the_schemas() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["tritonrepo"], "shared-data": {"schemas": "share/tritonrepo/schemas"}}
