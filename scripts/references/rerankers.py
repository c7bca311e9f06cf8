"""Write small rerankers with random weights, and what transformers and sentence-transformers compute with them.

    python -m scripts.references.rerankers

It needs torch, transformers and sentence-transformers, which tritonrepo does not. Each model is a directory as
sentence-transformers saves it, with `expected.npz`: the tokens, logits and scores of a few pairs, and the scores of 300
lists of passages. `texts.json` has the queries and passages, `versions.json` what computed all this.
"""

from __future__ import annotations

import json
import random
import shutil
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sentence_transformers
import tokenizers
import torch
import transformers
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).parents[2] / "tests" / "data" / "references" / "rerankers"
SEED = 20
LENGTH = 48
"""The models read pairs of at most this many tokens, so that some of the texts are cut."""

LISTS, SIZE = 300, 8
CLEAR = 1e-4
"""How far apart the scores of a list are at least: their order is then no matter of floating-point errors."""

SYLLABLES = ("ba", "ko", "ri", "tu", "ne", "sol", "mar", "vin")
ODD = ("", "Ünïcödé ça va", "日本語 text", "a" * 30, "ko ko ko ko ko ko", "ri. tu? ne!")

Texts = Mapping[str, list[str]]
Special = tuple[str, str, str, str, str]
BERT: Special = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")
ROBERTA: Special = ("<s>", "</s>", "<pad>", "<unk>", "<mask>")

SIZES: Mapping[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": LENGTH,
    "pad_token_id": 1,
}
AFTER = {**SIZES, "max_position_embeddings": LENGTH + 2, "type_vocab_size": 1}
"""Positions begin after the id of padding."""

MODERN = {
    **SIZES,
    "num_hidden_layers": 3,
    "local_attention": 8,
    "cls_token_id": 0,
    "bos_token_id": 0,
    "sep_token_id": 2,
    "eos_token_id": 2,
}
SMALL = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": LENGTH, "pad_token_id": 1}
LABELS = {0: "contradiction", 1: "entailment", 2: "neutral"}
ENTAILS = {"id2label": LABELS, "label2id": {name: number for number, name in LABELS.items()}}
BIASES = {"classifier_bias": True, "norm_bias": True}

MODELS: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    "bert": ("Bert", {**SIZES, "num_labels": 1}, ""),
    "bert-entailment": ("Bert", {**SIZES, **ENTAILS}, ""),
    "roberta": ("Roberta", {**AFTER, "num_labels": 1}, "Identity"),
    "xlm-roberta": ("XLMRoberta", {**AFTER, "num_labels": 2}, ""),
    "modernbert-cls": ("ModernBert", {**MODERN, "num_labels": 1, "classifier_pooling": "cls"}, ""),
    "modernbert-mean": ("ModernBert", {**MODERN, **BIASES, "num_labels": 1, "classifier_pooling": "mean"}, "Identity"),
    "distilbert": ("DistilBert", {**SMALL, "num_labels": 1}, ""),
}
"""The beginning of the names in transformers, the config, and the activation that sentence-transformers is told."""


def texts() -> dict[str, list[str]]:
    """Return queries and passages: some empty, some longer than a model reads, some of other scripts."""
    chance = random.Random(SEED)

    def words(count: int) -> str:
        return " ".join("".join(chance.choices(SYLLABLES, k=2)) for _ in range(count))

    queries = [*(words(chance.randint(1, 4)) for _ in range(14)), words(30), ""]
    passages = [*(words(chance.randint(1, 8)) for _ in range(50)), *(words(40) for _ in range(4)), *ODD]
    return {"queries": queries, "passages": passages}


def tokenizer(special: Special, *, typed: bool) -> PreTrainedTokenizerFast:
    """Return a tokenizer of letters and syllables, with the pairs of BERT or those of RoBERTa."""
    first, last, padding, unknown, mask = special
    pieces = [*SYLLABLES, *string.ascii_lowercase, *string.digits, ".", "?", "!"]
    listed = [first, padding, last, unknown, mask, *pieces, *(f"##{piece}" for piece in pieces)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(listed))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = (last, vocabulary[last]), (first, vocabulary[first])
    bert = special == BERT
    made.post_processor = processors.BertProcessing(*ends) if bert else processors.RobertaProcessing(*ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        cls_token=first,
        sep_token=last,
        pad_token=padding,
        unk_token=unknown,
        mask_token=mask,
        model_max_length=LENGTH,
        model_input_names=["input_ids", *(["token_type_ids"] if typed else []), "attention_mask"],
    )


