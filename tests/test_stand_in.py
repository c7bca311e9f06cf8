"""The model that runs on a CPU in place of a generator's, from a model's own files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from vllm_ort import OrtEngine

from tests import hub
from tests.test_decoders import MODELS, REFERENCES, said
from tests.test_export import cosines
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.resolve import resolve
from tritonrepo.sources.stand_in import stand_in, wanted
from tritonrepo.spec.source import parse_source

AT = Span("s.yaml", 7, 3)


def model(place: Path, name: str = "qwen2", **config: object) -> Path:
    """Write a whole model: the reference's weights with a tokenizer of its 101 tokens."""
    shutil.copytree(REFERENCES / name, place)
    made = Tokenizer(models.WordLevel({f"t{n:03}": n for n in range(101)}, unk_token="t100"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens([AddedToken(f"t{n:03}") for n in (0, 1, 2)])
    made.post_processor = processors.TemplateProcessing(single="t000 $A", special_tokens=[("t000", 0)])
    made.enable_truncation(3)
    made.save(str(place / "tokenizer.json"))
    tokens = {"bos_token": "t000", "eos_token": "t002"}
    (place / "tokenizer_config.json").write_text(json.dumps(tokens), "utf-8")
    own = said(name, "config.json") | config
    (place / "config.json").write_text(json.dumps({k: v for k, v in own.items() if v is not None}), "utf-8")
    return place


def exported(place: Path, cache: Path) -> Path:
    source = parse_source(f"./{place.name}")
    files = resolve(source, "x86_64", Cache(cache), None, Span(str(place.parent / "s.yaml")), only=wanted(source)).files
    return stand_in(files, Cache(cache), AT, by_class=False)


@pytest.mark.parametrize("name", MODELS)
def test_a_models_own_files_run_on_a_cpu(name: str, tmp_path: Path) -> None:
    place = exported(model(tmp_path / "m", name), tmp_path / "cache")
    engine = OrtEngine(str(place), None)
    assert (engine.context_length, engine.eos_token_ids) == (128 if name == "llama-biased" else 64, frozenset({1, 2}))
    want = np.load(REFERENCES / name / "logits.npy")
    ids = said(name, "expected.json")["ids"]
    begun, state = engine.begin(" ".join(f"t{n:03}" for n in ids))
    assert begun == [0, *ids]
    state["total"] = 0
    got = [engine.feed(state, ids[:9]), *(engine.feed(state, [token]) for token in ids[9:])]
    assert cosines(np.array(got), want[8:]).min() > 0.995
    assert engine.decode(state, [5, 2, 6], skip_special=True) == "t005 t006"


def test_a_model_is_exported_once_and_again_if_its_files_change(tmp_path: Path) -> None:
    place = model(tmp_path / "m")
    first = exported(place, tmp_path / "cache")
    assert exported(place, tmp_path / "cache") == first
    (place / "generation_config.json").write_text('{"eos_token_id": [7, 2, 8]}', "utf-8")
    second = exported(place, tmp_path / "cache")
    assert second != first
    assert json.loads((second / "generation.json").read_text("utf-8")) == {
        "context_length": 64, "eos_token_ids": [2, 7, 8], "adds_bos": True, "bos_token_id": 0,
    }  # fmt: skip


def test_older_forms_of_the_config_give_the_same_graph(tmp_path: Path) -> None:
    """Before version 5, transformers had rope_theta and rope_scaling beside each other, and no layer_types."""
    newer = exported(model(tmp_path / "new", "llama"), tmp_path / "cache")
    stretched = dict(said("llama", "config.json")["rope_parameters"])
    base = stretched.pop("rope_theta")
    older = model(tmp_path / "old", "llama", rope_parameters=None, rope_theta=base, rope_scaling=stretched)
    assert (exported(older, tmp_path / "cache") / "model.onnx").read_bytes() == (newer / "model.onnx").read_bytes()
    layered = exported(model(tmp_path / "layered"), tmp_path / "cache")
    plain = exported(model(tmp_path / "plain", layer_types=None), tmp_path / "cache")
    assert (layered / "model.onnx").read_bytes() == (plain / "model.onnx").read_bytes()


def without(name: str) -> Callable[[Path], None]:
    return lambda place: (place / name).unlink()


def written(name: str, content: str) -> Callable[[Path], object]:
    return lambda place: (place / name).write_text(content, "utf-8")


def longer(place: Path) -> None:
    made = Tokenizer.from_file(str(place / "tokenizer.json"))
    made.add_tokens(["t101"])
    made.save(str(place / "tokenizer.json"))


def cut(place: Path) -> None:
    whole = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(whole[:-100])


INDEX = "model.safetensors.index.json"
WRONG: dict[str, tuple[dict[str, Any], Callable[[Path], object], str]] = {
    "another family": ({"model_type": "gemma2"}, str, "model_type is 'gemma2', but only llama, mistral, qwen2 and"),
    "another class": ({"architectures": ["Qwen2Model"]}, str, "architectures is ['Qwen2Model'], but it must be"),
    "code of its own": ({"auto_map": {"AutoModel": "x.Y"}}, str, "auto_map is "),
    "quantized": ({"quantization_config": {"bits": 4}}, str, "quantization_config is {'bits': 4}, which the exported"),
    "another activation": ({"hidden_act": "gelu"}, str, "hidden_act is 'gelu', which the exported decoder does not"),
    "positions scaled by yarn": (
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, str, "rotary positions are scaled by 'yarn', which",
    ),
    "positions scaled in an older form": (
        {"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, str, "are scaled by 'dynamic'",
    ),
    "a part that turns": ({"partial_rotary_factor": 0.5}, str, "partial_rotary_factor is 0.5, which the exported"),
    "a size in words": ({"hidden_size": "32"}, str, "hidden_size is '32', but it must be an integer above 0"),
    "no size": ({"intermediate_size": None}, str, "intermediate_size is missing, but it must be an integer above 0"),
    "a base of zero": ({"rope_parameters": {"rope_theta": 0}}, str, "rope_theta is 0, but it must be a number above 0"),
    "another width": ({"intermediate_size": 96}, str, "tensor blk.0.ffn_gate.weight has shape [64, 32], not [96, 32]"),
    "a layer more": ({"num_hidden_layers": 3, "layer_types": None}, str, "tensor blk.2.attn_norm.weight is missing"),
    "a layer less": ({"num_hidden_layers": 1, "layer_types": None}, str, "unexpected tensor blk.1.attn_k.bias, which"),
    "logits that are missing": ({"tie_word_embeddings": False}, str, "tensor output.weight is missing"),
    "heads that do not fit": ({"num_attention_heads": 3}, str, "hidden_size 32 cannot be split evenly into 3 heads"),
    "a config that is missing": ({}, without("config.json"), "model_type is None, but only"),
    "no weights": ({}, without("model.safetensors"), "neither a GGUF file nor model.safetensors"),
    "weights cut short": ({}, cut, "does not fit in the file"),
    "weights of no bytes": ({}, written("model.safetensors", ""), "the safetensors file is damaged or incomplete"),
    "an index of nothing": ({}, written(INDEX, "{}"), "index.json of the local model names no files"),
    "a shard that is missing": (
        {}, written(INDEX, '{"weight_map": {"a": "model-1.safetensors"}}'), "lacks model-1.safetensors, which its",
    ),
    "no tokenizer": ({}, without("tokenizer.json"), "the source has neither tokenizer.json nor a GGUF file"),
    "a tokenizer of more tokens": ({}, longer, "tokenizer has the token id 101, but the model only 101 tokens"),
}  # fmt: skip


@pytest.mark.parametrize(("config", "change", "says"), WRONG.values(), ids=WRONG)
def test_a_local_model_that_cannot_run_is_told_with_the_next_step(
    config: dict[str, Any], change: Callable[[Path], object], says: str, tmp_path: Path
) -> None:
    place = model(tmp_path / "m", **config)
    change(place)
    with pytest.raises(Stop) as stop:
        exported(place, tmp_path / "cache")
    (found,) = stop.value.diagnostics
    assert says in found.message
    assert found.hint
    assert not list((tmp_path / "cache").rglob("model.onnx"))


def test_a_model_without_an_end_is_refused(tmp_path: Path) -> None:
    place = model(tmp_path / "m", eos_token_id=None)
    (place / "tokenizer_config.json").write_text('{"bos_token": "t000"}', "utf-8")
    (place / "generation_config.json").unlink()
    with pytest.raises(Stop, match="the local model names no token that ends an answer"):
        exported(place, tmp_path / "cache")


def test_a_model_on_the_hub_runs_and_only_what_it_needs_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {path.name: path.read_bytes() for path in model(tmp_path / "m", "mistral").iterdir()}
    with hub.running() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        served.put("o/m", files | {"model.q4.gguf": b"x", "pytorch_model.bin": b"y"})
        source, cache = parse_source("hf://o/m"), Cache(tmp_path / "cache")
        found = resolve(source, "x86_64", cache, None, AT, only=wanted(source)).files
    assert not {"model.q4.gguf", "pytorch_model.bin", "logits.npy"} & found.keys()
    assert OrtEngine(str(stand_in(found, cache, AT, by_class=False)), None).context_length == 64


def test_of_a_model_on_the_hub_only_what_runs_is_fetched() -> None:
    assert wanted(parse_source("hf://o/m/x.gguf")) == ("*.gguf",)
    names = wanted(parse_source("hf://o/m"))
    assert {"config.json", "tokenizer.json", "tokenizer.model", "model.safetensors", "model-*.safetensors"} <= {*names}
    assert not any(name.endswith((".gguf", ".bin", ".pth")) for name in names)
