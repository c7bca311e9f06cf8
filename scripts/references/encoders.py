"""Write small encoders with random weights, and what transformers and sentence-transformers compute with them.

    python -m scripts.references.encoders

It needs torch, transformers, sentence-transformers and safetensors, which tritonrepo does not. The weights are numbers
that FP16 holds exactly, stored as such and computed with in FP32. Each family's expected.safetensors has the last
hidden states of every text alone, one after the other, all without padding; texts.json has the texts as token ids.
"""

from __future__ import annotations

import json
import shutil
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import sentence_transformers
import tokenizers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

ROOT = Path(__file__).parents[2] / "tests" / "data" / "references" / "encoders"
HIDDEN, VOCABULARY = 32, 64
LENGTHS = (1, 2, 5, 9, 17, 41)
SIZES: Mapping[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 48,
}
TURNED: Mapping[str, Any] = {**SIZES, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "bert": ("BertModel", {**SIZES, "layer_norm_eps": 1e-3}),
    "roberta": ("RobertaForMaskedLM", {**SIZES, "type_vocab_size": 1, "pad_token_id": 1}),
    "xlm-roberta": ("XLMRobertaModel", {**SIZES, "type_vocab_size": 1, "pad_token_id": 1, "hidden_act": "gelu_new"}),
    "camembert": (
        "CamembertForMaskedLM",
        {**SIZES, "num_hidden_layers": 1, "type_vocab_size": 1, "pad_token_id": 1, "hidden_act": "relu"},
    ),
    "distilbert": (
        "DistilBertModel",
        {
            "vocab_size": VOCABULARY,
            "dim": HIDDEN,
            "hidden_dim": 48,
            "n_layers": 2,
            "n_heads": 4,
            "max_position_embeddings": 48,
        },
    ),
    "distilbert-masked": (
        "DistilBertForMaskedLM",
        {
            "vocab_size": VOCABULARY,
            "dim": 16,
            "hidden_dim": 24,
            "n_layers": 1,
            "n_heads": 2,
            "max_position_embeddings": 48,
            "activation": "relu",
        },
    ),
    "mpnet": ("MPNetModel", {**SIZES, "max_position_embeddings": 160}),
    "mpnet-masked": ("MPNetForMaskedLM", {**SIZES, "num_hidden_layers": 1}),
    "modernbert": ("ModernBertModel", {**TURNED, "num_hidden_layers": 4, "local_attention": 8}),
    "modernbert-biased": (
        "ModernBertForMaskedLM",
        {
            **TURNED,
            "local_attention": 5,
            "attention_bias": True,
            "mlp_bias": True,
            "norm_bias": True,
            "norm_eps": 1e-3,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 500.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 20.0},
            },
        },
    ),
    "qwen3": (
        "Qwen3ForCausalLM",
        {
            **TURNED,
            "num_key_value_heads": 2,
            "head_dim": 12,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
        },
    ),
    "qwen3-biased": ("Qwen3Model", {**TURNED, "num_key_value_heads": 4, "head_dim": 8, "attention_bias": True}),
    "qwen2": ("Qwen2ForCausalLM", {**TURNED, "num_key_value_heads": 1, "rms_norm_eps": 1e-3}),
}
OWN = "qwen3"
"""The family whose tokenizer puts a token after each text, as Qwen3-Embedding's does."""

MODULES: Mapping[str, tuple[str, Any]] = {
    "mean": ("bert", ["mean"]),
    "cls": ("bert", ["cls"]),
    "lasttoken": ("qwen3", ["lasttoken", "normalize"]),
    "max": ("bert", ["max"]),
    "mean_sqrt_len_tokens": ("distilbert", ["mean_sqrt_len_tokens"]),
    "weightedmean": ("mpnet", ["weightedmean"]),
    "all": ("bert", [("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"), "normalize"]),
    "two": ("modernbert", [("mean", "cls")]),
    "dense": ("bert", ["mean", ("dense", 12, True, "Tanh"), "normalize"]),
    "projections": (
        "mpnet",
        [
            ("cls", "mean"),
            "layer_norm",
            ("dense", 40, False, "Identity"),
            ("dense", 24, True, "ReLU"),
            ("dense", 24, True, "GELU"),
            ("dense", 8, True, "Sigmoid"),
            "layer_norm",
        ],
    ),
    "normalized twice": ("bert", ["mean", "normalize", ("dense", 6, True, "SiLU"), "normalize"]),
}
SENTENCES = ("w5", "w9 w7", "w21 w40 w8 w8 w30 w12", "w5 w63 w17", " ".join(f"w{n}" for n in range(5, 43)))


def texts(longest: int) -> list[list[int]]:
    """Return texts as ids of any token but padding."""
    rng = np.random.default_rng(7)
    lengths = [length for length in (*LENGTHS, 150) if length <= longest]
    return [[int(token) for token in rng.integers(2, VOCABULARY, length)] for length in lengths]


