"""What CONTRIBUTING.md says of the project, compared with the project."""

from __future__ import annotations

import ast
import inspect
import json
import re
from importlib import import_module
from pathlib import Path

import click

from benchmarks.soak import pages as soak_pages
from benchmarks.soak.covering import FOLDERS, PACKAGES, WHOLE
from tests import conftest, test_stores
from tests.documents import PAGES, ROOT, SPAN, stated
from tests.facts import PROJECT
from tests.pages import NEEDED, OPTIONAL
from tests.servers.packages import Manager, Package
from tests.test_docs_facts import table
from tritonrepo.cli import root
from tritonrepo.cli.forms import DOCUMENTS
from tritonrepo.rules import RULES
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.registry import Scope
from tritonrepo.stores import BUCKETS, gcs, s3
from tritonrepo.stores.store import Bucket, Store

PACKAGE = ROOT / "tritonrepo"
TOOL = PROJECT["tool"]


def steps_of(script: str) -> list[str]:
    """Return the lines of a script of CI without comments and indentation."""
    lines = map(str.strip, (ROOT / ".ci" / script).read_text("utf-8").splitlines())
    return [line for line in lines if line and line[0] != "#"]


def test_ci_runs_what_the_documents_say() -> None:
    """Its lines, in their order; `block` takes the README's n-th block of sh."""
    lines = steps_of("run")
    order = [
        "run rm -rf .venv",
        "block 1 | bash -euo pipefail /dev/stdin",
        (
            'block 2 | sed "s,^python -m pytest -q -n 2,'
            '$collect; coverage run -m pytest -q -p tests.measuring -n ${PROCESSES:-5}," \\'
        ),
        "| bash -euo pipefail /dev/stdin",
        "run coverage report",
        "export CI=true",
        "export XDG_CACHE_HOME=$scratch/cache",
        'bash .ci/beside "$scratch" > "$scratch/beside.log" 2>&1 &',
        "measured &",
    ]
    assert [line for line in lines if line in order] == order
    assert TOOL["coverage"]["report"]["fail_under"] == 95


def test_ci_runs_beside_the_tests_what_the_documents_say() -> None:
    lines = steps_of("beside")
    order = [
        "run ruff check .",
        "run mypy --cache-dir=/dev/null   # nothing reads it",
        "run lint-imports",
        (
            "LC_ALL=C PYTHONCOERCECLOCALE=0 PYTHONUTF8=0"
            " tests lint tests/test_cli.py tests/test_plain.py tests/test_json.py \\"
        ),
        'run cmp "$wheel" "$scratch"/again/*.whl',
        'run "$scratch/lint/bin/python" -m scripts.package "$scratch/dist"',
        'run "$scratch/tools/bin/uv" tool run -q twine check --strict "$scratch"/dist/*',
        "for minor in 3.11 3.12 3.13; do",
        'environment oldest python3 --resolution lowest-direct "$wheel[all]"',
        'tests oldest "${quick[@]}" tests/test_stores.py \\',
        "'tests/test_docs.py::test_a_console_block_prints_what_it_shows[README.md 1]'",
        'tests 3.12 "${quick[@]}"',
        'tests 3.13 "${quick[@]}"',
    ]
    assert [line for line in lines if line in order] == order


def test_the_packages_are_the_layers_that_the_linter_holds() -> None:
    (layers,) = (each for each in TOOL["importlinter"]["contracts"] if each["type"] == "layers")
    said = [SPAN.findall(names) for names, _ in table("CONTRIBUTING.md", "| package")]
    held = [re.findall(r"\w+", layer) for layer in layers["layers"]]
    assert sorted(name for row in said for name in row) == sorted({n for layer in held for n in layer})
    place = {name: number for number, layer in enumerate(held) for name in layer}
    order = [place[name] for row in said for name in row]
    assert order == sorted(order)
    assert layers["exhaustive"]


def test_each_package_names_tests_that_exist() -> None:
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert PACKAGES.keys() == packages - {"data"} | {WHOLE}
    named = [f"tests/test_{name}.py" for names in PACKAGES.values() for name in names]
    folders = [folder for folders in FOLDERS.values() for folder in folders]
    assert [path for path in (*named, *folders) if not (ROOT / path).exists()] == []


def test_the_table_of_faults_has_each_package() -> None:
    text = (ROOT / "benchmarks" / "mutation.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \| (\d+%) \|", text, re.MULTILINE)
    assert [package for package, *_ in rows] == sorted(PACKAGES)
    for _, possible, tried, noticed, share in rows:
        assert 0 < int(noticed) <= int(tried) <= int(possible)
        assert share == f"{int(noticed) / int(tried):.0%}"


def test_the_sections_of_a_page_are_those_that_the_tests_read() -> None:
    text = PAGES["CONTRIBUTING.md"].read_text("utf-8")
    listed = text.partition("It consists of")[2].partition("The sections are")[0]
    said = re.findall(r"^- \*([\w ]+)\*(, optional)?", listed, re.MULTILINE)
    assert {name for name, optional in said if not optional} == set(NEEDED)
    assert {name for name, optional in said if optional} == set(OPTIONAL)
    assert [name for name, _ in said if name in NEEDED] == list(NEEDED)
    assert soak_pages.RELEASE == "24.10"


