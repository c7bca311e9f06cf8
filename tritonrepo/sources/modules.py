"""The modules of a sentence-transformers model: what its modules.json and their directories say of pooling and after.

Sources: sentence-transformers 6.2, base/model.py for modules.json; sentence_transformer/modules/pooling.py and
layer_norm.py, base/modules/dense.py and normalize.py for what the directories have; util/deprecated_import.py: the last
part of a module's type is the same in old and new versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.diagnostics import Faults, Span, Stop, fatal
from tritonrepo.sources import encoder_files
from tritonrepo.sources.encoder_files import RULE, WEIGHTS, Files

if TYPE_CHECKING:
    from tritonrepo.export.heads import Pooling
    from tritonrepo.export.layers import Activation

LIST = "modules.json"
SETTINGS = "config_sentence_transformers.json"
FOLLOWS = ("Dense", "LayerNorm", "Normalize", "Dropout")
"""What can follow the pooling; Dropout does nothing in a trained model."""

KINDS = ("Transformer", "Pooling", *FOLLOWS)

POOLS: Mapping[str, str] = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weightedmean",
    "lasttoken": "last",
}
"""Ways of pooling as sentence-transformers and as the export name them, in the order in which they are concatenated."""

FLAGS: Mapping[str, str] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""The keys of older files, which are dropped where the new one is present (_convert_legacy_pooling_kwargs)."""

ACTIVATIONS: Mapping[str, Activation | None] = {
    "Identity": None,
    "Tanh": "tanh",
    "ReLU": "relu",
    "GELU": "gelu",
    "Sigmoid": "sigmoid",
    "SiLU": "silu",
}
DEFAULT_ACTIVATION = "torch.nn.modules.activation.Tanh"


class Module(NamedTuple):
    """A module: the last part of its type, and its directory in the source."""

    kind: str
    path: str


class Follower(NamedTuple):
    """A module after the pooling, from `width` values to `rows`; both are None if it takes any number and keeps it."""

    kind: str
    path: str
    width: int | None = None
    rows: int | None = None
    biased: bool = True
    activation: str = ""


class Sentence(NamedTuple):
    """How a sentence's vector is made of those of its tokens: `last` of `after` can be the scaling to length 1."""

    pools: tuple[str, ...]
    after: tuple[Follower, ...]

    @property
    def normalized(self) -> bool:
        """Whether vectors have length 1."""
        return bool(self.after) and self.after[-1].kind == "Normalize"

    def files(self) -> list[str]:
        """Return the names of the files with weights."""
        return [f"{part.path}/{WEIGHTS}" for part in self.after if part.kind != "Normalize"]


def listed(files: Files, at: Span) -> list[Module]:
    """Return the modules of the model's own list, which is empty for a model that has none.

    Raises Stop for one that the graph would omit.
    """
    said = encoder_files.parsed(files, LIST, at) or []
    if not isinstance(said, list) or not all(isinstance(module, dict) for module in said):
        raise fatal(RULE, at, f'"{LIST}" of the embedder\'s source is not a list of modules', encoder_files.AGAIN)
    modules = []
    for number, module in enumerate(said):
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        modules.append(Module(kind, str(module.get("path", f"{number}_{kind}" if number else "")).strip("/")))
    for number, (kind, _) in enumerate(modules):
        allowed = ("Transformer",) if number == 0 else ("Pooling",) if number == 1 else FOLLOWS
        if kind not in allowed and not (kind in FOLLOWS and number == 1):
            message = f'the embedder has a "{kind}" module, which cannot be exported'
            if kind in KINDS:
                message = f'the embedder has a "{kind}" module at index {number}, where it cannot be exported'
            hint = f"Use a model with a Transformer, a Pooling and, optionally, {', '.join(FOLLOWS[:3])} after it."
            raise fatal(RULE, at, message, hint)
    return modules


def sentence(modules: list[Module], files: Files, pooling: str | None, at: Span) -> Sentence:
    """Return what the modules make of an encoder's token vectors; `pooling` is the stack's, which overrides theirs.

    Raises Stop with all that is wrong with them.
    """
    faults = Faults()
    own = next((module.path for module in modules if module.kind == "Pooling"), "1_Pooling")
    none: tuple[str, ...] = ()
    pools = (pooling,) if pooling else faults.tried(lambda: _pools(files, f"{own}/config.json", at), none)
    follow = [module for module in modules if module.kind in ("Dense", "LayerNorm", "Normalize")]
    after = [faults.tried(partial(_follower, module, files, at), Follower(*module)) for module in follow]
    faults.stop()
    return Sentence(pools, tuple(after))


def normalized(sentence: Sentence, files: Files, at: Span, *, wanted: bool | None) -> bool:
    """Return whether vectors are scaled to length 1: as the stack wants, otherwise as the model's own files do.

    A search compares vectors by their dot product, which is the cosine of vectors of length 1. Raises Stop if the model
    compares them in another way (sentence-transformers, util/similarity.py, SimilarityFunction).
    """
    said = encoder_files.mapping(files, SETTINGS, at).get("similarity_fn_name")
    if wanted is not None or sentence.normalized or said in (None, "dot"):
        return sentence.normalized if wanted is None else wanted
    if said != "cosine":
        message = f"the embedder's own files compare vectors by {said!r}, but a search compares them by dot product"
        raise fatal(RULE, at, message, "Set `normalize: true` to compare them by cosine, or use another model.")
    return True


