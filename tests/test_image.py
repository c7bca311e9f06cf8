"""`image` prints a Dockerfile, and `build` only says that one is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_build import digests
from tests.test_own_stacks import ANSWER, SEARCH, edited, own
from tritonrepo.cli import run
from tritonrepo.cli.stack import workspace
from tritonrepo.flows.image import advice
from tritonrepo.flows.stack import load

__all__ = ["own"]

TRITON = "nvcr.io/nvidia/tritonserver:26.08"
ORT = "/opt/tritonserver/backends/onnxruntime"
MIXED = f"""\
# Written by tritonrepo image; edit the stack file instead.
FROM {TRITON}-vllm-python-py3
COPY --from={TRITON}-py3 {ORT} {ORT}
"""
SAID = "no single Triton image has every backend of this stack; `tritonrepo image "


def test_backends_of_two_images_are_copied_into_one(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    before = digests(own)
    for words in ([], ["."], ["tritonrepo.yaml"], ["-f", "tritonrepo.yaml"]):
        assert run(["image", *words]) == 0
        said = capsys.readouterr()
        assert said.out == MIXED
        assert said.err == "Build the image: tritonrepo image -f tritonrepo.yaml | docker build -t own:26.08 -\n"
    assert digests(own) == before


@pytest.mark.usefixtures("own")
def test_one_image_that_has_everything_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["image"]) == 0
    said = capsys.readouterr()
    assert said.out == f"# Written by tritonrepo image; edit the stack file instead.\nFROM {TRITON}-py3\n"
    assert said.err == f"{TRITON}-py3 has every backend that the stack needs.\n"


TAGS = {"name: Own/One": "own-one:26.08", "name: 'a b'": "a-b:26.08", "name: '%'": "triton:26.08"}


@pytest.mark.parametrize(("name", "tag"), TAGS.items(), ids=TAGS)
def test_the_tag_is_one_that_docker_takes(own: Path, capsys: pytest.CaptureFixture[str], name: str, tag: str) -> None:
    (own / "my stack.yaml").write_text(ANSWER.replace("name: own", name), "utf-8")
    assert run(["image", "my stack.yaml"]) == 0
    assert capsys.readouterr().err.endswith(f"image -f 'my stack.yaml' | docker build -t {tag} -\n")


UNKNOWN = {
    "a release that is not known in full": ("{release: '26.11'}", ":2:19: error: the backends of the images of Triton"),
    "a server without ensembles": (
        "{release: '24.09'}",
        ":2:19: error: the server in image vllm-python-py3 of Triton 24.09 does not run ensembles",
    ),
    "an image of one's own": ("{images: [py3, 'mine:1']}", ':2:18: error: the image "mine:1" is one of your own'),
    "no image with the backend": (
        "{images: [py3]}",
        ':2:18: error: the target\'s images lack the backend "vllm"',
    ),
}


@pytest.mark.parametrize(("target", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_cannot_be_combined_is_told(
    own: Path, capsys: pytest.CaptureFixture[str], target: str, message: str
) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER.replace("name: own", f"name: own\ntarget: {target}"), "utf-8")
    assert run(["image"]) == 1
    said = capsys.readouterr()
    assert f"tritonrepo.yaml{message}" in said.err
    assert said.out == ""


OWN = """name: own
target: {release: "%s"}
models:
  llm: {backend: vllm, source: ./llm}
  pipe: {%s, source: ./pipe}
"""
ADOPTED = {
    "platform": ("24.09", "platform: ensemble", 1),
    "platform in config": ("24.09", "role: model, config: {platform: ensemble}", 1),
    "a release that runs them": ("24.10", "platform: ensemble", 0),
    "no ensemble": ("24.09", "backend: python", 0),
}


@pytest.mark.parametrize(("release", "keys", "code"), ADOPTED.values(), ids=ADOPTED)
def test_an_image_does_not_run_an_own_ensemble(
    own: Path, capsys: pytest.CaptureFixture[str], release: str, keys: str, code: int
) -> None:
    (own / "tritonrepo.yaml").write_text(OWN % (release, keys), "utf-8")
    assert run(["image"]) == code
    said = capsys.readouterr()
    assert ("of Triton 24.09 does not run ensembles" in said.err) == bool(code)
    assert ("Use Triton 24.10 or later" in said.err) == bool(code)
    assert bool(said.out) != bool(code)
    loaded = load("tritonrepo.yaml", workspace(()))
    assert advice(loaded).endswith("`tritonrepo image -f tritonrepo.yaml` says what to change") == bool(code)


@pytest.mark.usefixtures("own")
def test_a_stack_is_named_in_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["image", ".", "-f", "tritonrepo.yaml"]) == 2
    assert "STACK and --file cannot be combined" in capsys.readouterr().err


def test_a_build_says_that_an_image_is_needed_and_writes_nothing_beside_its_directory(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    (own / "r.Dockerfile").write_text("FROM scratch\n", "utf-8")
    assert run(["index"]) == 0
    before = digests(own)
    assert run(["build", "-o", "r"]) == 0
    said = capsys.readouterr()
    assert f"{SAID}-f tritonrepo.yaml` prints the Dockerfile" in said.err
    assert "Dockerfile" not in said.out
    assert {path for path, digest in digests(own).items() if before.get(path) != digest} - {"tritonrepo.lock"} == {
        path for path in digests(own) if path.startswith("r/")
    }
    assert run(["build", "-o", "r"]) == 0
    assert SAID not in capsys.readouterr().err, "nothing to do, nothing to say"
    (own / "tritonrepo.yaml").write_text(SEARCH, "utf-8")
    assert run(["build", "-o", "r"]) == 0
    assert SAID not in capsys.readouterr().err


def test_a_plan_names_no_path_twice(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "tritonrepo.yaml").write_text(ANSWER, "utf-8")
    assert run(["index"]) == 0
    assert run(["build"]) == 0
    edited("tritonrepo.yaml", "role: embedder", "role: embedder, max_tokens: 9")
    (own / "p.j2").write_text("Other {{ query }} {{ passages }}", "utf-8")
    assert run(["index"]) == 0
    capsys.readouterr()
    assert run(["build"]) == 0
    *plan, total = capsys.readouterr().out.splitlines()
    paths = [line.split()[1] for line in plan]
    assert len(paths) == len(set(paths)) > 6
    assert "~ tritonrepo.json  changed" in plan
    assert total.startswith("model_repository: ")
