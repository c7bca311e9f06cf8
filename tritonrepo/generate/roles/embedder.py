"""An embedder: NAME (python; batches texts, tokenizes, calls) and NAME_model (onnxruntime; pools in the graph)."""

from __future__ import annotations

from tritonrepo.generate import config
from tritonrepo.generate.config import Tensor, Tensors
from tritonrepo.generate.draft import Draft, json_file, step, vendor
from tritonrepo.generate.inputs import Inputs
from tritonrepo.spec.stack import Embedder


def add(draft: Draft, name: str, model: Embedder, inputs: Inputs) -> None:
    """Add both models.

    Texts are batched before they are tokenized, since Triton joins only requests of equal shape: two token tensors of
    different length never share a batch, two texts always do.
    """
    encoder = inputs.encoders[name]
    graph = f"{name}_model"
    batching = model.batching
    output = (Tensor("embedding", "FP32", (encoder.dimensions,)),)
    tokens = (Tensor("input_ids", "INT64", (-1,)), Tensor("attention_mask", "INT64", (-1,)))
    version = draft.number(graph, {"model.onnx": encoder.onnx})
    draft.configure(
        graph,
        config.config(
            graph,
            "onnxruntime",
            version,
            batching.max_batch_size,
            Tensors(tokens, output),
            dynamic_batching={},
            instance_group=config.instance_group(model.instances),
        ),
    )
    content = {
        "model.py": step("embedder"),
        "calls.json": json_file({graph: version}),
        "settings.json": json_file({"max_tokens": encoder.max_tokens}),
        "tokenizer.json": encoder.tokenizer,
        **vendor(inputs.vendored, "tokenizers"),
    }
    draft.configure(
        name,
        config.config(
            name,
            "python",
            draft.number(name, content),
            batching.max_batch_size,
            Tensors((Tensor("text", "STRING", (1,)),), output),
            dynamic_batching=config.dynamic_batching(batching),
            instance_group=config.on_cpu(2),  # one tokenizes while the other waits for the graph
        ),
    )
