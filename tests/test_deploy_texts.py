"""What `deploy docker` writes, whole: the golden files are read as a reviewer reads them, and each number counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import EXAMPLE
from tests.pushes import CODE
from tests.tabled import tabled
from tests.test_deploy import ENSEMBLE, PYTHON, bucket, docker, engine, here, made, one
from tritonrepo import repository
from tritonrepo.deploy.engine_needs import cores, loading, memory, shared
from tritonrepo.deploy.engines import Engine, engines
from tritonrepo.deploy.generators import generators
from tritonrepo.deploy.kube import sizes
from tritonrepo.deploy.needs import asked, copies, outside, shared_memory, start
from tritonrepo.deploy.serving import wanted as serving
from tritonrepo.deploy.sums import MIB, Sum, Term
from tritonrepo.deploy.texts import quoted, said
from tritonrepo.repository import Model, Repository
from tritonrepo.stores.directory import DirectoryStore

__all__ = ["here"]

GOLDEN = Path(__file__).parent / "golden" / "deploy"


def compared(name: str) -> None:
    """Compare a deployment with its golden files. GOLDEN=1 in the environment writes them: review the difference."""
    written = {path.name: path.read_text("utf-8") for path in Path("deploy").iterdir() if path.suffix != ".json"}
    if os.environ.get("GOLDEN"):
        (GOLDEN / name).mkdir(parents=True, exist_ok=True)
        for each, text in written.items():
            (GOLDEN / name / each.lstrip(".")).write_text(text, "utf-8")
    assert written == {each: (GOLDEN / name / each.lstrip(".")).read_text("utf-8") for each in written}
    assert {path.name for path in (GOLDEN / name).iterdir()} == {each.lstrip(".") for each in written}


def test_a_stack(here: Path) -> None:
    (here / "stack").symlink_to(EXAMPLE.parent / "vllm-llama")
    (here / "model_repository").mkdir()
    assert docker("stack") == 0
    compared("stack")


def test_a_bucket_of_a_mixed_image(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket(monkeypatch)
    one(PYTHON.replace("python", "onnxruntime") % (8, -1, 4), root="prod")
    made(
        "prod",
        {"b/config.pbtxt": ENSEMBLE, "b/1/.keep": "", "py/config.pbtxt": PYTHON % (0, 4, 4), "py/1/model.py": CODE},
    )
    engine("o/unknown", root="prod")
    words = ["--release", "26.07", "--gpu-id", "MIG-1", "--bind", "10.0.0.1", "--env", "DATABASE_URL", "--mount", "/w"]
    assert docker("s3://https://store.example:9000/models/prod", *words) == 0
    compared("bucket")


def test_a_bucket_of_google_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket(monkeypatch)
    one(root="prod")
    assert docker("gs://models/prod", "--release", "26.07", "--gpus", "0", "--explicit") == 0
    compared("google")


def read(root: str = "models", gpus: int = 1) -> Repository:
    tree = DirectoryStore(Path.cwd()).scan(root)
    return repository.read(tree, repository.target(repository.Said("26.07", gpus=gpus)))


def model(text: str, gpus: int = 1) -> Model:
    one(text)
    return read(gpus=gpus).models["a"]


SIZES = {
    "BOOL": 1, "UINT8": 1, "INT8": 1, "UINT16": 2, "INT16": 2, "FP16": 2, "BF16": 2, "UINT32": 4, "INT32": 4, "FP32": 4,
    "UINT64": 8, "INT64": 8, "FP64": 8, "STRING": 256,
}  # fmt: skip


@tabled(("kind", "size"), SIZES.items(), ids=SIZES)
def test_a_region_holds_a_batch_of_all_tensors_twice(kind: str, size: int) -> None:
    text = (PYTHON % (4, 12 << 20, 1)).replace("TYPE_FP32", f"TYPE_{kind}")
    model(text)
    (term,) = shared_memory(read(), ()).terms
    assert term.value == max(64 * MIB, MIB + 2 * 4 * size * ((12 << 20) + 1))

    model(PYTHON % (1 << 30, f"{1 << 40}, {1 << 40}", 1))
    (term,) = shared_memory(read(), ()).terms
    assert term.value == MIB + 2 * (16 << 30)
    model(PYTHON % (1024, "-1, 1024", 1))
    (term,) = shared_memory(read(), ()).terms
    assert term.value == MIB + 2 * 1024 * 4 * (512 * 1024 + 1)


GROUPS = {
    "none, so one a GPU": ("", 3, 3),
    "none without a GPU": ("", 0, 1),
    "on the CPU": ("instance_group { kind: KIND_CPU count: 2 }", 3, 2),
    "on each GPU": ("instance_group { kind: KIND_GPU count: 2 }", 3, 6),
    "on some GPUs": ("instance_group { kind: KIND_GPU count: 2 gpus: [ 0, 2 ] }", 3, 4),
    "several groups": ("instance_group { kind: KIND_CPU } instance_group { kind: KIND_MODEL count: 3 }", 1, 4),
    "more than a machine has": ("instance_group { kind: KIND_CPU count: 2000000000 }", 1, 1024),
    "less than one": ("instance_group { kind: KIND_CPU count: -5 }", 1, 1),
}


@tabled(("text", "gpus", "count"), GROUPS.values(), ids=GROUPS)
def test_instances_are_counted(text: str, gpus: int, count: int) -> None:
    assert copies(model(PYTHON % (0, 4, 4) + text, gpus)) == count


def test_a_long_sum_ends_in_one_term() -> None:
    for name in range(11):
        one(name=f"m{name:02}")
    terms = shared_memory(read(), (Engine("llm", 2, "o/m", None, (), {}),)).terms
    assert [term.value // MIB for term in terms] == [64] * 8 + [3 * 64, 2048]
    assert terms[-2].why == "3 more Python models"
    assert Sum((Term(61, "x"),), 60, 2).total == 180


ENGINES = {
    "a Hub model": ({"model": "o/m"}, 1, True, ()),
    "a directory": ({"model": "/w", "tokenizer": "t"}, 1, False, ("/w",)),
    "a relative path": ({"model": "./w"}, 1, False, ()),
    "a bucket": ({"model": "s3://b/w"}, 1, False, ()),
    "no model": ({}, 1, False, ()),
    "no name": ({"model": 5, "tokenizer": ["/x"]}, 1, False, ()),
    "several GPUs": ({"model": "o/m", "tensor_parallel_size": 2, "pipeline_parallel_size": 3}, 6, True, ()),
    "no number of GPUs": ({"model": "o/m", "tensor_parallel_size": "2", "pipeline_parallel_size": True}, 1, True, ()),
    "no GPU": ({"model": "o/m", "tensor_parallel_size": 0, "pipeline_parallel_size": -1}, 1, True, ()),
    "too many": ({"model": "o/m", "tensor_parallel_size": 10**30}, 64, True, ()),
    "other paths": ({"model": "/w", "tokenizer": "/t", "speculative_model": "/w"}, 1, False, ("/w", "/t")),
}


@tabled(("value", "gpus", "from_hub", "paths"), ENGINES.values(), ids=ENGINES)
def test_an_engine_is_read(value: dict[str, object], gpus: int, *, from_hub: bool, paths: tuple[str, ...]) -> None:
    made("models", {"llm/config.pbtxt": 'backend: "vllm"\n', "llm/1/model.json": value})
    (found,) = engines(read())
    assert (found.gpus, found.from_hub, found.paths) == (gpus, from_hub, paths)
    assert found.size is None
    assert sum(term.value for term in start(read(), (found,), bucket=False).terms) == 60 + 1 + 2 + 1800 + 180


def test_an_engine_needs_the_same_in_triton_and_in_a_server_of_its_own() -> None:
    value = {"model": "meta-llama/Llama-3.1-8B-Instruct", "tensor_parallel_size": 2, "swap_space": 4}
    made("models", {"llm/config.pbtxt": 'backend: "vllm"\n', "llm/1/model.json": value})
    (inside,), (apart,) = engines(read()), generators(read())
    assert [*memory(inside, 2)] == [*memory(apart, 2)]
    assert {term.value >> 30 for term in memory(inside, 2)} == {4, 12, 14, 8}
    assert [*cores(inside, 2), *loading(inside), shared(inside, 2)] == [
        *cores(apart, 2),
        *loading(apart),
        shared(apart, 2),
    ]
    for found in (sizes.memory(read(), (inside,), pushed=False), serving.memory(apart, 2)):
        assert {*memory(apart, 2)} <= {*found.terms}
    for start_of in (start(read(), (inside,), bucket=False), serving.start(apart)):
        assert {*loading(apart)} <= {*start_of.terms}


BROKEN = {"no JSON": "{", "a list": "[]", "deep": "[" * 100_000, "too large": '{"x": "' + " " * (1 << 20) + '"}'}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_list_of_adapters_names_no_path(text: str) -> None:
    engine("/w")
    made("models", {"llm/1/multi_lora.json": text})
    assert outside(read(), engines(read())) == [("llm", "/w")]


def test_a_python_environment_outside_is_named() -> None:
    parameter = 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "%s" } }\n'
    for name, path in {"a": "/envs//x/../a.tar.gz", "b": "$$TRITON_MODEL_DIRECTORY/b.tar.gz", "c": "c"}.items():
        one(PYTHON % (0, 4, 4) + parameter % path, name)
    assert outside(read(), ()) == [("a", "/envs/a.tar.gz")]


def test_models_that_call_each_other_are_all_asked() -> None:
    for name, other in (("b", "c"), ("c", "b")):
        made("models", {f"{name}/config.pbtxt": ENSEMBLE.replace('"a"', f'"{other}"'), f"{name}/1/.keep": ""})
    assert asked(read()) == ("b", "c")
    made("models", {"d/config.pbtxt": PYTHON % (0, 4, 4), "d/1/model.py": CODE, "d/1/calls.json": {"b": 1, "d": 1}})
    assert asked(read()) == ("d",)


def test_many_models_are_asked_in_part() -> None:
    for name in range(20):
        one(name=f"m{name:02}")
    assert docker("models", "--poll", "3") == 0
    text = Path("deploy/compose.yaml").read_text("utf-8")
    assert "that no other model calls, the first 16 of 20." in text
    assert text.count("/ready") == 16
    assert "      timeout: 85s\n" in text


def test_a_text_is_quoted_so_that_compose_reads_it() -> None:
    assert quoted('a"\\$\n\u2028\U000e0001é') == '"a\\"\\\\$$\\u000a\\u2028\\U000e0001é"'
    assert said("a\nb: c", "x" * 200) == ["# a\\nb: c " + "x" * 108, "# " + "x" * 92]