def test_a_rule_over_several_models_gets_the_run() -> None:
    checks = [rule.check for rule in RULES.values() if rule.scope is Scope.GRAPH]
    assert checks
    assert all(Judging.__name__ in str(inspect.signature(check)) for check in checks)


NAMES = {"s3": "s3", "gs": "gcs"}
"""The scheme of a kind of bucket → its module, its extra and its server."""


def test_the_store_of_the_documents_is_that_of_the_code() -> None:
    assert all(isinstance(bucket, Bucket) for bucket in BUCKETS.values())
    assert len(Bucket._fields) == 4  # how it is opened, the two texts, and how its URIs are read
    methods = [each for name, each in vars(Store).items() if inspect.isfunction(each) and not name.startswith("_")]
    assert methods
    assert all(each.__doc__ for each in methods)
    assert isinstance(BUCKETS["s3"].open_uri("s3://models/prefix")[0], s3.S3Store)
    extras = PROJECT["project"]["optional-dependencies"]
    assert isinstance(BUCKETS["gs"].open_uri("gs://models/prefix")[0], gcs.GCSStore)
    assert BUCKETS.keys() == NAMES.keys()
    for kind in NAMES.values():
        assert extras[kind]
        assert kind in re.findall(r"\w+", extras["all"][0])
        assert kind in test_stores.KINDS
        assert (ROOT / "tests" / "servers" / f"{kind}.py").is_file()
        assert hasattr(conftest, f"{kind}_server")
    late = TOOL["ruff"]["lint"]["flake8-tidy-imports"]["banned-module-level-imports"]
    network = next(each for each in TOOL["importlinter"]["contracts"] if each["name"].startswith("the network"))
    untyped = TOOL["mypy"]["overrides"][0]["module"]
    assert {"boto3", "obstore", "google"} <= {*late} & {*network["forbidden_modules"]}
    assert "boto3.*" in untyped
    slept = {path.name for path in (PACKAGE / "stores").glob("*.py") if "def awake" in path.read_text("utf-8")}
    assert slept == {"directory.py"}


def test_the_formats_of_validate_are_modules_of_one_function() -> None:
    command = root.get_command(click.Context(root), "validate")
    assert command is not None
    (form,) = (each for each in command.params if isinstance(each, click.Option) and "--format" in each.opts)
    assert isinstance(form.type, click.Choice)
    assert list(form.type.choices) == ["text", *DOCUMENTS]
    for name in DOCUMENTS:
        assert len(inspect.signature(import_module(f"tritonrepo.report.{name}").judged).parameters) == 1


def test_what_runs_in_triton_is_checked_for_its_python() -> None:
    (places,) = TOOL["ruff"]["per-file-target-version"]
    assert places == "tritonrepo/{generate/steps,server/backends}/**"
    assert "tests/stub" in TOOL["mypy"]["mypy_path"]
    assert "tests/stub" in TOOL["pytest"]["pythonpath"]
    (stub,) = (ROOT / "tests" / "stub").glob("*.py")
    assert stub.name == "triton_python_backend_utils.py"
    assert stub.stem in TOOL["mypy"]["modules"]


def test_the_form_of_vllms_arguments_is_as_described() -> None:
    data = json.loads((PACKAGE / "data" / "vllm_arguments.json").read_text("utf-8"))
    said = {
        span
        for line in stated()["CONTRIBUTING"]
        if "AsyncEngineArgs" in line or "`now`" in line
        for span in SPAN.findall(line)
    }
    keys = {"since", "until", "now", "change"}
    assert keys <= said
    assert {key for each in data["arguments"].values() for key in each} - {"uncertain"} == keys
    assert all(re.search(rf"\b{key}\b", data["form"]) for key in keys)
    assert {"versions", "form"} <= said & data.keys()


def test_the_servers_of_the_tests_are_pinned() -> None:
    from tests.servers import packages

    pinned = [each for each in vars(packages).values() if isinstance(each, Package)]
    assert len(pinned) > 3
    assert all(re.match(r"\d+\.\d+", each.version) for each in pinned)
    assert {manager.value for manager in Manager} == {"pypi", "npm", "apt"}
    assert {each.name for each in pinned if each.on_request} == {"azurite"}
    assert packages.ASKED == "TEST_SERVERS"


def test_a_skip_that_nobody_expects_fails_ci() -> None:
    assert len(conftest.EXPECTED_SKIPS) == 1
    assert all("is installed on request only: TEST_SERVERS=" in why for why in conftest.EXPECTED_SKIPS.values())
    text = Path(conftest.__file__).read_text("utf-8")
    finish = next(
        n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == "pytest_sessionfinish"
    )
    assert "exitstatus = pytest.ExitCode.TESTS_FAILED" in ast.unparse(finish)
