"""Stack files made of several: `extends`, `!remove`, and what is said of a wrong one, with its place."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.conftest import SMOLLM2
from tests.test_own_stacks import ANSWER, own
from tests.test_spec import GOOD, read, said
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.flows.stack import Loaded, load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.parts import PARTS
from tritonrepo.spec.schema import schema
from tritonrepo.spec.stack import Stack

__all__ = ["own"]


def written(place: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, "utf-8")


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def loaded(*paths: str, **variables: str) -> Loaded:
    return load(list(paths) or ["."], Workspace(variables))


def stack_of(files: Mapping[str, str], *paths: str, **variables: str) -> Stack:
    written(Path(), files)
    return loaded(*paths, **variables).stack


def stopped(files: Mapping[str, str], *paths: str, **variables: str) -> str:
    written(Path(), files)
    with pytest.raises(Stop) as stop:
        loaded(*paths, **variables)
    return str(stop.value)


@pytest.mark.usefixtures("inside")
def test_a_file_that_extends_another_is_merged_over_it_as_with_two_options() -> None:
    over = "target: {gpus: 2}\nensembles: {p: {chain: [e, r]}}\n"
    extending = stack_of({"base.yaml": GOOD, "tritonrepo.yaml": f"extends: base.yaml\n{over}"})
    written(Path(), {"over.yaml": over})
    assert extending == loaded("base.yaml", "over.yaml").stack
    assert (extending.target.gpus, extending.target.release) == (2, "24.10")
    assert extending.extends == ()


@pytest.mark.usefixtures("inside")
def test_the_first_of_several_is_the_base_and_each_may_extend_others() -> None:
    stack = stack_of(
        {
            "tritonrepo.yaml": "extends: [gpu/one.yaml, two.yaml]\nname: top\n",
            "gpu/one.yaml": "extends: ../root.yaml\nname: one\ntarget: {gpus: 1, gpu_memory: 1GiB, arch: aarch64}\n",
            "two.yaml": "name: two\ntarget: {gpus: 2, gpu_memory: 2GiB}\n",
            "root.yaml": f"{GOOD}smoke: []\n",
        }
    )
    assert (stack.name, stack.target.gpus, stack.target.gpu_memory) == ("top", 2, 2 << 30)
    assert (stack.target.arch, stack.target.release) == ("aarch64", "24.10")


@pytest.mark.usefixtures("inside")
def test_a_file_that_is_reached_twice_counts_once_where_it_is_first_needed() -> None:
    """Else the second time would undo what the first file that extends it says, and lists would grow twice."""
    stack = stack_of(
        {
            "root.yaml": GOOD,
            "more.yaml": "extends: root.yaml\ntarget: {gpus: 7, images: !append [vllm-python-py3]}\n",
            "less.yaml": "extends: ./root.yaml\nname: less\n",
            "tritonrepo.yaml": "extends: [more.yaml, less.yaml]\n",
        }
    )
    assert (stack.name, stack.target.gpus, stack.target.images) == ("less", 7, ("py3", "vllm-python-py3"))
    again = loaded("root.yaml", "tritonrepo.yaml").stack
    assert again == stack


@pytest.mark.usefixtures("inside")
def test_a_place_is_in_the_file_that_says_it_and_paths_are_relative_to_that_file() -> None:
    stack = stack_of({"../shared/base.yaml": GOOD, "tritonrepo.yaml": "extends: ../shared/base.yaml\n"})
    assert stack.models["e"].places["source"] == Span("../shared/base.yaml", 6, 13)
    assert loaded().lock_path == Path("tritonrepo.lock")


@pytest.mark.usefixtures("inside")
def test_the_place_of_the_whole_is_in_the_file_that_was_named(inside: Path) -> None:
    written(inside, {"base.yaml": GOOD.replace("name: s\n", ""), "tritonrepo.yaml": "\nextends: base.yaml\n"})
    assert stopped({}).startswith('tritonrepo.yaml:2:1: fatal: required key "name" is missing')


def test_a_finding_shows_the_line_of_the_file_that_says_it(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "config: {max_batch_size: 4, dynamic_batching: {preferred_batch_size: [8]}}"
    base = f"name: s\nmodels:\n  m:\n    backend: python\n    source: ./m.py\n    {wrong}\n"
    written(
        inside,
        {"base.yaml": base, "tritonrepo.yaml": "extends: base.yaml\n", "m.py": "class TritonPythonModel: pass\n"},
    )
    assert run(["validate", "."]) == 1
    assert f"  6 |     {wrong}\n" in capsys.readouterr().out


@pytest.mark.usefixtures("inside")
def test_the_directory_of_a_stack_can_be_extended_and_a_variable_can_name_it() -> None:
    files = {"../shared/tritonrepo.yaml": GOOD, "tritonrepo.yaml": "extends: ${WHERE}\nname: mine\n"}
    stack = stack_of(files, WHERE="../shared")
    assert (stack.name, sorted(stack.models)) == ("mine", ["e", "g", "r"])
    assert "the environment variable WHERE is not set" in stopped({})


@pytest.mark.usefixtures("inside")
def test_links_within_a_path_lead_where_the_system_goes() -> None:
    written(Path(), {"a/deep/base.yaml": GOOD, "tritonrepo.yaml": "extends: link/base.yaml\n"})
    Path("link").symlink_to("a/deep")
    assert loaded().stack.name == "s"
    written(Path(), {"a/x.yaml": GOOD, "tritonrepo.yaml": "extends: link/../x.yaml\n"})
    assert loaded().stack.models["e"].places["source"].path == "link/../x.yaml"


@pytest.mark.usefixtures("inside")
def test_the_mistakes_of_all_files_are_told_in_one_run() -> None:
    found = stopped({"tritonrepo.yaml": "extends: [a.yaml, b.yaml, c.yaml]\n", "a.yaml": "", "b.yaml": "[1]"})
    assert [line.split(": ")[0] for line in found.splitlines() if not line.startswith(" ")] == [
        "a.yaml",
        "b.yaml:1:1",
        "tritonrepo.yaml:1:27",
    ]


@pytest.mark.parametrize("link", ["base.yaml", "d"])
def test_a_link_out_of_the_directory_is_not_followed(inside: Path, link: str) -> None:
    written(inside.parent, {"elsewhere/base.yaml": GOOD})
    (inside / link).symlink_to(inside.parent / "elsewhere" / ("base.yaml" if link == "base.yaml" else ""))
    name = "base.yaml" if link == "base.yaml" else "d/base.yaml"
    written(Path(), {"tritonrepo.yaml": f"extends: {name}\n"})
    with pytest.raises(Stop, match=r"tritonrepo.yaml:1:10: fatal: .* leads out of \. through a link"):
        loaded()
    assert load(["."], Workspace({}, (inside.parent / "elsewhere",))).stack.name == "s"


def test_a_link_out_of_the_other_files_own_directory_is_not_followed(inside: Path) -> None:
    written(inside.parent, {"elsewhere/base.yaml": GOOD, "shared/x": ""})
    (inside.parent / "shared" / "base.yaml").symlink_to(inside.parent / "elsewhere" / "base.yaml")
    found = stopped({"tritonrepo.yaml": "extends: ../shared/base.yaml\n"})
    assert "tritonrepo.yaml:1:10: fatal: ../shared/base.yaml leads out of ../shared through a link" in found


def test_a_link_to_itself_is_a_file_that_does_not_exist(inside: Path) -> None:
    (inside / "b.yaml").symlink_to("b.yaml")
    assert "the extended stack file b.yaml does not exist" in stopped({"tritonrepo.yaml": "extends: b.yaml\n"})


def test_what_is_no_file_is_not_opened(inside: Path) -> None:
    os.mkfifo(inside / "b.yaml")
    assert "the extended stack file b.yaml is not a regular file" in stopped({"tritonrepo.yaml": "extends: b.yaml\n"})


def test_a_stack_that_is_only_a_text_extends_nothing() -> None:
    assert 'a.yaml:1:10: fatal: "b.yaml" cannot be extended' in said("extends: b.yaml\n")


def test_a_key_is_removed_with_everything_below_it() -> None:
    stack = read(
        GOOD.replace("gpus: 0", "gpus: 0, gpu_memory: 80GiB"),
        "target: {gpu_memory: !remove, gpus: !remove}\nmodels: {g: !remove}\nensembles: {p: {chain: [e, r]}}\n",
    )
    assert (stack.target.gpu_memory, stack.target.gpus, stack.target.release) == (None, 1, "24.10")
    assert stack.models.keys() == {"e", "r"}
    args = read(GOOD, "models: {g: {args: {dtype: !remove, seed: 1}}}").models["g"]
    assert getattr(args, "args", None) == {"max_model_len": 512, "seed": 1}


def test_what_was_removed_can_be_set_again() -> None:
    assert read(GOOD, "target: !remove\n", "target: {gpus: 3}").target.release != "24.10"


PARTIAL = [
    "extends: base.yaml\n",
    "extends: [a.yaml, b.yaml]\ntarget: {gpu_memory: null}\nmodels: {old: null, e: {batching: {preferred: [4]}}}\n",
    "extends: ${BASE}\nensembles: null\n",
]


@pytest.mark.parametrize("text", PARTIAL)
def test_the_schema_takes_a_file_that_says_only_what_differs(text: str) -> None:
    """A validator reads `!remove` as null."""
    jsonschema.validate(yaml.safe_load(text), schema(PARTS))


REFUSED = [
    "extends: {a: b}\n",
    "extends: a\nmodels: {e: {sourec: x}}\n",
    "target: {gpus: null}\n",
    "name: null\nmodels: {}\n",
]


@pytest.mark.parametrize("text", REFUSED)
def test_the_schema_refuses_a_wrong_one(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), schema(PARTS))


def test_what_serve_runs_in_place_of_a_hub_model_is_found_from_the_lock(own: Path, inside: Path) -> None:
    stack = ANSWER.replace(f"local: '{SMOLLM2}'", f"tokenizer: '{SMOLLM2}', local: ./m.gguf")
    written(own, {"tritonrepo.yaml": stack, "m.gguf": "not read"})
    written(inside, {"tritonrepo.yaml": "extends: ../own/tritonrepo.yaml\n"})
    assert run(["index", "-f", str(inside)]) == 0
    assert run(["build", "-f", str(inside), "-o", str(inside / "r")]) == 0
    local = json.loads((inside / "r" / "tritonrepo.json").read_text("utf-8"))["local"]
    assert list(local.values()) == ["../own/m.gguf"]


def test_the_order_of_two_bases_decides() -> None:
    for one, other in itertools.permutations(("name: one\n", "name: two\n")):
        assert read(GOOD, one, other).name == other.split()[1]
