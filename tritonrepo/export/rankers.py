"""The heads of cross-encoders: token vectors → `logits` of a pair of texts.

The arithmetic is that of transformers: models/bert/modeling_bert.py (BertPooler,
BertForSequenceClassification), models/roberta/modeling_roberta.py (RobertaClassificationHead),
models/distilbert/modeling_distilbert.py (DistilBertForSequenceClassification) and
models/modernbert/modeling_modernbert.py (ModernBertPredictionHead, ModernBertForSequenceClassification).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Stop
from tritonrepo.export.bert import bert, roberta
from tritonrepo.export.distilbert import distilbert
from tritonrepo.export.encoder import Parse, parsed
from tritonrepo.export.family import Encoder, Shapes, pair
from tritonrepo.export.fields import is_count, stop, unlisted, unsupported
from tritonrepo.export.heads import Head, Pool, Pooling
from tritonrepo.export.layers import ACTIVATIONS, Layers
from tritonrepo.export.modernbert import modernbert

LOGITS = "logits"
DEFAULT_LABELS = 2
"""transformers, configuration_utils.py: the number of labels of a config that names none."""

MOST_LABELS = 1000

Add = Callable[[Layers, str], str]


@dataclass(frozen=True, slots=True)
class Classifier:
    """Token vectors → `logits` [batch, labels]; `last` is the name of the linear layer that gives them.

    `before` has the shapes of the other weights, and `features` adds what that layer reads, [batch, hidden].
    """

    labels: int
    last: str
    before: Callable[[int], Shapes]
    features: Add

    @property
    def output(self) -> str:
        """The name of the output."""
        return LOGITS

    def shapes(self, hidden: int) -> Mapping[str, tuple[int, ...]]:
        """Return the shapes of the head's own weights."""
        return {**self.before(hidden), **pair(self.last, self.labels, hidden)}

    def dims(self, hidden: int) -> Sequence[str | int]:  # noqa: ARG002  a head's
        """Return the dims of the output."""
        return ["batch", self.labels]

    def add(self, layers: Layers, x: str) -> str:
        """Add everything from the token vectors to the logits."""
        return layers.linear(self.features(layers, x), self.last)


def _first(layers: Layers, x: str) -> str:
    """Add the vector of the first token, [batch, hidden]."""
    return Pooling(Pool.CLS, normalize=False).add(layers, x)


def _bert(labels: int, _: Mapping[str, Any]) -> Head:
    def features(layers: Layers, x: str) -> str:
        return layers.graph.add("Tanh", layers.linear(_first(layers, x), "pooler.dense"))

    return Classifier(labels, "classifier", lambda hidden: pair("pooler.dense", hidden, hidden), features)


def _roberta(labels: int, _: Mapping[str, Any]) -> Head:
    def features(layers: Layers, x: str) -> str:
        return layers.graph.add("Tanh", layers.linear(_first(layers, x), "classifier.dense"))

    return Classifier(labels, "classifier.out_proj", lambda hidden: pair("classifier.dense", hidden, hidden), features)


def _distilbert(labels: int, _: Mapping[str, Any]) -> Head:
    def features(layers: Layers, x: str) -> str:
        return layers.activated(layers.linear(_first(layers, x), "pre_classifier"), "relu")

    return Classifier(labels, "classifier", lambda hidden: pair("pre_classifier", hidden, hidden), features)


def _modernbert(labels: int, config: Mapping[str, Any]) -> Head:
    pooling = Pooling(Pool(config.get("classifier_pooling", "cls")), normalize=False)
    activation = ACTIVATIONS[config.get("classifier_activation", "gelu")]
    epsilon = float(config.get("norm_eps", 1e-5))

    def before(hidden: int) -> Shapes:
        found = {**pair("head.dense", hidden, hidden), **pair("head.norm", hidden)}
        lacking = {name for field, name in MODERN_BIASES.items() if not config.get(field, False)}
        return {name: shape for name, shape in found.items() if name not in lacking}

    def features(layers: Layers, x: str) -> str:
        dense = layers.linear(pooling.add(layers, x), "head.dense")
        return layers.norm(layers.activated(dense, activation), "head.norm", epsilon)

    return Classifier(labels, "classifier", before, features)


MODERN_BIASES = {"classifier_bias": "head.dense.bias", "norm_bias": "head.norm.bias"}


def _modern_fields(config: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    """Yield what is wrong with the fields of a ModernBERT's head; those of its encoder are known to be right."""
    yield from unlisted(config, "classifier_pooling", ("cls", "mean"), at)
    yield from unlisted(config, "classifier_activation", ACTIVATIONS, at)
    if not isinstance(config.get("classifier_bias", False), bool):
        yield unsupported(config, "classifier_bias", "it must be true or false", at)


class _Kind(NamedTuple):
    """An architecture: the reader of its encoder's config, its head, and what is wrong with the fields of the head."""

    parse: Parse
    head: Callable[[int, Mapping[str, Any]], Head]
    refused: Callable[[Mapping[str, Any], str], Iterator[Diagnostic]] = lambda *_: iter(())


CLASSIFIERS: Mapping[str, _Kind] = {
    "BertForSequenceClassification": _Kind(bert, _bert),
    "RobertaForSequenceClassification": _Kind(roberta, _roberta),
    "XLMRobertaForSequenceClassification": _Kind(roberta, _roberta),
    "DistilBertForSequenceClassification": _Kind(distilbert, _distilbert),
    "ModernBertForSequenceClassification": _Kind(modernbert, _modernbert, _modern_fields),
}
"""The architectures of cross-encoders that can be exported."""


def classifier(config: Mapping[str, Any], at: str) -> tuple[Encoder, Head]:
    """Return encoder and head of a classifier's config.json; raise Stop for what the graph would not compute."""
    encoder = parsed(config, at, {name: kind.parse for name, kind in CLASSIFIERS.items()})
    kind = CLASSIFIERS[config["architectures"][0]]
    stop(kind.refused(config, at))
    return encoder, kind.head(len(labels(config, at)), config)


def labels(config: Mapping[str, Any], at: str) -> list[str]:
    """Return the names of the labels in the order of the logits, as transformers reads them from config.json."""
    names = config.get("id2label")
    if names is None:
        count = config.get("num_labels", DEFAULT_LABELS)
        if not is_count(count) or count > MOST_LABELS:
            raise Stop([unsupported(config, "num_labels", f"it must be an integer from 1 to {MOST_LABELS}", at)])
        return [f"LABEL_{number}" for number in range(count)]
    if not isinstance(names, dict) or sorted(names) != sorted(str(number) for number in range(len(names))) or not names:
        raise Stop([unsupported(config, "id2label", "it must name the labels 0, 1 and so on", at)])
    return [str(names[str(number)]) for number in range(len(names))]
