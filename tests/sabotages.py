"""Sabotages of a served RAG: each is done to the directory of one model, and one check must fail and name the cause.

Some are tried by test_sabotage.py, all of them by `benchmarks.soak.sabotages`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.test_export import encoder
from tests.test_smoke import edit
from tritonrepo.export.heads import Pool, Pooling
from tritonrepo.export.weights import safetensors

Damage = Callable[[Path, Path], None]
"""What is done to a version directory, with the weights of the embedder at hand."""


class Sabotage(NamedTuple):
    """The model, what is done to its version directory, the check that must fail, and the words that name the cause.

    `asked` is the model whose check fails if it is another one: what calls a graph that has no reference. `options` are
    those of `smoke`.
    """

    model: str
    damage: Damage
    check: str
    cause: str
    asked: str = ""
    options: tuple[str, ...] = ()

    @property
    def blamed(self) -> tuple[str, str]:
        """Model and check of the failure."""
        return self.asked or self.model, self.check


def file(name: str, *changes: tuple[str, str]) -> Damage:
    """Return the damage to a file of the version: each text replaced by another."""
    swaps = [(re.escape(old), new.replace("\\", r"\\")) for old, new in changes]
    return lambda version, _: edit(version / name, *swaps)


def step(*changes: tuple[str, str]) -> Damage:
    """Return the damage to a model's code."""
    return file("model.py", *changes)


def config(*changes: tuple[str, str]) -> Damage:
    """Return the damage to a model's config."""
    return file("../config.pbtxt", *changes)


def every(*damages: Damage) -> Damage:
    """Return several damages as one."""

    def damage(version: Path, weights: Path) -> None:
        for each in damages:
            each(version, weights)

    return damage


def graph(pool: str, *, normalize: bool) -> Damage:
    """Return the damage done by another export of the same weights."""

    def damage(version: Path, weights: Path) -> None:
        config = json.loads((weights / "config.json").read_text("utf-8"))
        pooling = Pooling(Pool(pool), normalize=normalize)
        made = encoder(config, safetensors(weights / "model.safetensors"), pooling)
        (version / "model.onnx").unlink()
        (version / "model.onnx").write_bytes(made)

    return damage


