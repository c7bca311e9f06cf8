"""How the logits of a cross-encoder become the score of a passage, by the model's own files and the stack file.

The files are those of sentence-transformers, sentence_transformers/cross_encoder/model.py (get_default_activation_fn,
_parse_model_config): the first that names an activation decides, and without one it is a sigmoid for a single label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Span, either, fatal

RULE = "source-reranker"
ACTIVATIONS = {"Sigmoid": "sigmoid", "Identity": "identity"}
"""The last words of torch's names, which the files hold."""

RELEVANT = ("relevant", "entailment", "yes", "true")
"""Names of labels that can only mean that the passage answers the query, in lower case."""


class Relevance(NamedTuple):
    """What is done with a pair's logits, and the number of the label that means relevance."""

    activation: str
    label: int


class Wanted(NamedTuple):
    """The keys of the stack file that decide about scores, each with its place; `source` is that of the model."""

    label: str | None
    activation: str | None
    label_at: Span
    activation_at: Span
    source: Span


def relevance(wanted: Wanted, names: Sequence[str], said: Mapping[str, Mapping[str, Any]]) -> Relevance:
    """Return what is done with logits of labels with these names; raise Stop if nothing says it.

    `said` are the model's own files, as far as it has them.
    """
    label = _label(wanted, names)
    if wanted.activation:
        if wanted.activation == "softmax" and len(names) == 1:
            message = "activation is softmax, but the model has a single label, whose share is always 1"
            raise fatal(RULE, wanted.activation_at, message, "Set activation to sigmoid or identity.")
        return Relevance(wanted.activation, label)
    name = next(_activations(said), "")
    if not name:
        return Relevance("sigmoid" if len(names) == 1 else "softmax", label)
    known = ACTIVATIONS.get(name.rpartition(".")[2]) if name.startswith("torch.") else None
    if known is None:
        message = f"the reranker's own files name the activation {name!r}, but only Sigmoid and Identity are known"
        raise fatal(RULE, wanted.source, message, "Set activation to sigmoid, identity or softmax.")
    return Relevance("softmax" if known == "identity" and len(names) > 1 else known, label)


def _activations(said: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the names of activations in the model's files, the one that decides first."""
    own, config = said.get("config_sentence_transformers.json", {}), said.get("config.json", {})
    inner = config.get("sentence_transformers")
    found = (
        own.get("activation_fn") if own.get("model_type") == "CrossEncoder" else None,
        inner.get("activation_fn") if isinstance(inner, Mapping) else None,
        config.get("sbert_ce_default_activation_function"),
    )
    yield from (str(name) for name in found if name)


def _label(wanted: Wanted, names: Sequence[str]) -> int:
    """Return the number of the label that means relevance; raise Stop if that is not clear."""
    if wanted.label is not None:
        matching = [number for number, name in enumerate(names) if wanted.label in {name, str(number)}]
        if len(matching) != 1:
            message = (
                f'the reranker has no label "{wanted.label}"' if not matching else f'"{wanted.label}" is two labels'
            )
            raise fatal(RULE, wanted.label_at, message, f"Set label to {either(_shown(names))}, or to its number.")
        return matching[0]
    if len(names) == 1:
        return 0
    clear = [number for number, name in enumerate(names) if name.casefold() in RELEVANT]
    if len(clear) != 1:
        message = (
            f"the reranker has {len(names)} labels, and it is not clear which one means that a passage is relevant"
        )
        raise fatal(RULE, wanted.source, message, f"Set label to {either(_shown(names))}, or to its number.")
    return clear[0]


def _shown(names: Sequence[str], most: int = 8, longest: int = 40) -> list[str]:
    return [name if len(name) <= longest else f"{name[:longest]}…" for name in names[:most]]
