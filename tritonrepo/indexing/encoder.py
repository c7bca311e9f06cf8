"""An encoder as the server will run it: the same graph, tokenizer and limit, on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.cores import cores
from tritonrepo.diagnostics import uninstalled
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.indexing.passages import passages
from tritonrepo.spec.part import Encoding, nothing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

BATCH = 512
"""Tokens of a batch, with the padding: more at once take a core as long for each of them, and more memory."""

THREADS = 2
"""Threads of a batch, on any number of cores: the last bits of a vector depend on it. More of them are slower than as
many batches at once, but of very long texts only one fits in memory."""

SCORES = 32 * 512**2
"""How many pairs of tokens all batches at once may have: a head's scores, in FP32, are a graph's largest tensors."""

TURNS = 8
"""How often the lengths of the batches go from the longest to the shortest."""


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
    cut.no_padding()
    prefix, room = files.prefixes.passage, files.max_tokens - whole.num_special_tokens_to_add(is_pair=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other batches need the cores meanwhile
    session = onnxruntime.InferenceSession(str(files.onnx.path), options, providers=["CPUExecutionProvider"])

    def count(text: str) -> int:
        return len(whole.encode(text, add_special_tokens=False).ids)

    def places(text: str, size: int, overlap: int) -> Iterator[tuple[int, int]]:
        return passages(text, whole, size, overlap, prefix)

    return Encoding(places, _Embedding(files, cut, session).embed, count, room - (count(prefix) if prefix else 0))


class _Embedding(NamedTuple):
    """What makes vectors: the files of the encoder, its tokenizer, which truncates, and the session of its graph."""

    files: EncoderFiles
    tokenizer: Tokenizer
    session: InferenceSession

    def embed(self, texts: Sequence[str], told: Callable[[int], object] = nothing) -> NDArray[Any]:
        """Return the vectors of texts; after each batch, how many texts are done is told."""
        import numpy as np

        encodings = self.tokenizer.encode_batch([self.files.prefixes.passage + text for text in texts])
        vectors = np.empty((len(texts), self.files.dimensions), np.float32)
        batches, done, longest = _batches([*map(len, encodings)]), 0, max(map(len, encodings), default=1)
        pool = ThreadPoolExecutor(max(1, min(cores(), SCORES // max(1, longest) ** 2)))
        try:
            for rows, found in zip(batches, pool.map(partial(self._run, encodings), batches), strict=True):
                vectors[rows] = found
                done += len(rows)
                told(done)
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C waits for the batches that have begun, and for no others
        return vectors

    def _run(self, encodings: Sequence[Any], rows: Sequence[int]) -> NDArray[Any]:
        """Return the vectors of a batch."""
        some = [encodings[row] for row in rows]
        feed = {name: _tokens(name, kind, some) for name, kind in self.files.inputs.items()}
        found: NDArray[Any] = self.session.run([self.files.output], feed)[0]
        return found


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Return the texts of each batch: those of a similar length, so that little is padded.

    A vector's last bits depend on its batch, so batches must depend on the texts alone: not on the cores, for example.
    They take turns between long and short texts, so that what was done so far shows how long the rest will take.
    """
    order = sorted(range(len(lengths)), key=lambda text: -lengths[text])
    found = []
    while order:
        most = max(1, BATCH // max(1, lengths[order[0]]))
        found.append(order[:most])
        order = order[most:]
    return [batch for first in range(TURNS) for batch in found[first::TURNS]]


def _tokens(name: str, kind: str, encodings: Sequence[Any]) -> NDArray[Any]:
    """Return an input of the graph, [texts, tokens], as the embedder's step makes it."""
    import numpy as np

    parts = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    longest = max(map(len, encodings))
    made = np.zeros((len(encodings), longest), {"INT32": np.int32, "INT64": np.int64}[kind])
    if name not in parts:
        made[:] = np.arange(longest)
        return made
    for row, encoding in zip(made, encodings, strict=True):
        row[: len(encoding)] = getattr(encoding, parts[name])
    return made