def other_documents(version: Path, _: Path) -> None:
    """Put an index of other documents in the place of the right one."""
    rows = np.random.default_rng(1).normal(size=np.load(version / "embeddings.npy").shape).astype(np.float32)
    lines = [json.dumps({"id": f"kb-{n}", "text": f"Article {n} of another handbook."}) for n in range(len(rows))]
    for name in ("embeddings.npy", "passages.jsonl"):
        (version / name).unlink()
    np.save(version / "embeddings.npy", rows / np.linalg.norm(rows, axis=1, keepdims=True))
    (version / "passages.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def stale(version: Path, _: Path) -> None:
    """Leave vectors from before a document was put first: each belongs to the passage before."""
    rows = np.load(version / "embeddings.npy")
    (version / "embeddings.npy").unlink()
    np.save(version / "embeddings.npy", np.roll(rows, 1, axis=0))


FOUND = "scores = np.take_along_axis(scores, best, axis=1)"
BEST = "best = np.array([highest(row, self.top_k) for row in scores])"
KEPT = "sources = given.sources[:count]"
TEXTS = 'passages = [source["text"] for source in sources]'
SYSTEM = 'system = [{"role": "system", "content": given.system}] if given.system else []'
LISTS = "found = {name: np.take_along_axis(array, best, axis=-1) for name, array in lists.items()}"
ORDER = 'best = np.argsort(-table, axis=-1, kind="stable")[..., :top_k]'
GIVEN = "[text for own in texts for text in own]"
VECTOR = "rows[end - len(own) : end]"
PIECE = "for piece in pieces:"
ROWS = "for row in rows]"
MADE = 'pb_utils.Tensor("prompt", np.array([prompt.encode()], dtype=object))'
ENDS = "asked.sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)"
FINDS = 'queries = [pb_utils.get_input_tensor_by_name(r, "embedding").as_numpy() for r in requests]'
SHORT = ("--timeout", "6")


def vector(change: str) -> Damage:
    """Return the damage to the vectors of an embedder: a Python expression of them, `v`."""
    return step((VECTOR, f"(lambda v: {change} if v.dtype == np.float32 else v)({VECTOR})"))


def slow(condition: str) -> Damage:
    """Return the damage to a search that takes 9 s under a condition on its `queries`."""
    return step((FINDS, f"{FINDS}; {condition} and __import__('time').sleep(9)"))


MEANING = {
    "the worst passages after the best": Sabotage(
        "retriever",
        step((BEST, 'best = np.argsort(-scores, axis=1, kind="stable")[:, [0, *range(1 - self.top_k, 0)]]')),
        "search",
        '" at place 2 of 8, with a score of ',
    ),
    "one passage twice": Sabotage(
        "retriever",
        step((BEST, f"{BEST}; best[:, 1] = best[:, 0]")),
        "search",
        '" twice',
    ),
    "passages in the place of their ids": Sabotage(
        "retriever",
        step(("self.passages[best]", "SWAP"), ("self.ids[best]", "self.passages[best]"), ("SWAP", "self.ids[best]")),
        "search",
        "Check whether the outputs ids and passages are swapped.",
    ),
    "two passages in each other's place, with their ids": Sabotage(
        "retriever",
        step((FOUND, f"{FOUND}; best[:, [0, 3]] = best[:, [3, 0]]")),
        "search",
        '" at place 1 of 8, with a score of ',
    ),
    "a passage beside another's id": Sabotage(
        "retriever",
        step(("self.ids[best]", "self.ids[best[:, ::-1]]")),
        "search",
        "is not the stored one",
    ),
    "one passage fewer": Sabotage(
        "retriever",
        step((BEST, f"{BEST}; best[:, -1] = best[:, -2]")),
        "search",
        '" twice',
    ),
    "an index of other documents": Sabotage(
        "retriever",
        other_documents,
        "search",
        'returned the id "kb-',
    ),
    "an index of the same ids with other texts": Sabotage(
        "retriever",
        file("passages.jsonl", ('"text": "', '"text": "Revised. ')),
        "search",
        "is not the stored one",
    ),
    "rows of a search swapped between the requests of one batch": Sabotage(
        "retriever",
        step(("for q, end in zip(queries, ends)]", "for q, end in zip(queries, ends)][::-1]")),
        "at-once",
        "belongs to another request",
    ),
    "the first passage cut to 30 characters": Sabotage(
        "generator_prompt",
        step((TEXTS, 'passages = [source["text"][: None if n else 30] for n, source in enumerate(sources)]')),
        "prompt",
        "cuts passage 1 after 30 of its ",
    ),
    "passages dropped": Sabotage(
        "generator_prompt",
        step((KEPT, "sources: list[Source] = []")),
        "prompt",
        "lacks passage 1",
    ),
    "all passages dropped but the first": Sabotage(
        "generator_prompt",
        step((KEPT, "sources = given.sources[:1]")),
        "prompt",
        "lacks passage 2",
    ),
    "the system message dropped": Sabotage(
        "generator_prompt",
        step((SYSTEM, "system: list[Turn] = []")),
        "prompt",
        "lacks the system message",
    ),
    "rows of vectors swapped between the requests of one batch": Sabotage(
        "embedder",
        step(("for own, end in zip(texts, ends)", "for own, end in [*zip(texts, ends)][::-1]")),
        "at-once",
        "belongs to another request",
    ),
    "special tokens missing": Sabotage(
        "embedder",
        step((f"encode_batch({GIVEN})", f"encode_batch({GIVEN}, add_special_tokens=False)")),
        "reference",
        "with the stored one",
    ),
    "vectors that are not normalised": Sabotage(
        "embedder_model",
        graph("mean", normalize=False),
        "reference",
        "a vector has length",
        "embedder",
    ),
    "another pooling": Sabotage(
        "embedder_model",
        graph("cls", normalize=True),
        "reference",
        "with the stored one",
        "embedder",
    ),
}
"""What a server answers quickly and in the right form, but wrongly."""

RANKED = {
    "the metadata of another passage": Sabotage(
        "retriever",
        step(("self.metadata[best]", "self.metadata[best[:, ::-1]]")),
        "search",
        ", whose stored one is {",
    ),
    "the metadata of another passage, by the reranker": Sabotage(
        "reranker",
        step((LISTS, f'{LISTS}; found["metadata"] = found["metadata"][..., ::-1]')),
        "ranking",
        "with the metadata of another passage",
    ),
    "outputs of the reranker swapped": Sabotage(
        "reranker",
        step(('"passages": self.passages', '"passages": self.ids'), ('"ids": self.ids', '"ids": self.passages')),
        "ranking",
        "Check whether the outputs ids and passages are swapped.",
    ),
    "the reranker reversed, with its scores": Sabotage(
        "reranker",
        step(("table = np.array([pair", "table = -np.array([pair")),
        "ranking",
        "comes last in all of 8 lists",
    ),
    "the reranker reversed": Sabotage(
        "reranker",
        step((ORDER, ORDER.replace("-table", "table"))),
        "ranking",
        "not in descending order",
    ),
    "passages dropped by the reranker": Sabotage(
        "reranker",
        step((ORDER, ORDER.replace(":top_k", ": top_k - 1"))),
        "ranking",
        "of them, not ",
    ),
    "scores that belong to places": Sabotage(
        "reranker",
        step((LISTS, f'{LISTS}; found["scores"] = np.linspace(1, 0.5, top_k, dtype=np.float32) + 0 * found["scores"]')),
        "ranking",
        "the scores are the same in all of 8 lists",
    ),
}
"""The same of what belongs to a passage, and of a reranker."""

STREAMED = {
    "sources without the answer": Sabotage(
        "rag",
        step((PIECE, "for piece in []:")),
        "stream",
        "without any text",
    ),
    "an answer without the stream's end": Sabotage(
        "rag",
        step((ENDS, "pass")),
        "stream",
        "the stream's final flag did not arrive within 6 s",
        options=SHORT,
    ),
    "half a stream": Sabotage(
        "rag",
        step((PIECE, "for piece in [*pieces][:4]:")),
        "stream",
        "ends early",
    ),
    "an error inside a 200 stream": Sabotage(
        "rag",
        step(
            (
                PIECE,
                (
                    "for n, piece in enumerate(pieces):\n                    if n == 2:\n"
                    '                        raise RuntimeError("CUDA error: out of memory")'
                ),
            )
        ),
        "stream",
        "after 3 responses: CUDA error: out of memory",
    ),
    "chunks in the wrong order": Sabotage(
        "rag",
        step((PIECE, "for piece in [*pieces][::-1]:")),
        "stream",
        "in another order",
    ),
    "the metadata of another passage, in the sources": Sabotage(
        "rag",
        step(
            (
                "rows = zip(ids[:used], passages, scores, metadata)",
                "rows = zip(ids[:used], passages, scores, metadata[::-1])",
            )
        ),
        "stream",
        "does not have its stored",
    ),
    "citation numbers off by one": Sabotage(
        "rag",
        step((ROWS, "for row in (lambda each: [*each[1:], *each[:1]])([*rows])]")),
        "stream",
        "order",
    ),
    "sources in another order than in the prompt": Sabotage(
        "rag",
        step((ROWS, "for row in rows][::-1]")),
        "stream",
        "order",
    ),
}
"""What is wrong with a stream of the pipeline, and with its sources."""

FORMS = {
    "NaN": Sabotage(
        "embedder",
        vector("np.where(np.arange(384) == 7, np.nan, v).astype(np.float32)"),
        "reference",
        "output embedding is not finite: 1 of 384 values, first nan at index 7",
    ),
    "infinity": Sabotage("embedder", vector("v / np.float32(0)"), "reference", "output embedding is not finite: "),
    "a missing output": Sabotage(
        "retriever",
        step(('                pb_utils.Tensor("metadata", self.metadata[best]),\n', "")),
        "search",
        "the response lacks the declared output metadata",
    ),
    "an additional output": Sabotage(
        "retriever",
        every(
            config(("dynamic_batching", 'output { name: "debug" data_type: TYPE_FP32 dims: [ 8 ] }\ndynamic_batching')),
            step(
                (
                    'pb_utils.Tensor("scores", scores),',
                    'pb_utils.Tensor("scores", scores), pb_utils.Tensor("debug", scores),',
                )
            ),
        ),
        "config",
        "the server serves the output debug, which the repository does not have",
    ),
    "a wrong dtype": Sabotage(
        "embedder",
        vector("v.astype(np.float64)"),
        "reference",
        "output embedding is FP64, but the config declares FP32",
    ),
    "a wrong shape": Sabotage(
        "embedder",
        vector("v[:, :383].copy()"),
        "reference",
        "output embedding has shape [1, 383], but the config declares [1, 384]",
    ),
    "the batch dimension lost": Sabotage(
        "embedder",
        vector("v[0].copy() if len(v) == 1 else v"),
        "reference",
        "output embedding has shape [384], but the config declares [1, 384]",
    ),
    "an output of 10 MB": Sabotage(
        "embedder",
        vector("np.zeros((len(v), 2_600_000), np.float32)"),
        "reference",
        "output embedding has shape [1, 2600000], but the config declares [1, 384]",
    ),
    "a prompt of 10 MB": Sabotage(
        "generator_prompt",
        step((MADE, 'pb_utils.Tensor("prompt", np.array([(prompt + "x" * 10_000_000).encode()], dtype=object))')),
        "prompt",
        "which its templates do not produce",
    ),
}
"""What is wrong with the form of a response."""

SERVED = {
    "config drift": Sabotage(
        "embedder",
        config(("dynamic_batching { }", "dynamic_batching { max_queue_delay_microseconds: 250000 }")),
        "config",
        "dynamic_batching.max_queue_delay_microseconds: the repository says nothing, but the server serves 250000",
    ),
    "slow": Sabotage("retriever", slow("True"), "search", "no response arrived within 6 s", options=SHORT),
    "slow only at batch 8": Sabotage(
        "retriever",
        slow("sum(map(len, queries)) >= 8"),
        "search",
        "no response arrived within 6 s",
        options=SHORT,
    ),
}
"""What is wrong with how it is served."""

OWN = {
    "an index that is older than its passages": Sabotage("retriever", stale, "search", "with a score of"),
    "another tokenizer": Sabotage(
        "embedder",
        step(("encode_batch(texts)", "encode_batch([text[::-1] for text in texts])")),
        "reference",
        "with the stored one",
    ),
    "texts cut after 32 tokens": Sabotage(
        "embedder",
        file("settings.json", ('"max_tokens": 256', '"max_tokens": 32')),
        "reference",
        "with the stored one",
    ),
    "another prefix": Sabotage(
        "embedder",
        step(('"query": "", "passage": ""', '"query": "query: ", "passage": "passage: "')),
        "reference",
        "with the stored one",
    ),
    "one of three replicas is wrong": Sabotage(
        "embedder",
        step(
            (
                "ends = np.cumsum",
                (
                    "self.n, rows = getattr(self, 'n', 0) + 1, made['embedding']\n"
                    "        made['embedding'] = rows[:, ::-1].copy() if self.n % 3 == 0 else rows\n"
                    "        ends = np.cumsum"
                ),
            )
        ),
        "at-once",
        "responses are wrong",
    ),
    "the reranker reads another query": Sabotage(
        "rag",
        step(
            (
                "        given = ((name, tensors[tensor]) for",
                (
                    '        if self.model == "reranker":\n'
                    '            tensors = {**tensors, "query": of_text("How many models?")}\n'
                    "        given = ((name, tensors[tensor]) for"
                ),
            )
        ),
        "stream",
        "reranker",
    ),
    "the chat template of another model": Sabotage(
        "generator_prompt",
        file("settings.json", ("<|im_start|>' + message['role'] + '", "<|' + message['role'] + '|>")),
        "prompt",
        "which its templates do not produce",
    ),
    "a context of 100 tokens": Sabotage(
        "generator_prompt",
        file("settings.json", ('"max_context_tokens": 1500', '"max_context_tokens": 200')),
        "prompt",
        "lacks passage",
    ),
    "temperature ignored": Sabotage(
        "generator_prompt",
        step(('{**self.settings["sampling"], **own}', '{**self.settings["sampling"], **own, "temperature": 1}')),
        "prompt",
        "temperature",
    ),
    "max_tokens ignored": Sabotage(
        "generator_prompt",
        step(('{**self.settings["sampling"], **own}', '{**own, **self.settings["sampling"]}')),
        "prompt",
        "max_tokens",
    ),
    "earlier turns forgotten": Sabotage(
        "generator_prompt",
        step(("said = conversation(messages) if messages", "said = Conversation() if messages")),
        "prompt",
        "lacks the earlier turn",
    ),
    "the cached answer of another user": Sabotage(
        "rag",
        step(
            (
                "        with closing(self.pieces(asked)) as pieces:",
                (
                    '        key = bytes(tensors["query"].ravel()[0])[:12]\n'
                    "        kept = self.__dict__.setdefault('kept', {})\n"
                    "        if key not in kept:\n"
                    "            kept[key] = [*self.pieces(asked)]\n"
                    "        with closing(piece for piece in kept[key]) as pieces:"
                ),
            )
        ),
        "at-once",
        "responses are wrong",
    ),
}
"""What else a team suffers."""

SABOTAGES: dict[str, Sabotage] = {**MEANING, **RANKED, **STREAMED, **FORMS, **SERVED, **OWN}
