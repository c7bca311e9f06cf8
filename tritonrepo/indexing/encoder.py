"""An encoder as the server will run it: the same graph, tokenizer and limit, on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import uninstalled
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.indexing.passages import passages
from tritonrepo.spec.part import Encoding

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 32
SCORES = BATCH * 512**2
"""How many pairs of tokens a batch may have: a head's scores, in FP32, are the largest tensors of a graph."""


def load(files: EncoderFiles) -> Encoding:
    """Return the functions of an encoder; raise Stop if a package that it needs is not installed."""
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError as error:
        needs = "building a search index needs onnxruntime and tokenizers"
        raise uninstalled("onnx", needs, error) from None
    text = files.tokenizer.content().decode()
    whole, cut = Tokenizer.from_str(text), Tokenizer.from_str(text)
    whole.no_truncation()
    whole.no_padding()
    cut.enable_truncation(files.max_tokens)
    cut.enable_padding()
    prefix, room = files.prefixes.passage, files.max_tokens - whole.num_special_tokens_to_add(is_pair=False)
    session = onnxruntime.InferenceSession(str(files.onnx.path), providers=["CPUExecutionProvider"])

    def embed(texts: Sequence[str]) -> NDArray[Any]:
        import numpy as np

        parts = []
        for start in range(0, len(texts), BATCH):
            encodings = cut.encode_batch([prefix + text for text in texts[start : start + BATCH]])
            rows = max(1, SCORES // max(1, len(encodings[0].ids)) ** 2)
            for some in (encodings[first : first + rows] for first in range(0, len(encodings), rows)):
                feed = {name: _tokens(name, kind, some) for name, kind in files.inputs.items()}
                parts.append(session.run([files.output], feed)[0])
        return np.concatenate(parts)

    def count(text: str) -> int:
        return len(whole.encode(text, add_special_tokens=False).ids)

    def places(text: str, size: int, overlap: int) -> Iterator[tuple[int, int]]:
        return passages(text, whole, size, overlap, prefix)

    return Encoding(places, embed, count, room - (count(prefix) if prefix else 0))


def _tokens(name: str, kind: str, encodings: Sequence[Any]) -> NDArray[Any]:
    """Return an input of the graph, [texts, tokens], as the embedder's step makes it."""
    import numpy as np

    parts = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    rows = [getattr(e, parts[name]) if name in parts else range(len(e.ids)) for e in encodings]
    return np.array(rows, {"INT32": np.int32, "INT64": np.int64}[kind])
