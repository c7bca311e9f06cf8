"""What Triton cannot read in a bucket, by the URI of the repository."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.pages import REST, judged
from tests.tabled import tabled
from tritonrepo.tree import of_text

CONFIG = f'backend: "identity"\n{REST}'
ENDPOINT = "s3://minio:9000/models"
SLASHES, MODEL, FILE = "object-key-double-slash", "s3-endpoint-model-name-chars", "s3-endpoint-file-chars"
SAID: dict[str, tuple[str, Sequence[str], list[str]]] = {
    "two slashes in a version": ("s3://models", ["m/1//x"], [SLASHES]),
    "two slashes in a model": ("gs://models", ["m//x", "m/1/x"], [SLASHES]),
    "two slashes on a disk, where there are none": ("", ["m/1//x"], []),
    "a name that AWS takes": ("s3://models/a=b", ["m/1/x y"], []),
    "a name that an endpoint does not": (ENDPOINT, ["m/1/x y"], [FILE]),
    "a directory": (f"{ENDPOINT}/rag", ["m/a=b/x", "m/1/x"], [FILE]),
    "each of several": (ENDPOINT, ["m/1/x y", "m/1/é"], [FILE]),
    "plain names": ("s3://https://h.example:443/b/r", ["m/1/A_b-c.0"], []),
    "an endpoint on a bucket of Google's": ("gs://models", ["m/1/x y"], []),
}


@tabled(("uri", "paths", "rules"), SAID.values(), ids=SAID)
def test_what_is_said_of_names(uri: str, paths: Sequence[str], rules: list[str]) -> None:
    files = {"m/config.pbtxt": of_text(CONFIG), **{path: of_text("") for path in paths}}
    found = judged(files, uri).diagnostics
    assert [each.rule for each in found if each.rule in {SLASHES, MODEL, FILE}] == rules


def test_a_model_that_is_not_found_is_refused_whatever_it_contains() -> None:
    found = judged({"a b/config.pbtxt": of_text("?"), "a b/1/x y": of_text("")}, ENDPOINT)
    (verdict,) = found.verdicts
    assert (verdict.rule, verdict.stage) == (MODEL, "parse")
    assert FILE not in {each.rule for each in found.diagnostics}


def test_a_uri_that_is_one_level_too_high_is_named() -> None:
    found = judged({"rag/m/config.pbtxt": of_text(CONFIG), "rag/m/1/x": of_text("")}, "s3://bucket").diagnostics
    assert "Use rag as a repository. Triton looks for models only at the top of one." in {each.hint for each in found}


@pytest.mark.parametrize(
    ("uri", "written", "refused"),
    [
        pytest.param("gs://b/r", "$$TRITON_MODEL_DIRECTORY/../e.tar.gz", True, id="beside the model"),
        pytest.param("gs://b/r", "$$TRITON_MODEL_DIRECTORY/../e", False, id="a directory"),
        pytest.param("gs://b/r", "$$TRITON_MODEL_DIRECTORY/e.tar.gz", False, id="in the model"),
        pytest.param("gs://b/r", "/opt/e.tar.gz", False, id="on the server"),
        pytest.param("s3://b/r", "$$TRITON_MODEL_DIRECTORY/../e.tar.gz", False, id="on S3"),
        pytest.param("", "$$TRITON_MODEL_DIRECTORY/../e.tar.gz", False, id="on a disk"),
    ],
)
def test_an_environment_outside_its_model(uri: str, written: str, *, refused: bool) -> None:
    config = (
        f'backend: "python"\n{REST}parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{written}" }} }}'
    )
    files = {"m/config.pbtxt": of_text(config), "m/1/model.py": of_text("class TritonPythonModel: pass\n")}
    files |= {"e.tar.gz": of_text("x"), "m/e.tar.gz": of_text("x"), "e/bin/activate": of_text("")}
    found = {each.rule for each in judged(files, uri).diagnostics}
    assert ("single-file-localisation" in found) is refused
