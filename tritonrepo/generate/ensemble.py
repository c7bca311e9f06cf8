"""A pipeline as a Triton ensemble: one config.pbtxt whose steps pin the versions that they call."""

from __future__ import annotations

from tritonrepo.generate import config
from tritonrepo.generate.config import Tensor, Tensors
from tritonrepo.generate.draft import Draft
from tritonrepo.generate.roles.generator import CONTROLS
from tritonrepo.pbtxt.printer import Message
from tritonrepo.spec.stack import Ensemble
from tritonrepo.tree import of_bytes

FOUND = ("passages", "ids", "scores")


def add(draft: Draft, name: str, ensemble: Ensemble) -> None:
    """Add the ensemble. Its version directory holds `.keep`: object stores have no empty directories."""
    embedder, retriever, *generator = ensemble.chain
    steps = [
        _step(draft, embedder, {"text": "query"}, {"embedding": "query_embedding"}),
        _step(
            draft,
            retriever,
            {"embedding": "query_embedding"},
            {tensor: tensor for tensor in FOUND if not generator or tensor == "passages"},
        ),
    ]
    steps += _answer(draft, generator[0]) if generator else []
    outputs = (
        (Tensor("answer", "STRING", (-1,)),)
        if generator
        else (Tensor("ids", "STRING", (-1,)), Tensor("passages", "STRING", (-1,)), Tensor("scores", "FP32", (-1,)))
    )
    tensors = Tensors((Tensor("query", "STRING", (1,)), *(CONTROLS if generator else ())), outputs)
    version = draft.number(name, {".keep": of_bytes(b"")})
    draft.configure(name, config.config(name, "ensemble", version, 0, tensors, ensemble_scheduling={"step": steps}))


def _answer(draft: Draft, generator: str) -> list[Message]:
    """Give the two steps from passages to an answer; controls pass through the prompt step, which has the defaults."""
    controls = [tensor.name for tensor in CONTROLS]
    chosen = {control: f"chosen_{control}" for control in controls}
    return [
        _step(
            draft,
            f"{generator}_prompt",
            {"query": "query", "passages": "passages"} | {control: control for control in controls},
            {"prompt": "prompt"} | chosen,
        ),
        _step(draft, generator, {"text_input": "prompt"} | chosen, {"text_output": "answer"}),
    ]


def _step(draft: Draft, model: str, inputs: dict[str, str], outputs: dict[str, str]) -> Message:
    return config.ensemble_step(model, draft.pinned(model), inputs, outputs)