def randomize(model: torch.nn.Module, seed: int) -> None:
    """Set all weights to multiples of 1/256 that differ much from 0, and the scales of norms around 1."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            about = 1.0 if weight.ndim == 1 and name.endswith("weight") else 0.0
            spread = 0.6 if "embeddings" in name or "embed_tokens" in name else 0.3
            weight.copy_((torch.randn(weight.shape, generator=rng) * spread * 256).round() / 256 + about)


def halved(place: Path) -> None:
    """Rewrite a file of weights in FP16, and check that no number changed."""
    for path in place.rglob("model.safetensors"):
        stored = safetensors.numpy.load_file(path)
        halves = {name: weight.astype(np.float16) for name, weight in stored.items()}
        assert all(np.array_equal(halves[name], stored[name]) for name in stored)
        safetensors.numpy.save_file(halves, path)


def family(name: str, seed: int) -> None:
    """Write a model of a family, and its last hidden states of the texts that it has positions for."""
    architecture, settings = FAMILIES[name]
    made = getattr(transformers, architecture)
    model = made(made.config_class(**settings)).eval()
    randomize(model, seed)
    model.save_pretrained(ROOT / name)
    body = model.base_model
    rows = []
    for text in texts(150 if name == "mpnet" else 41):
        with torch.no_grad():
            rows.append(body(torch.tensor([text])).last_hidden_state[0].numpy())
    halved(ROOT / name)
    safetensors.numpy.save_file({"vectors": np.concatenate(rows)}, ROOT / name / "expected.safetensors")
    config = ROOT / name / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text("utf-8")), indent=1, sort_keys=True) + "\n", "utf-8")
    (ROOT / name / "generation_config.json").unlink(missing_ok=True)


def tokenizer(*, ends: bool) -> tokenizers.Tokenizer:
    """Return a tokenizer of whole words, which puts [CLS] and [SEP] around a text, or only an end after it."""
    words = ["<unk>", "<pad>", "<s>", "</s>", *(f"w{n}" for n in range(4, VOCABULARY))]
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    single = "$A </s>" if ends else "<s> $A </s>"
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single=single, special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    return made


def modules(source: Path, parts: Sequence[Any], seed: int) -> list[torch.nn.Module]:
    """Return a Transformer from `source`, and what follows it."""
    kinds = sentence_transformers.sentence_transformer.modules
    made: list[torch.nn.Module] = [kinds.Transformer(str(source), max_seq_length=40)]
    width = made[0].get_embedding_dimension()
    for part in parts:
        match part:
            case "normalize":
                made.append(kinds.Normalize())
            case "layer_norm":
                made.append(kinds.LayerNorm(width))
                randomize(made[-1], seed)
            case ("dense", out, bias, activation):
                made.append(kinds.Dense(width, out, bias=bias, activation_function=getattr(torch.nn, activation)()))
                randomize(made[-1], seed)
                width = out
            case pools:
                made.append(kinds.Pooling(width, pooling_mode=pools))
                width = made[-1].get_embedding_dimension()
    return made


def sentences(name: str, seed: int) -> None:
    """Write the modules of a sentence encoder, without its Transformer, and the embeddings of SENTENCES."""
    base, parts = MODULES[name]
    place = ROOT / "sentences" / name
    source = place.with_name(f"{name}.source")
    shutil.copytree(ROOT / base, source)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(ends=base == OWN), unk_token="<unk>", pad_token="<pad>", model_max_length=48
    ).save_pretrained(source)
    model = SentenceTransformer(modules=modules(source, parts, seed), device="cpu")
    vectors = np.stack([model.encode(text) for text in SENTENCES])
    model.save(str(place))
    shutil.rmtree(source)
    kept = {"modules.json", "sentence_bert_config.json"}
    for path in place.iterdir():
        if path.is_file() and path.name not in kept:
            path.unlink()
    halved(place)
    safetensors.numpy.save_file({"vectors": vectors}, place / "expected.safetensors")


def main() -> int:
    """Write everything anew."""
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(parents=True)
    for name in FAMILIES:
        family(name, seed=zlib.crc32(name.encode()))
    for name in MODULES:
        sentences(name, seed=zlib.crc32(name.encode()))
    for ends in (False, True):
        path = ROOT / ("tokenizer-ends.json" if ends else "tokenizer.json")
        path.write_text(json.dumps(json.loads(tokenizer(ends=ends).to_str())) + "\n", "utf-8")
    distances = torch.arange(-300, 301)
    facts = {
        "versions": {
            "python": sys.version.split()[0],
            **{m.__name__: m.__version__ for m in (torch, transformers, sentence_transformers, tokenizers, np)},
        },
        "texts": texts(150),
        "sentences": SENTENCES,
        "bases": {name: base for name, (base, _) in MODULES.items()},
        "mpnet_buckets": {
            "first": -300,
            "of": MPNetEncoder.relative_position_bucket(distances).tolist(),
        },
    }
    (ROOT / "facts.json").write_text(json.dumps(facts) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
