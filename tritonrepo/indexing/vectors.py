"""Passages to vectors through the graph that is deployed, on ONNX Runtime."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import fatal
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.indexing.documents import Document
from tritonrepo.tree import File, of_bytes, of_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 32


class Encoder:
    """The embedder as the server will run it: same graph, same tokenizer, same limit."""

    def __init__(self, files: EncoderFiles) -> None:
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            needs = "making a search index needs onnxruntime and tokenizers"
            raise fatal("extra-missing", "tritonrepo", needs, f"pip install 'tritonrepo[onnx]' ({error})") from None
        self.limit = files.max_tokens
        self.tokenizer = Tokenizer.from_str(files.tokenizer.content().decode())
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.special = self.tokenizer.num_special_tokens_to_add(is_pair=False)
        self.session = onnxruntime.InferenceSession(str(files.onnx.path), providers=["CPUExecutionProvider"])

    def split(self, document: Document) -> Iterator[Document]:
        """Give the document in passages that the embedder reads whole; `#2`, `#3` … follow the id of further ones."""
        offsets = self.tokenizer.encode(document.text, add_special_tokens=False).offsets
        size = self.limit - self.special
        starts = [0, *(offsets[i][0] for i in range(size, len(offsets), size))]
        ends = [*starts[1:], len(document.text)]
        for number, (start, end) in enumerate(zip(starts, ends, strict=True), 1):
            yield Document(document.id if number == 1 else f"{document.id}#{number}", document.text[start:end].strip())

    def embed(self, texts: list[str]) -> NDArray[Any]:
        """Give [len(texts), dimensions] FP32."""
        import numpy as np

        self.tokenizer.enable_truncation(self.limit)
        self.tokenizer.enable_padding()
        parts = []
        for start in range(0, len(texts), BATCH):
            encodings = self.tokenizer.encode_batch(texts[start : start + BATCH])
            feed = {
                "input_ids": np.array([e.ids for e in encodings], np.int64),
                "attention_mask": np.array([e.attention_mask for e in encodings], np.int64),
            }
            parts.append(self.session.run(["embedding"], feed)[0])
        return np.concatenate(parts)


def make(files: EncoderFiles, documents: list[Document]) -> tuple[File, File]:
    """Give the index of these documents: `embeddings.npy` FP32 [passages, dimensions], and `passages.jsonl`."""
    import numpy as np

    encoder = Encoder(files)
    passages = [passage for document in documents for passage in encoder.split(document)]
    for id_, count in Counter(passage.id for passage in passages).items():
        if count > 1:
            message = f'"{id_}" is the id of a document and of a further passage of a long one'
            raise fatal("index-documents", "index", message, "Rename the document.")
    vectors = encoder.embed([passage.text for passage in passages])
    if not np.isfinite(vectors).all():
        row = int(np.argmin(np.isfinite(vectors).all(axis=1)))
        raise fatal("index-vectors", "index", f'the embedder gives no finite vector for "{passages[row].id}"')
    buffer = io.BytesIO()
    np.save(buffer, vectors.astype(np.float32), allow_pickle=False)
    lines = [json.dumps({"id": p.id, "text": p.text}, ensure_ascii=False) for p in passages]
    return of_bytes(buffer.getvalue()), of_text("".join(f"{line}\n" for line in lines))