def width(sentence: Sentence, hidden: int, at: Span) -> int:
    """Return the number of a vector's values; raise Stop if a module takes another number than it is given."""
    given = hidden * len(sentence.pools)
    for part in sentence.after:
        if part.width not in (None, given):
            key = "dimension" if part.kind == "LayerNorm" else "in_features"
            message = f"{key} is {part.width}, but the module is given {given} values"
            raise _unsupported(f"{part.path}/config.json", message, at)
        given = part.rows or given
    return given


def _pools(files: Files, name: str, at: Span) -> tuple[str, ...]:
    """Read the ways of pooling from the module's own file, in the new form or in the older one."""
    said = encoder_files.mapping(files, name, at)
    modes = said.get("pooling_mode", [mode for flag, mode in FLAGS.items() if said.get(flag)])
    modes = [modes] if isinstance(modes, str) else modes
    others = [flag for flag, on in said.items() if flag.startswith("pooling_mode_") and on and flag not in FLAGS]
    if not isinstance(modes, list) or not modes or others or not all(str(mode) in POOLS for mode in modes):
        seen = ", ".join(map(str, [*modes, *others])) if isinstance(modes, list) and (modes or others) else "none"
        message = f"the embedder's own files must name a pooling that can be exported, not {seen}"
        raise fatal(RULE, at, message, "Set pooling to mean, cls or last.")
    if said.get("include_prompt") is False:
        message = "the embedder's own files leave prompts out of the pooling (include_prompt), which cannot be exported"
        raise fatal(RULE, at, message, "Use a model that pools all tokens.")
    return tuple(POOLS[str(mode)] for mode in modes)


def _follower(module: Module, files: Files, at: Span) -> Follower:
    """Read a module after the pooling; raise Stop for what the graph would not compute."""
    kind, path = module
    name = f"{path}/config.json"
    said = encoder_files.mapping(files, name, at)
    for key in ("module_input_name", "module_output_name"):
        if said.get(key) not in (None, "sentence_embedding"):
            raise _unsupported(name, f"{key} is {said[key]!r}, but it must be 'sentence_embedding'", at)
    if kind == "Normalize":
        return Follower(kind, path)
    if f"{path}/{WEIGHTS}" not in files:
        raise encoder_files.missing(files, f"{path}/{WEIGHTS}", at)
    if kind == "LayerNorm":
        return Follower(kind, path, _count(said, "dimension", name, at))
    width, rows = (_count(said, key, name, at) for key in ("in_features", "out_features"))
    biased = said.get("bias", True)
    if not isinstance(biased, bool):
        raise _unsupported(name, f"bias is {biased!r}, but it must be true or false", at)
    if said.get("use_residual"):
        raise _unsupported(name, "use_residual is set, which cannot be exported", at)
    return Follower(kind, path, width, rows, biased, _activation(said, name, at))


def _count(said: Mapping[str, Any], key: str, name: str, at: Span) -> int:
    count = said.get(key)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise _unsupported(name, f"{key} is {count!r}, but it must be an integer of at least 1", at)
    return count


def _activation(said: Mapping[str, Any], name: str, at: Span) -> str:
    function = said.get("activation_function", DEFAULT_ACTIVATION)
    kind = str(function).rsplit(".", 1)[-1]
    if not str(function).startswith("torch.nn.") or kind not in ACTIVATIONS:
        message = f"activation_function is {function!r}, but only {', '.join(ACTIVATIONS)} of torch.nn can be exported"
        raise _unsupported(name, message, at)
    return kind


def _unsupported(name: str, message: str, at: Span) -> Stop:
    return fatal(RULE, at, f"{name} of the embedder's source: {message}", "Use another model.")


def head(sentence: Sentence, files: Files, *, normalize: bool, at: Span) -> Pooling:
    """Return the head of the graph, with the weights of the modules; raise Stop if these have other shapes."""
    from tritonrepo.export.heads import Dense, Norm, Pool, Pooling, UnitLength

    after: list[Dense | Norm | UnitLength] = []
    for part in sentence.after[:-1] if sentence.normalized else sentence.after:
        match part.kind:
            case "Normalize":
                after.append(UnitLength())
            case "LayerNorm":
                scale, shift = _weights(part, files, {"norm.weight": (part.width,), "norm.bias": (part.width,)}, at)
                after.append(Norm(scale, shift))
            case _:
                bias_shape = {"linear.bias": (part.rows,)} if part.biased else {}
                weight, *bias = _weights(part, files, {"linear.weight": (part.rows, part.width), **bias_shape}, at)
                after.append(Dense(weight, bias[0] if bias else None, ACTIVATIONS[part.activation]))
    return Pooling(tuple(Pool(pool) for pool in sentence.pools), normalize, tuple(after))


def _weights(part: Follower, files: Files, shapes: Mapping[str, tuple[int | None, ...]], at: Span) -> list[Any]:
    """Return the weights of a module in FP32, in this order."""
    name = f"{part.path}/{WEIGHTS}"
    found = encoder_files.loaded(files, name)
    if {tensor: value.shape for tensor, value in found.items()} != dict(shapes):
        seen = ", ".join(f"{tensor} {list(value.shape)}" for tensor, value in found.items())
        needed = ", ".join(f"{tensor} {list(shape)}" for tensor, shape in shapes.items())
        message = f"{name} of the embedder's source must have {needed}, not {seen or 'nothing'}"
        raise fatal(RULE, at, message, "Use the config.json and the weights of the same model.")
    return [found[tensor].astype("float32", copy=False) for tensor in shapes]
