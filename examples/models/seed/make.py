"""Write the small model files of the two repositories: `python examples/models/seed/make.py`. It needs `onnx`."""

from __future__ import annotations

import io
import pickle
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
WORDS, WIDTH = 64, 8
EPOCH = (1980, 1, 1, 0, 0, 0)


def weights(*shape: int) -> np.ndarray:
    """Return weights that are the same on every machine."""
    return (np.sin(np.arange(np.prod(shape), dtype=np.float64)) / 4).astype(np.float32).reshape(shape)


def encoder(*, pooled: bool) -> bytes:
    """Return a graph that looks up a vector for each token; pooled: their mean, of length 1."""
    ids = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in INPUTS]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["vectors" if pooled else "last_hidden_state"])]
    shape = ["batch", "tokens", WIDTH]
    if pooled:
        shape = ["batch", WIDTH]
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
            helper.make_node("Mul", ["vectors", "column"], ["counted"]),
            helper.make_node("ReduceSum", ["counted", "tokens_axis"], ["sum"], keepdims=0),
            helper.make_node("LpNormalization", ["sum"], ["embedding"], axis=1, p=2),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["attention_mask"], ["unused"]))
    output = helper.make_tensor_value_info("embedding" if pooled else "last_hidden_state", TensorProto.FLOAT, shape)
    constants = {"table": weights(WORDS, WIDTH)}
    if pooled:
        constants |= {"last": np.array([-1], np.int64), "tokens_axis": np.array([1], np.int64)}
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "encoder", ids, [output], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


INPUTS = ("input_ids", "attention_mask")


class Storage(str):
    """The name of a storage in the archive, which torch keeps outside the pickle."""

    __slots__ = ()


class Reference:
    """A class or function of torch that the pickle names: torch itself is not needed to write it."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class TorchPickler(pickle.Pickler):
    """Writes what `torch.save` writes for plain tensors."""

    def persistent_id(self, value: object) -> object:
        """Return what stands for a storage."""
        return ("storage", FLOATS, str(value), "cpu", WORDS) if isinstance(value, Storage) else None


def stand_in(module: str, name: str, *, function: bool = False) -> type:
    """Return an object that is pickled by this name, and put it where pickle looks for it."""
    home = sys.modules.setdefault(module, types.ModuleType(module))
    made = type(name, (), {"__module__": module, "__qualname__": name})
    if function:
        made = lambda *_: None  # noqa: E731  pickled by name alone
        made.__module__, made.__qualname__, made.__name__ = module, name, name
    setattr(home, name, made)
    return made


FLOATS = stand_in("torch", "FloatStorage")
REBUILD = stand_in("torch._utils", "_rebuild_tensor_v2", function=True)
ORDERED = __import__("collections").OrderedDict


class Tensor:
    """A tensor of WORDS rows of one column, in the storage named "0"."""

    def __reduce__(self) -> tuple[object, ...]:
        """Return the call that makes it."""
        return REBUILD, (Storage("0"), 0, (WORDS, 1), (1, 1), False, ORDERED())


def pickled(value: object) -> bytes:
    """Return the pickle of a value in the protocol that torch uses."""
    text = io.BytesIO()
    TorchPickler(text, 2).dump(value)
    return text.getvalue()


def archive(files: dict[str, bytes]) -> bytes:
    """Return an archive in torch's form: nothing is compressed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, data in files.items():
            packed.writestr(zipfile.ZipInfo(f"reranker/{name}", EPOCH), data)
    return content.getvalue()


CODE = b"""class Reranker(Module):
  __parameters__ = ["weight", ]
  __buffers__ = []
  weight : Tensor
  training : bool
  _is_full_backward_hook : Optional[bool]
  def forward(self: __torch__.Reranker,
    input_ids: Tensor,
    attention_mask: Tensor) -> Tensor:
    weight = self.weight
    _0 = torch.embedding(weight, input_ids)
    _1 = torch.mul(_0, torch.unsqueeze(attention_mask, -1))
    return torch.sum(_1, [1])
"""


def state_dict() -> bytes:
    """Return what `torch.save(model.state_dict(), ...)` writes: weights without the code of a model."""
    data = pickled(ORDERED({"score.weight": Tensor()}))
    return archive({"data.pkl": data, "byteorder": b"little", "data/0": weights(WORDS).tobytes(), "version": b"3\n"})


def torchscript() -> bytes:
    """Return what `torch.jit.save` writes for a module with this code and weight."""
    reranker = stand_in("__torch__", "Reranker")
    module = reranker()
    module.__dict__.update({"weight": Tensor(), "training": False, "_is_full_backward_hook": None})
    return archive(
        {
            "data/0": weights(WORDS).tobytes(),
            "data.pkl": pickled(module),
            "code/__torch__.py": CODE,
            "constants.pkl": pickled(()),
            "version": b"3\n",
            "byteorder": b"little",
        }
    )


if __name__ == "__main__":
    FILES = {
        "repository/embedding-model/1/model.onnx": encoder(pooled=False),
        "repository/reranker/1/model.pt": state_dict(),
        "repaired/embedding-model/1/model.onnx": encoder(pooled=True),
        "repaired/reranker/1/model.pt": torchscript(),
    }
    for path, content in FILES.items():
        (HERE / path).write_bytes(content)
