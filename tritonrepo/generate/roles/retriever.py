"""A retriever: NAME (python), exact search with NumPy over the vectors in its version directory."""

from __future__ import annotations

from tritonrepo.generate import config
from tritonrepo.generate.config import Tensor, Tensors
from tritonrepo.generate.draft import Draft, json_file, step
from tritonrepo.generate.inputs import Inputs
from tritonrepo.spec.stack import Batching, Embedder, Retriever, Stack


def add(draft: Draft, name: str, model: Retriever, stack: Stack, inputs: Inputs) -> None:
    """Add the model; k is top_k, or the number of passages where there are fewer."""
    index = inputs.indexes[name]
    count = min(model.top_k, index.rows)
    embedder = stack.models[model.embed_with]
    batching = embedder.batching if isinstance(embedder, Embedder) else Batching()
    content = {
        "model.py": step("retriever"),
        "settings.json": json_file({"top_k": count}),
        "embeddings.npy": index.embeddings,
        "passages.jsonl": index.passages,
    }
    outputs = (
        Tensor("passages", "STRING", (count,)),
        Tensor("ids", "STRING", (count,)),
        Tensor("scores", "FP32", (count,)),
    )
    draft.configure(
        name,
        config.config(
            name,
            "python",
            draft.number(name, content),
            batching.max_batch_size,
            Tensors((Tensor("embedding", "FP32", (inputs.encoders[model.embed_with].dimensions,)),), outputs),
            dynamic_batching={},
            instance_group=config.on_cpu(),
        ),
    )
