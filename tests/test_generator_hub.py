"""A generator whose model is on the Hugging Face Hub: which files are fetched, what is pinned, and what stands in."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import hub as stand_in
from tests.conftest import SMOLLM2
from tests.hub import COMMIT, LATER, Hub, refused
from tests.test_chat_files import CONFIG, source
from tests.test_generator import build, made, stack
from tests.test_own_stacks import entered
from tests.test_spec import said
from tritonrepo.cli import run
from tritonrepo.sources import patience

NOWHERE = "http://127.0.0.1:9"
TOKENIZER = {name: file.content() for name, file in source().items()}
MODEL = TOKENIZER | {"model.safetensors": bytes(10_000), "README.md": b"# m", "onnx/model.onnx": bytes(10_000)}
OWNER = uuid.uuid4().hex
"""Of models that nobody else puts into the cache, which all tests share."""

M = f"{OWNER}/m"
NAMED = f"{{role: generator, source: 'hf://{M}'}}"
HELPED = f"{{role: generator, source: 'hf://{M}', local: '{SMOLLM2}', args: {{max_model_len: 900}}}}"
STAND_IN = 'warning: "g" uses the tokenizer and chat template of its "local" file'


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with stand_in.running() as running:
        running.put(M, MODEL)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setattr(patience, "pause", lambda _: None)
        yield running


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A small stack with an index, in the current directory, and a cache of its own with the vendored packages."""
    place = entered(tmp_path / "own", monkeypatch)
    assert run(["index"]) == 0
    capsys.readouterr()
    return place


def lock() -> Any:  # noqa: ANN401  JSON
    return json.loads(Path("tritonrepo.lock").read_text("utf-8"))


@pytest.mark.usefixtures("own")
def test_a_branch_is_pinned_to_its_commit(hub: Hub) -> None:
    hub.branches["v2"] = COMMIT
    assert build(f"{{role: generator, source: 'hf://{M}@v2'}}") == 0
    assert made("g/1/model.json") == {"model": M, "revision": COMMIT}


@pytest.mark.usefixtures("own")
def test_a_hub_out_of_reach_lets_local_stand_in_and_keeps_what_is_pinned(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    helped = HELPED.replace(M, f"{OWNER}/unseen")
    pin = {"any": {"revision": LATER, "sha256": "0" * 64, "size": 1}}
    found = lock()
    found["sources"][f"hf://{OWNER}/unseen"] = pin
    Path("tritonrepo.lock").write_text(json.dumps(found), "utf-8")
    assert hub.url
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    assert build(helped) == 0
    told = capsys.readouterr().err
    assert f"{STAND_IN}, which may be another model's" in told
    assert "The model's own files were out of reach: " in told
    assert "source-not-pinned" not in told
    assert lock()["sources"][f"hf://{OWNER}/unseen"] == pin
    assert made("g/1/model.json")["revision"] == LATER
    assert run(["build", "--check"]) == 1
    assert STAND_IN.replace("warning", "error") in capsys.readouterr().err


@pytest.mark.usefixtures("own")
def test_without_local_a_hub_out_of_reach_is_an_error(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hub.url
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    assert build(NAMED.replace(M, f"{OWNER}/unseen")) == 2
    assert f"fatal: hf://{OWNER}/unseen cannot be obtained from http://127.0.0.1:9" in capsys.readouterr().err
    assert not Path("model_repository").exists()


@pytest.mark.usefixtures("own")
def test_local_does_not_stand_in_for_a_model_that_this_user_cannot_see(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.tampered = lambda _: refused(403, "GatedRepo")
    assert build(HELPED.replace(M, f"{OWNER}/gated")) == 2
    assert f'"{OWNER}/gated" is gated' in capsys.readouterr().err


@pytest.mark.usefixtures("own")
def test_a_model_that_does_not_exist_is_not_replaced_by_local(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert hub.url
    assert build(HELPED.replace(M, f"{OWNER}/misspelt")) == 2
    assert f'"{OWNER}/misspelt" does not exist on the Hugging Face Hub' in capsys.readouterr().err


@pytest.mark.usefixtures("own")
def test_a_base_model_of_the_hub_is_not_replaced_by_local(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.put(f"{OWNER}/base", MODEL | {"tokenizer_config.json": b"{}"})
    assert build(HELPED.replace(M, f"{OWNER}/base")) == 2
    assert "the model has no chat template, so it is a base model" in capsys.readouterr().err


@pytest.mark.usefixtures("own")
def test_the_tokenizer_can_be_another_models(hub: Hub) -> None:
    hub.put(
        f"{OWNER}/chat", MODEL | {"tokenizer_config.json": json.dumps(CONFIG | {"bos_token": "</s>"}).encode()}, LATER
    )
    hub.branches["main"] = COMMIT
    text = f"{{role: generator, source: 'hf://{M}', tokenizer: 'hf://{OWNER}/chat@{LATER}'}}"
    assert build(text) == 0
    assert made("g_prompt/1/settings.json")["bos_token"] == "</s>"
    assert made("g/1/model.json") == {"model": M, "revision": COMMIT}


@pytest.mark.usefixtures("own")
def test_a_directory_of_a_model_needs_mounted_weights(hub: Hub) -> None:
    hub.put(f"{OWNER}/many", {f"chat/{name}": content for name, content in MODEL.items()})
    inner = f"role: generator, source: 'hf://{OWNER}/many@main/chat'"
    message = 'the server loads a whole model, but the source of generator "g" is a path in one'
    assert message in said(stack(f"{{{inner}}}"))
    assert build(f"{{{inner}, weights: {{path: /mnt/chat}}}}") == 0
    assert made("g/1/model.json") == {"model": "/mnt/chat"}
    assert made("g_prompt/1/settings.json")["bos_token"] == "<s>"
