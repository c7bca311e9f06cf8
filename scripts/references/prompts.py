"""A small random encoder with prompts, saved by sentence-transformers, and its own vectors of queries and documents.

Written once into `tests/data/references/prompts`: a model directory, `onnx/model.onnx` as torch exports its encoder,
and `expected.json` with the texts, the vectors and the versions of what made them.

    pip install sentence-transformers onnx
    python scripts/references/prompts.py
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import tempfile
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

OUT = Path(__file__).parents[2] / "tests" / "data" / "references" / "prompts"
PROMPTS = {"query": "search_query: ", "document": "search_document: ", "clustering": "cluster: "}
LONGEST = 40
TEXTS = [
    "",
    " ",
    "What is a model repository?",
    "Ein Modell liegt in einem eigenen Verzeichnis.",
    "مرحبا بالعالم",
    "שלום עולם",
    "推論サーバーはモデルを読み込む。",
    "naïve café 🙂👩‍👩‍👧",
    "line\nbreak\ttab\u0000nul\u200bzero",
    "search_query: twice",
    "a" * 100,
    "one two three four five six seven eight nine ten eleven twelve",
]


def main() -> None:
    torch.manual_seed(5)
    with tempfile.TemporaryDirectory() as place:
        model = SentenceTransformer(modules=modules(Path(place)), prompts=PROMPTS, default_prompt_name="clustering")
        model.eval()
        shutil.rmtree(OUT, ignore_errors=True)
        model.save(str(OUT), create_model_card=False)
    (OUT / "onnx").mkdir()
    exported(model, OUT / "onnx" / "model.onnx")
    names = ("sentence-transformers", "transformers", "tokenizers", "torch")
    expected = {
        "versions": {name: importlib.metadata.version(name) for name in names},
        "texts": TEXTS,
        "query": model.encode_query(TEXTS).tolist(),
        "passage": model.encode_document(TEXTS).tolist(),
    }
    (OUT / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n", "utf-8")


def modules(place: Path) -> list[torch.nn.Module]:
    """Return the modules of a BERT of bytes with one layer, mean pooling and vectors of length 1."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate(["[PAD]", "[CLS]", "[SEP]", *alphabet])}
    tokenizer = Tokenizer(models.BPE(words, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=LONGEST
    )
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=LONGEST + 8,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(place)
    fast.save_pretrained(place)
    return [Transformer(str(place), max_seq_length=LONGEST), Pooling(16, "mean"), Normalize()]


class Tokens(torch.nn.Module):
    """The token vectors of a BERT."""

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.bert(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state


def exported(model: SentenceTransformer, path: Path) -> None:
    """Export the encoder with the names of optimum: token vectors as `last_hidden_state`."""
    names = ["input_ids", "attention_mask", "token_type_ids", "last_hidden_state"]
    torch.onnx.export(
        Tokens(model[0].auto_model),
        tuple(torch.ones(2, 5, dtype=torch.int64) for _ in names[:-1]),
        str(path),
        input_names=names[:-1],
        output_names=names[-1:],
        dynamic_axes={name: {0: "batch_size", 1: "sequence_length"} for name in names},
        opset_version=14,
        dynamo=False,
    )


if __name__ == "__main__":
    main()
