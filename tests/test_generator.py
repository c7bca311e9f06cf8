"""A generator without a GGUF file: where its tokenizer, its weights and its LoRA adapters come from."""

from __future__ import annotations

import json
import shutil
import struct
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import hub as stand_in
from tests.conftest import SMOLLM2
from tests.hub import Hub
from tests.tabled import tabled
from tests.test_chat_files import CONFIG, LFS, source, tokenizer
from tests.test_own_stacks import ANSWER, entered
from tests.test_spec import said
from tests.test_stack_values import faults
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.parts.lora import ranks
from tritonrepo.releases import RELEASES
from tritonrepo.sources import adapter
from tritonrepo.tree import File, of_bytes, of_text

COMMIT = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
GENERATOR = f"{{role: generator, source: 'hf://o/m', local: '{SMOLLM2}', args: {{max_model_len: 900}}}}"
assert GENERATOR in ANSWER


def stack(generator: str, release: str = "26.07") -> str:
    """Return a stack with this generator, which answers in a pipeline."""
    return ANSWER.replace(GENERATOR, generator).replace("name: own", f"name: own\ntarget: {{release: '{release}'}}")


def files(place: Path, **changes: object) -> None:
    place.mkdir()
    for name, file in source(**changes).items():
        (place / name).write_bytes(file.content())


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A small stack with an index, and with the files of a model in ./m, in the current directory."""
    place = entered(tmp_path / "own", monkeypatch)
    assert run(["index"]) == 0
    capsys.readouterr()
    files(place / "m")
    return place


def build(generator: str, *options: str, release: str = "26.07") -> int:
    Path("tritonrepo.yaml").write_text(stack(generator, release), "utf-8")
    return run(["build", *options])


def made(path: str) -> Any:  # noqa: ANN401  JSON
    return json.loads(Path("model_repository", path).read_text("utf-8"))


DISK = "role: generator, source: ./m, weights: {path: /mnt/models/m}"


@pytest.mark.usefixtures("own")
def test_a_model_on_disk_needs_no_gguf_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert build(f"{{{DISK}, args: {{dtype: auto}}}}") == 0
    assert "warning" not in capsys.readouterr().err
    assert made("g/1/model.json") == {"model": "/mnt/models/m", "dtype": "auto"}
    settings = made("g_prompt/1/settings.json")
    assert (settings["bos_token"], settings["eos_token"], settings["adds_bos"]) == ("<s>", "</s>", False)
    assert (settings["max_model_len"], settings["special_tokens"]) == (2048, ["<s>", "</s>", "<|user|>"])
    assert settings["chat_template"] == CONFIG["chat_template"]
    carried = Path("model_repository", "g_prompt", settings["tokenizer"])
    assert carried.read_bytes() == Path("m", "tokenizer.json").read_bytes()
    assert made("tritonrepo.json")["local"] == {}
    assert run(["build", "--check", "--locked"]) == 0
    assert "./m" in json.loads(Path("tritonrepo.lock").read_text("utf-8"))["sources"]


@pytest.mark.usefixtures("own")
def test_a_cpu_runs_the_local_file_in_place_of_mounted_weights() -> None:
    assert build(f"{{{DISK}, local: '{SMOLLM2}'}}") == 0
    assert made("tritonrepo.json")["local"] == {"/mnt/models/m": SMOLLM2}


@pytest.mark.usefixtures("own")
def test_the_tokenizer_can_be_a_directory(capsys: pytest.CaptureFixture[str]) -> None:
    assert build(f"{{role: generator, source: 'hf://o/m@{COMMIT}', tokenizer: ./m}}", "--locked") == 2
    assert "lock-drift" in capsys.readouterr().err
    assert build(f"{{role: generator, source: 'hf://o/m@{COMMIT}', tokenizer: ./m}}") == 0
    assert "warning" not in capsys.readouterr().err
    assert made("g/1/model.json") == {"model": "o/m", "revision": COMMIT}
    assert made("g_prompt/1/settings.json")["bos_token"] == "<s>"


@pytest.mark.usefixtures("own")
def test_wrong_files_of_a_model_are_told_and_not_replaced_by_the_local_file(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "m" / "tokenizer.json").unlink()
    assert build(f"{{{DISK}, local: '{SMOLLM2}'}}") == 2
    assert (
        "tritonrepo.yaml:6:32: fatal: the source has neither tokenizer.json nor a GGUF file" in capsys.readouterr().err
    )
    assert not Path("model_repository").exists()


@pytest.mark.usefixtures("own")
def test_a_length_that_the_model_does_not_state_must_be_set(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "m" / "config.json").write_text('{"model_type": "gemma3"}', "utf-8")
    assert build(f"{{{DISK}}}") == 2
    told = capsys.readouterr().err
    assert "the model's config.json does not say how many tokens the model reads" in told
    assert "Set max_model_len in args." in told
    assert build(f"{{{DISK}, args: {{max_model_len: 512}}}}") == 0


@pytest.mark.usefixtures("own")
def test_the_tokenizers_class_counts_before_transformers_5(own: Path) -> None:
    config = CONFIG | {"tokenizer_class": "LlamaTokenizer"}
    (own / "m" / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    assert build(f"{{{DISK}}}", release="26.05") == 0
    assert made("g_prompt/1/settings.json")["adds_bos"] is True
    assert build(f"{{{DISK}}}", release="26.06") == 0
    assert made("g_prompt/2/settings.json")["adds_bos"] is False


@pytest.mark.usefixtures("own")
def test_what_a_template_needs_besides_messages_is_in_the_prompt_step(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """GLM's tokenizer and template begin with the same two tokens; the variables are those of the stack file."""
    shutil.rmtree(own / "m")
    template = "[gMASK]<s>{% if think is false %}-{% endif %}" + CONFIG["chat_template"]
    files(own / "m", tokenizer_json=tokenizer("[gMASK] <s> $A"), tokenizer_config_json={"chat_template": template})
    assert build(f"{{{DISK}, chat_template_kwargs: {{think: false}}}}") == 0
    settings = made("g_prompt/1/settings.json")
    assert (settings["adds_bos"], settings["begins"], settings["bos_token"]) == (True, ["[gMASK]", "<s>"], "")
    assert settings["chat_template_kwargs"] == {"think": False}
    capsys.readouterr()
    assert build(f"{{{DISK}, chat_template_kwargs: {{thinks: false}}}}") == 2
    told = capsys.readouterr().err
    assert 'tritonrepo.yaml:6:100: fatal: the model\'s chat template does not use the variable "thinks"' in told
    assert 'Did you mean "think"?' in told