def scored(model: CrossEncoder, pairs: list[tuple[str, str]]) -> NDArray[Any]:
    """Return the scores of pairs by sentence-transformers: of several labels, the share of the second."""
    said = model.predict([list(pair) for pair in pairs], batch_size=16, apply_softmax=True)
    scores = np.asarray(said, np.float32)
    return scores if scores.ndim == 1 else scores[:, 1]


def lists(model: CrossEncoder, said: Texts) -> dict[str, NDArray[Any]]:
    """Return queries [300], passages [300, 8] and their scores, of which those of a list are clearly different."""
    pairs = [(query, passage) for query in said["queries"] for passage in said["passages"]]
    table = scored(model, pairs).reshape(len(said["queries"]), -1)
    chance = random.Random(SEED)
    queries, rows = [], []
    while len(rows) < LISTS:
        query, own = chance.randrange(len(said["queries"])), chance.sample(range(len(said["passages"])), SIZE)
        if np.diff(np.sort(table[query, own])).min() > CLEAR:
            queries.append(query)
            rows.append(own)
    asked, chosen = np.array(queries, np.int16), np.array(rows, np.int16)
    return {"list_queries": asked, "list_passages": chosen, "list_scores": table[asked[:, None], chosen]}


def expected(model: CrossEncoder, said: Texts) -> dict[str, NDArray[Any]]:
    """Return everything that a test compares."""
    chance = random.Random(SEED + 1)
    queries = [*chance.sample(range(14), 6), 14, 14, 15]
    passages = [*chance.sample(range(50), 3), 50, 54, 55, 51, 3, 56]
    pairs = [(said["queries"][one], said["passages"][other]) for one, other in zip(queries, passages, strict=True)]
    features = model.preprocess([list(pair) for pair in pairs])
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in features]
    with torch.no_grad():
        logits = model.model(**{name: features[name] for name in names}).logits
    return {
        "queries": np.array(queries),
        "passages": np.array(passages),
        **{name: features[name].numpy().astype(np.int16) for name in names},
        "logits": logits.numpy(),
        "scores": scored(model, pairs),
        **lists(model, said),
    }


def classifier(name: str, said: Texts) -> None:
    """Write a cross-encoder."""
    family, fields, activation = MODELS[name]
    words = tokenizer(ROBERTA if "Roberta" in family else BERT, typed=family == "Bert")
    torch.manual_seed(SEED)
    config = getattr(transformers, f"{family}Config")(vocab_size=len(words), initializer_range=0.4, **fields)
    place = ROOT / name
    getattr(transformers, f"{family}ForSequenceClassification")(config).save_pretrained(place)
    words.save_pretrained(place)
    model = CrossEncoder(
        str(place), activation_fn=getattr(torch.nn, activation)() if activation else None, device="cpu"
    )
    model.save_pretrained(str(place), create_model_card=False)
    np.savez_compressed(place / "expected.npz", **expected(model, said))


def late(said: Texts) -> None:
    """Write an encoder, and for each query and passage the mean of the best cosines of the query's tokens."""
    words, place = tokenizer(BERT, typed=True), ROOT / "late"
    torch.manual_seed(SEED)
    config = transformers.BertConfig(vocab_size=len(words), initializer_range=0.4, **SIZES)
    encoder = transformers.BertModel(config).eval()
    encoder.save_pretrained(place)
    words.save_pretrained(place)

    def vectors(text: str) -> torch.Tensor:
        with torch.no_grad():
            found = encoder(**words(text, return_tensors="pt", truncation=True)).last_hidden_state[0]
        return torch.nn.functional.normalize(found, dim=-1)

    asked, found = ([vectors(each) for each in said[name]] for name in ("queries", "passages"))
    scores = [[float((one @ other.T).max(dim=1).values.mean()) for other in found] for one in asked]
    np.savez_compressed(place / "expected.npz", scores=np.array(scores, np.float32))


def main() -> None:
    """Write everything anew."""
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(parents=True)
    said = texts()
    (ROOT / "texts.json").write_text(json.dumps(said, ensure_ascii=False, indent=0) + "\n", "utf-8")
    versions = {each.__name__: each.__version__ for each in (torch, transformers, sentence_transformers, tokenizers)}
    (ROOT / "versions.json").write_text(json.dumps(versions, indent=1) + "\n", "utf-8")
    for name in MODELS:
        classifier(name, said)
    late(said)


if __name__ == "__main__":
    main()