@pytest.mark.usefixtures("own")
def test_an_answer_leaves_room_for_a_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    assert build(f"{{{DISK}, args: {{max_model_len: 256}}}}") == 2
    assert "an answer may take 256 tokens, but prompt and answer together must fit in 256" in capsys.readouterr().err
    assert build(f"{{{DISK}, args: {{max_model_len: 257}}}}") == 0


LONG = {
    "as long as the model allows": ("max_model_len: 2048", 0),
    "longer": ("max_model_len: 2049", 1),
    "longer, with another configuration": ("max_model_len: 4096, hf_overrides: {max_position_embeddings: 4096}", 0),
}


@pytest.mark.parametrize(("words", "warnings"), LONG.values(), ids=LONG)
def test_a_context_that_vllm_rejects_is_a_doubt(
    own: Path, capsys: pytest.CaptureFixture[str], words: str, warnings: int
) -> None:
    assert own.is_dir()
    assert build(f"{{{DISK}, args: {{{words}}}}}") == 0
    told = capsys.readouterr().err
    assert told.count("[max-model-len-long]") == told.count("warning:") == warnings
    assert not warnings or "max_model_len is 2049, but vLLM accepts at most 2048 for this model" in told


PLACED = {
    "a path that is relative": ("weights: {path: models/m}", "the path of the weights must be absolute"),
    "a path of the home directory": ("weights: {path: ~/m}", "the path of the weights must be absolute"),
    "no path": ("weights: {}", 'required key "path" is missing'),
    "another key": ("weights: {path: /m, url: x}", 'unknown key "url"'),
    "weights that stay here": ("weights: hub", "the server cannot load ./m, the source of generator"),
    "weights in the repository": ("weights: repository", 'weights cannot be "repository": vLLM reads "model"'),
}


@tabled(("words", "message"), PLACED.values(), ids=PLACED)
def test_weights_are_where_the_server_finds_them(words: str, message: str) -> None:
    text = stack(f"{{role: generator, source: ./m, {words}}}")
    assert message in said(text)
    assert len(faults(text)) == 1


HUB = "role: generator, source: 'hf://o/m', weights: {path: /mnt/m}"


def test_mounted_weights_of_a_hub_model_have_no_revision(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The server reads the path, so nothing on the Hub can change what it serves."""
    assert own.is_dir()
    assert build(f"{{{HUB}, tokenizer: ./m}}") == 0
    assert "warning" not in capsys.readouterr().err
    assert made("g/1/model.json") == {"model": "/mnt/m"}


@pytest.fixture
def hub(own: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has the files of ./m and weights, under a name and a commit that no cache has."""
    with stand_in.running() as running:
        running.put(MODEL, {path.name: path.read_bytes() for path in (own / "m").iterdir()} | WEIGHTS, FRESH)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


FRESH = uuid.uuid4().hex + "0" * 8
MODEL = f"o/{FRESH}"
WEIGHTS = {"model-00001-of-00002.safetensors": bytes(9999), "model.gguf": b"GGUF", "onnx/tokenizer.json": b"{}"}


def test_a_hub_model_gives_its_tokenizer_and_is_pinned_and_its_weights_are_not_fetched(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(f"{{role: generator, source: 'hf://{MODEL}'}}") == 0
    assert "warning" not in capsys.readouterr().err
    assert not [path for path in hub.paths if any(name in path for name in WEIGHTS)]
    assert made("g/1/model.json") == {"model": MODEL, "revision": FRESH}
    assert made("g_prompt/1/settings.json")["bos_token"] == "<s>"
    hub.put(MODEL, {"config.json": b"{}"}, "d" * 40)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert run(["build", "--check", "--locked"]) == 0


def test_a_hub_model_with_a_tokenizer_from_elsewhere_is_pinned_too(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(f"{{role: generator, source: 'hf://{MODEL}', tokenizer: ./m}}") == 0
    assert "warning" not in capsys.readouterr().err
    assert made("g/1/model.json") == {"model": MODEL, "revision": FRESH}
    assert hub.paths == [f"/api/models/{MODEL}"]
    assert run(["build", "--check", "--locked"]) == 0
    assert hub.paths == [f"/api/models/{MODEL}"]


TENSORS = {
    "base_model.model.q.lora_A.weight": {"dtype": "F32", "shape": [32, 2], "data_offsets": [0, 256]},
    "base_model.model.q.lora_B.weight": {"dtype": "F32", "shape": [64, 32], "data_offsets": [256, 512]},
}
LORA = {
    "peft_type": "LORA",
    "r": 8,
    "lora_alpha": 16,
    "target_modules": ["q_proj"],
    "base_model_name_or_path": "o/m",
    "use_dora": False,
    "modules_to_save": None,
}


def tensors(header: object = TENSORS, size: int = 512) -> bytes:
    """Return a safetensors file."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def adapters(**changes: object) -> dict[str, File]:
    return {
        "adapter_config.json": of_text(json.dumps(LORA | changes)),
        "adapter_model.safetensors": of_bytes(tensors()),
    }


def test_the_rank_of_an_adapter_is_that_of_its_largest_tensor() -> None:
    assert adapter.facts(adapters(), Span("s")) == (32, "o/m")
    assert adapter.facts(adapters(r=64, base_model_name_or_path=None), Span("s")) == (64, "")
    pickled = {"adapter_config.json": adapters()["adapter_config.json"], "adapter_model.bin": of_bytes(b"P")}
    assert adapter.facts(pickled, Span("s")) == (8, "o/m")


WRONG: dict[str, tuple[dict[str, File | None], dict[str, object], str]] = {
    "no config": ({"adapter_config.json": None}, {}, "adapter_config.json of the adapter is missing"),
    "a config that is none": (
        {"adapter_config.json": of_text("[]")},
        {},
        "adapter_config.json of the adapter is not a JSON",
    ),
    "a config as deep as a well": ({"adapter_config.json": of_text("[" * 100_000)}, {}, "is not a JSON object"),
    "another kind": ({}, {"peft_type": "IA3"}, "the adapter is of the kind 'IA3', but vLLM loads only LORA"),
    "no rank": ({}, {"r": 0}, "r in adapter_config.json must be an integer of at least 1, not 0"),
    "DoRA": ({}, {"use_dora": True}, "the adapter uses DoRA, which vLLM does not load"),
    "whole modules": ({}, {"modules_to_save": ["lm_head"]}, "the adapter replaces modules (['lm_head'])"),
    "no weights": ({"adapter_model.safetensors": None}, {}, "adapter_model.safetensors of the adapter is missing"),
    "a pointer": ({"adapter_model.safetensors": of_bytes(LFS)}, {}, "is not a whole safetensors file"),
    "half the weights": (
        {"adapter_model.safetensors": of_bytes(tensors(size=511))},
        {},
        "is not a whole safetensors file",
    ),
    "nothing in the weights": ({"adapter_model.safetensors": of_bytes(b"")}, {}, "is not a whole safetensors file"),
}


@tabled(("replaced", "changes", "message"), WRONG.values(), ids=WRONG)
def test_an_adapter_that_vllm_would_not_load_is_told(
    replaced: dict[str, File | None], changes: dict[str, object], message: str
) -> None:
    found = {name: file for name, file in (adapters(**changes) | replaced).items() if file is not None}
    with pytest.raises(Stop) as stop:
        adapter.facts(found, Span("s.yaml", 3))
    (told,) = stop.value.diagnostics
    assert message in told.message
    assert told.hint
    assert (told.rule, told.at) == ("source-adapter", Span("s.yaml", 3))


def test_a_config_without_the_keys_that_vllm_needs_is_told() -> None:
    bare = {"adapter_config.json": of_text('{"lora_alpha": 1}'), "adapter_model.bin": of_bytes(b"P")}
    with pytest.raises(Stop, match=r"adapter_config\.json of the adapter lacks r and target_modules"):
        adapter.facts(bare, Span("s"))


def adapter_at(place: Path, **changes: object) -> None:
    place.mkdir(parents=True)
    for name, file in adapters(**changes).items():
        (place / name).write_bytes(file.content())


TWO = "lora: {support: {path: /mnt/lora/support, source: ./support}, legal: 'hf://o/legal'}"


def test_adapters_are_listed_and_enabled(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapter_at(own / "support")
    assert build(f"{{{HUB}, tokenizer: ./m, {TWO}}}") == 0
    assert made("g/1/multi_lora.json") == {"support": "/mnt/lora/support", "legal": "o/legal"}
    assert made("g/1/model.json") == {"model": "/mnt/m", "enable_lora": True, "max_lora_rank": 32}
    told = capsys.readouterr().err
    assert 'warning: adapter "legal" of "g" can change on the Hugging Face Hub' in told
    assert told.count("warning:") == 1
    assert run(["validate", "model_repository"]) == 0


def test_an_adapter_of_another_model_is_a_doubt(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapter_at(own / "support", base_model_name_or_path="o/other")
    adapter_at(own / "moved", base_model_name_or_path="/home/me/other")
    adapter_at(own / "same", base_model_name_or_path="O/M")
    two = "lora: {a: {path: /a, source: ./support}, b: {path: /b, source: ./moved}, c: {path: /c, source: ./same}}"
    assert build(f"{{{HUB}, tokenizer: ./m, {two}}}") == 0
    told = capsys.readouterr().err
    assert 'warning: adapter "a" was trained on o/other, but "g" runs o/m [adapter-base]' in told
    assert told.count("warning:") == 1


def test_a_rank_above_the_limit_is_refused(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapter_at(own / "support", r=100)
    assert build(f"{{{HUB}, tokenizer: ./m, {TWO}, args: {{max_lora_rank: 64}}}}") == 2
    assert 'adapter "support" has rank 100, but max_lora_rank is at most 64' in capsys.readouterr().err
    assert build(f"{{{HUB}, tokenizer: ./m, {TWO}, args: {{max_lora_rank: 256}}}}") == 0
    assert made("g/1/model.json")["max_lora_rank"] == 256
    adapter_at(own / "equal", r=64)
    equal = TWO.replace("./support", "./equal")
    assert build(f"{{{HUB}, tokenizer: ./m, {equal}, args: {{max_lora_rank: 64}}}}") == 0


def test_an_older_backend_reads_enable_lora_as_a_string(own: Path) -> None:
    one = "lora: {support: {path: /mnt/lora/support}}"
    for release, enabled in (("24.09", "true"), ("24.10", True)):
        assert build(f"{{{HUB}, tokenizer: ./m, {one}}}", "-o", f"{own}/{release}/r", release=release) == 0
        (model,) = Path(own, release, "r", "g").glob("*/model.json")
        assert json.loads(model.read_text("utf-8")) == {"model": "/mnt/m", "enable_lora": enabled}


CONFLICTS = {
    "an adapter that stays here": (
        "26.07",
        "lora: {a: ./a}",
        'adapter "a" needs its path on the server: vLLM reads paths in multi_lora.json as they are',
    ),
    "a path that is relative": ("26.07", "lora: {a: {path: lora/a}}", 'the path of adapter "a" must be absolute'),
    "no path": ("26.07", "lora: {a: {source: ./a}}", 'required key "path" is missing'),
    "a revision that vLLM ignores": (
        "26.07",
        "lora: {a: 'hf://o/a@main'}",
        'vLLM downloads adapter "a" without a revision, so "@main" has no effect',
    ),
    "a check on the hub": ("26.07", "lora: {a: {path: /a, source: 'hf://o/a'}}", "must be a directory or a package"),
    "no name": ("26.07", "lora: {'': {path: /a}}", "the name of a LoRA adapter is empty"),
    "a list": ("26.07", "lora: [./a]", '"lora" must be a mapping of keys to values'),
    "a backend without adapters": ("24.04", "lora: {a: {path: /a}}", "the vLLM backend of Triton 24.04 has no LoRA"),
    "a vLLM that does not download": ("24.08", "lora: {a: 'hf://o/a'}", "does not download LoRA adapters"),
    "disabled": ("26.07", "lora: {a: {path: /a}}, args: {enable_lora: false}", "args set enable_lora to False"),
    "enabled for nothing": (
        "26.07",
        "args: {enable_lora: true}",
        'args set enable_lora, but generator "g" has no LoRA',
    ),
    "a rank that is none": (
        "25.11",
        "lora: {a: {path: /a}}, args: {max_lora_rank: 1}",
        "max_lora_rank cannot be 1 in the vLLM of Triton 25.11",
    ),
    "a stranger by default": (
        "26.07",
        "lora: {a: {path: /a}}, sampling: {lora_name: b}",
        'sampling names the LoRA adapter "b", which is not in lora',
    ),
}


@tabled(("release", "words", "message"), CONFLICTS.values(), ids=CONFLICTS)
def test_adapters_that_the_server_cannot_use_are_told(release: str, words: str, message: str) -> None:
    text = stack(f"{{role: generator, source: 'hf://o/m', tokenizer: ./m, {words}}}", release)
    assert message in said(text)
    assert len(faults(text)) == 1


def test_a_default_adapter_is_one_of_the_stack(own: Path) -> None:
    assert own.is_dir()
    one = "lora: {a: {path: /a}}, sampling: {lora_name: a}"
    assert build(f"{{{HUB}, tokenizer: ./m, {one}}}") == 0
    assert made("g_prompt/1/settings.json")["sampling"] == {"max_tokens": 256, "lora_name": "a"}


RANKS = {
    "24.09": (8, 16, 32, 64),
    "24.10": (8, 16, 32, 64, 128, 256),
    "25.03": (8, 16, 32, 64, 128, 256),
    "25.04": (8, 16, 32, 64, 128, 256, 320, 512),
    "25.11": (8, 16, 32, 64, 128, 256, 320, 512),
    "25.12": (1, 8, 16, 32, 64, 128, 256, 320, 512),
}
"""vLLM, LoRAConfig, of 0.5.0, 0.5.5, 0.7.3, 0.8.1, 0.11.0 and 0.11.1."""


@tabled(("release", "known"), RANKS.items(), ids=RANKS)
def test_the_ranks_are_those_of_the_releases_vllm(release: str, known: tuple[int, ...]) -> None:
    assert ranks(RELEASES[release]) == known


def test_a_wrong_argument_beside_adapters_is_at_its_place(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert own.is_dir()
    words = "lora: {a: {path: /a}}, args: {swap_space: 4}"
    assert build(f"{{{HUB}, tokenizer: ./m, {words}}}") == 1
    text = stack(f"{{{HUB}, tokenizer: ./m, {words}}}").splitlines()[5]
    column = text.index("swap_space: 4") + len("swap_space: ") + 1
    assert f"tritonrepo.yaml:6:{column}: error: " in capsys.readouterr().err


@given(name=st.sampled_from(sorted(adapters())), content=st.binary(max_size=80) | st.text('{}[]":,0ar', max_size=40))
def test_no_bytes_of_an_adapter_raise_anything_but_a_diagnostic(name: str, content: bytes | str) -> None:
    file = of_bytes(content if isinstance(content, bytes) else content.encode())
    with suppress(Stop):
        adapter.facts(adapters() | {name: file}, Span("s"))


HEADERS = [
    "[]",
    '{"a": 1}',
    '{"a.lora_A.b": {}}',
    '{"a.lora_A.b": {"shape": 3}}',
    '{"a.lora_A.b": {"shape": []}}',
    '{"a.lora_A.b": {"shape": ["x"], "data_offsets": [0]}}',
    '{"a.lora_A.b": {"shape": [true], "data_offsets": ["x", null]}}',
    '{"__metadata__": {"format": "pt"}}',
    "[" * 100_000,
]


@tabled("header", HEADERS, ids=range(len(HEADERS)))
def test_no_header_of_an_adapter_raises_anything_but_a_diagnostic(header: str) -> None:
    weights = struct.pack("<Q", len(header)) + header.encode()
    with suppress(Stop):
        assert adapter.facts(adapters() | {"adapter_model.safetensors": of_bytes(weights)}, Span("s")).rank == 8


def test_a_generator_that_cannot_be_read_hides_no_doubt_of_another(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "m" / "tokenizer.json").unlink()
    files(own / "n")
    other = "{role: generator, source: 'hf://o/m', tokenizer: ./n, weights: {path: /n}, args: {max_model_len: 4096}}"
    assert build(f"{{{DISK}}}\n  h: {other}") == 2
    told = capsys.readouterr().err
    assert told.count("the source has neither tokenizer.json nor a GGUF file") == 1
    assert "warning: max_model_len is 4096" in told


def test_weights_beside_the_tokenizer_are_not_read(own: Path) -> None:
    """They can be hundreds of gigabytes, and the build needs nothing of them."""
    weights = own / "m" / "model.safetensors"
    weights.write_bytes(b"one")
    assert build(f"{{{DISK}}}") == 0
    pins = Path("tritonrepo.lock").read_bytes()
    weights.write_bytes(b"another")
    assert run(["build", "--check", "--locked"]) == 0
    (own / "m" / "config.json").write_text('{"max_position_embeddings": 1024}', "utf-8")
    assert run(["build"]) == 0
    assert Path("tritonrepo.lock").read_bytes() != pins
