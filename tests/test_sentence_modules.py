"""Models as sentence-transformers saves them: what their modules compute, and weights in several files.

The references of sentence-transformers are tests/data/references/encoders, by scripts/references/encoders.py.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from tests.test_export import Array, session
from tests.test_export_families import FACTS, ROOT, batch
from tritonrepo.diagnostics import Severity, Span, Stop
from tritonrepo.export import graph
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.encoder import Wish, encoder
from tritonrepo.tree import File, on_disk

AT = Span("stack.yaml", 3, 5)
WISH = Wish("./w", None, None, None, {"source": AT, "max_tokens": AT})
SENTENCES = sorted(FACTS["bases"])
OWN = "qwen3"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache for all tests: a graph is exported once per what it depends on."""
    return Cache(tmp_path_factory.mktemp("cache"))


def write(place: Path, name: str) -> Path:
    """Write the model of this name as sentence-transformers saves it."""
    base = FACTS["bases"][name]
    shutil.copytree(ROOT / "sentences" / name, place)
    for file in ("config.json", "model.safetensors"):
        shutil.copy(ROOT / base / file, place / file)
    shutil.copy(ROOT / ("tokenizer-ends.json" if base == OWN else "tokenizer.json"), place / "tokenizer.json")
    return place


def files(place: Path) -> dict[str, File]:
    found = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return {path.relative_to(place).as_posix(): on_disk(path, path.stat().st_size) for path in found}


def made(place: Path, cache: Cache, **wishes: Any) -> EncoderFiles:  # noqa: ANN401  a value of the stack file
    return encoder(WISH._replace(**wishes), files(place), cache)


def refused(place: Path, cache: Cache) -> str:
    with pytest.raises(Stop) as stop:
        made(place, cache)
    (found,) = stop.value.diagnostics
    assert (found.severity, found.at, bool(found.hint)) == (Severity.FATAL, AT, True)
    return found.message


def kind(found: EncoderFiles) -> tuple[object, ...]:
    """Return what decides the vectors of an embedder."""
    return found.onnx.sha256, found.tokenizer.sha256, found.dimensions, found.max_tokens


def vectors(found: EncoderFiles, *, together: bool = True) -> Array:
    """Return the vectors of the reference's sentences, of one batch or of one batch each."""
    tokens = Tokenizer.from_str(found.tokenizer.content().decode())
    ids = [tokens.encode(text).ids for text in FACTS["sentences"]]
    assert found.onnx.path is not None
    model = session(found.onnx.path)
    batches = [ids] if together else [[text] for text in ids]
    return np.concatenate([model.run(["embedding"], batch(texts, 1, more=2 * together))[0] for texts in batches])


def expected(name: str) -> Array:
    return np.asarray(load_file(ROOT / "sentences" / name / "expected.safetensors")["vectors"])


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_has_the_embedding_of_sentence_transformers(name: str, kept: Cache, tmp_path: Path) -> None:
    found = made(write(tmp_path / "w", name), kept)
    want = expected(name)
    assert found.dimensions == want.shape[1]
    for together in (True, False):
        got = vectors(found, together=together)
        assert got.shape == want.shape
        assert np.abs(got - want).max() < 1e-4


def as_older(place: Path) -> None:
    """Rewrite the files as sentence-transformers before version 5 named things."""
    listed = json.loads((place / "modules.json").read_text("utf-8"))
    for module in listed:
        module["type"] = f"sentence_transformers.models.{module['type'].rsplit('.', 1)[-1]}"
    (place / "modules.json").write_text(json.dumps(listed), "utf-8")
    said = json.loads((place / "1_Pooling" / "config.json").read_text("utf-8"))
    modes = said["pooling_mode"] if isinstance(said["pooling_mode"], list) else [said["pooling_mode"]]
    old = {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens": "weightedmean",
        "pooling_mode_lasttoken": "lasttoken",
    }
    flags = {flag: mode in modes for flag, mode in old.items()}
    older = {"word_embedding_dimension": said["embedding_dimension"], **flags}
    (place / "1_Pooling" / "config.json").write_text(json.dumps(older), "utf-8")


@pytest.mark.parametrize("name", ["all", "dense", "lasttoken", "mean_sqrt_len_tokens", "weightedmean"])
def test_files_of_older_versions_say_the_same(name: str, kept: Cache, tmp_path: Path) -> None:
    """That includes the order in which several ways of pooling are concatenated, which the older flags do not have."""
    place = write(tmp_path / "w", name)
    newer = kind(made(place, kept))
    as_older(place)
    assert kind(made(place, kept)) == newer


def test_where_both_forms_are_there_the_new_one_counts(kept: Cache, tmp_path: Path) -> None:
    place = write(tmp_path / "w", "cls")
    newer = kind(made(place, kept))
    change(place / "1_Pooling/config.json", pooling_mode_mean_tokens=True)
    assert kind(made(place, kept)) == newer


def test_a_model_can_have_its_transformer_in_a_directory_of_its_own(kept: Cache, tmp_path: Path) -> None:
    place = write(tmp_path / "w", "mean")
    at_top = kind(made(place, kept))
    listed = json.loads((place / "modules.json").read_text("utf-8"))
    listed[0]["path"] = "0_Transformer"
    (place / "modules.json").write_text(json.dumps(listed), "utf-8")
    (place / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (place / name).rename(place / "0_Transformer" / name)
    assert kind(made(place, kept)) == at_top


def test_the_stacks_pooling_and_length_come_before_the_models_own(kept: Cache, tmp_path: Path) -> None:
    place = write(tmp_path / "w", "cls")
    assert np.abs(vectors(made(place, kept, pooling="mean")) - expected("mean")).max() < 1e-4
    dense = write(tmp_path / "d", "dense")
    lengths = np.linalg.norm(vectors(made(dense, kept, normalize=False)), axis=1)
    assert np.abs(lengths - 1).max() > 0.1
    scaled = vectors(made(dense, kept, normalize=False)) / lengths[:, None]
    assert np.abs(scaled - expected("dense")).max() < 1e-4


def test_only_the_last_scaling_to_length_1_is_the_stacks(kept: Cache, tmp_path: Path) -> None:
    place = write(tmp_path / "w", "normalized twice")
    plain = vectors(made(place, kept, normalize=False))
    scaled = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    assert np.abs(scaled - expected("normalized twice")).max() < 1e-4


def test_a_model_that_compares_by_cosine_has_vectors_of_length_1_for_a_search_by_dot_product(
    kept: Cache, tmp_path: Path
) -> None:
    place = write(tmp_path / "w", "mean")
    settings = place / "config_sentence_transformers.json"
    for said, scaled in ((None, False), ("dot", False), ("cosine", True)):
        settings.write_text(json.dumps({"similarity_fn_name": said}), "utf-8")
        lengths = np.linalg.norm(vectors(made(place, kept)), axis=1)
        assert bool(np.abs(lengths - 1).max() < 1e-5) is scaled, said
    assert np.abs(vectors(made(place, kept, normalize=False)) - expected("mean")).max() < 1e-4
    settings.write_text('{"similarity_fn_name": "euclidean"}', "utf-8")
    assert refused(place, kept) == (
        "the embedder's own files compare vectors by 'euclidean', but a search compares them by dot product"
    )
    assert np.abs(vectors(made(place, kept, normalize=False)) - expected("mean")).max() < 1e-4


LENGTHS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "the Transformer's": ({"max_seq_length": 9}, {"model_max_length": 12}, 9),
    "the tokenizer's, as of sentence-transformers 5.6": ({}, {"model_max_length": 12}, 12),
    "more than the positions": ({}, {"model_max_length": 1000000000000000019884624838656}, 48),
    "none": ({}, {}, 48),
    "no number": ({}, {"model_max_length": None}, 48),
}


@pytest.mark.parametrize(("own", "tokens", "limit"), LENGTHS.values(), ids=LENGTHS)
def test_texts_are_cut_where_the_model_says(
    own: dict[str, Any], tokens: dict[str, Any], limit: int, kept: Cache, tmp_path: Path
) -> None:
    place = write(tmp_path / "w", "mean")
    (place / "sentence_bert_config.json").unlink()
    (place / "sentence_distilbert_config.json").write_text(json.dumps(own), "utf-8")
    (place / "tokenizer_config.json").write_text(json.dumps(tokens), "utf-8")
    assert made(place, kept).max_tokens == limit


def test_a_model_that_reads_very_long_texts_is_bounded_unless_it_or_the_stack_says_how_long(
    kept: Cache, tmp_path: Path
) -> None:
    place = write(tmp_path / "w", "lasttoken")
    change(place / "config.json", max_position_embeddings=32768)
    (place / "tokenizer_config.json").write_text('{"model_max_length": 131072}', "utf-8")
    assert made(place, kept).max_tokens == 8192
    assert made(place, kept, max_tokens=20000).max_tokens == 20000
    change(place / "sentence_bert_config.json", max_seq_length=16384)
    assert made(place, kept).max_tokens == 16384


def change(path: Path, **changes: Any) -> None:  # noqa: ANN401  fields of a config
    """Change fields of a JSON file; `...` removes one."""
    said = json.loads(path.read_text("utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in said.items() if value is not ...}), "utf-8")


def reweigh(path: Path, **changes: Any) -> None:  # noqa: ANN401  arrays; ... removes one
    kept = load_file(path) | {name.replace("__", "."): value for name, value in changes.items()}
    save_file({name: value for name, value in kept.items() if value is not ...}, path)


def relisted(place: Path, *kinds: str) -> None:
    (place / "modules.json").write_text(json.dumps([{"type": f"x.{kind}"} for kind in kinds]), "utf-8")


DENSE = "2_Dense/config.json"
WEIGHTS = "2_Dense/model.safetensors"
WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "prompts that are not pooled": (
        lambda place: change(place / "1_Pooling/config.json", include_prompt=False),
        "the embedder's own files leave prompts out of the pooling (include_prompt), which cannot be exported",
    ),
    "another task": (
        lambda place: change(place / "sentence_bert_config.json", transformer_task="fill-mask"),
        (
            "\"sentence_bert_config.json\" of the embedder's source: transformer_task is 'fill-mask', "
            "but it must be 'feature-extraction' or missing"
        ),
    ),
    "another config than the file's": (
        lambda place: change(place / "sentence_bert_config.json", config_kwargs={"is_decoder": True}),
        (
            "\"sentence_bert_config.json\" of the embedder's source: config_kwargs is {'is_decoder': True}, "
            "but it must be {} or missing"
        ),
    ),
    "another activation": (
        lambda place: change(place / DENSE, activation_function="torch.nn.modules.activation.PReLU"),
        (
            f"{DENSE} of the embedder's source: activation_function is 'torch.nn.modules.activation.PReLU', "
            "but only Identity, Tanh, ReLU, GELU, Sigmoid, SiLU of torch.nn can be exported"
        ),
    ),
    "an activation of the model's own": (
        lambda place: change(place / DENSE, activation_function="own.Tanh"),
        (
            f"{DENSE} of the embedder's source: activation_function is 'own.Tanh', "
            "but only Identity, Tanh, ReLU, GELU, Sigmoid, SiLU of torch.nn can be exported"
        ),
    ),
    "another input": (
        lambda place: change(place / DENSE, module_input_name="token_embeddings"),
        (
            f"{DENSE} of the embedder's source: module_input_name is 'token_embeddings', "
            "but it must be 'sentence_embedding'"
        ),
    ),
    "another output of a scaling": (
        lambda place: change(place / "3_Normalize/config.json", module_output_name="x"),
        (
            "3_Normalize/config.json of the embedder's source: module_output_name is 'x', "
            "but it must be 'sentence_embedding'"
        ),
    ),
    "a residual": (
        lambda place: change(place / DENSE, use_residual=True),
        f"{DENSE} of the embedder's source: use_residual is set, which cannot be exported",
    ),
    "another width": (
        lambda place: change(place / DENSE, in_features=31),
        f"{DENSE} of the embedder's source: in_features is 31, but the module is given 32 values",
    ),
    "no width": (
        lambda place: change(place / DENSE, out_features=...),
        f"{DENSE} of the embedder's source: out_features is None, but it must be an integer of at least 1",
    ),
    "a flag that is none": (
        lambda place: change(place / DENSE, bias="no"),
        f"{DENSE} of the embedder's source: bias is 'no', but it must be true or false",
    ),
    "no weights": (
        lambda place: (place / WEIGHTS).rename(place / "2_Dense" / "pytorch_model.bin"),
        f'"{WEIGHTS}" is missing from the embedder\'s source',
    ),
    "weights of another shape": (
        lambda place: reweigh(place / WEIGHTS, linear__weight=np.ones((12, 31), "f4")),
        (
            f"{WEIGHTS} of the embedder's source must have linear.weight [12, 32], linear.bias [12], "
            "not linear.bias [12], linear.weight [12, 31]"
        ),
    ),
    "weights beyond the graph's": (
        lambda place: reweigh(place / WEIGHTS, residual__weight=np.ones(2, "f4")),
        (
            f"{WEIGHTS} of the embedder's source must have linear.weight [12, 32], linear.bias [12], "
            "not linear.bias [12], linear.weight [12, 32], residual.weight [2]"
        ),
    ),
    "a bias that the file says there is not": (
        lambda place: change(place / DENSE, bias=False),
        (
            f"{WEIGHTS} of the embedder's source must have linear.weight [12, 32], "
            "not linear.bias [12], linear.weight [12, 32]"
        ),
    ),
    "weights that are cut off": (
        lambda place: (place / WEIGHTS).write_bytes((place / WEIGHTS).read_bytes()[:-3]),
        "model.safetensors of the embedder's source: the safetensors file is damaged or incomplete: ",
    ),
    "pooling after pooling": (
        lambda place: relisted(place, "Transformer", "Pooling", "Pooling"),
        'the embedder has a "Pooling" module at index 2, where it cannot be exported',
    ),
    "no Transformer": (
        lambda place: relisted(place, "Pooling", "Dense"),
        'the embedder has a "Pooling" module at index 0, where it cannot be exported',
    ),
    "a directory outside": (
        lambda place: (place / "modules.json").write_text(
            (place / "modules.json").read_text("utf-8").replace("2_Dense", "../2_Dense"), "utf-8"
        ),
        '"../2_Dense/model.safetensors" is missing from the embedder\'s source',
    ),
}


@pytest.mark.parametrize(("spoil", "message"), WRONG.values(), ids=WRONG)
def test_what_the_graph_would_not_compute_is_refused(
    spoil: Callable[[Path], object], message: str, kept: Cache, tmp_path: Path
) -> None:
    place = write(tmp_path / "w", "dense")
    spoil(place)
    assert refused(place, kept).startswith(message)


def split(place: Path, **moved: str) -> Mapping[str, str]:
    """Divide a model's weights between two files with an index; `moved` are tensors that the index has elsewhere."""
    weights = load_file(place / "model.safetensors")
    (place / "model.safetensors").unlink()
    names = sorted(weights)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for name, tensors in halves.items():
        save_file({tensor: weights[tensor] for tensor in tensors}, place / name)
    index = {tensor: name for name, tensors in halves.items() for tensor in tensors} | moved
    (place / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}), "utf-8")
    return index


def test_weights_in_several_files_are_those_in_one(kept: Cache, tmp_path: Path) -> None:
    place = write(tmp_path / "w", "mean")
    whole = kind(made(place, kept))
    index = split(place)
    assert kind(made(place, kept)) == whole
    reweigh(place / index["embeddings.LayerNorm.bias"], embeddings__LayerNorm__bias=np.ones(32, "f4"))
    assert kind(made(place, kept)) != whole


def test_a_wish_for_fewer_bits_exports_what_fp32_would_make_too_large(
    kept: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = write(tmp_path / "w", "mean")
    weights = {name: (weight.astype("f4") / 3) for name, weight in load_file(place / "model.safetensors").items()}
    save_file(weights, place / "model.safetensors")
    whole = made(place, kept)
    monkeypatch.setattr(graph, "LARGEST_BYTES", int(whole.onnx.size * 0.7))
    half = made(place, kept, rounded=True)
    assert half.onnx.size < whole.onnx.size * 0.75
    assert np.abs(vectors(half) - vectors(whole)).max() < 0.02
    change(place / "config.json", layer_norm_eps=1e-6)
    assert refused(place, kept).startswith("config.json of the embedder's source: the weights take ")


INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file that is missing": (
        lambda place: (place / SECOND).unlink(),
        f"\"{INDEX}\" of the embedder's source names '{SECOND}', which is not next to it",
    ),
    "a file outside": (
        lambda place: (
            split(write(place / "x", "mean"), a="../secret.safetensors")
            and (place / INDEX).write_bytes((place / "x" / INDEX).read_bytes())
        ),
        f"\"{INDEX}\" of the embedder's source names '../secret.safetensors', which is not next to it",
    ),
    "a file below": (
        lambda place: (place / INDEX).write_text('{"weight_map": {"a": "1_Pooling/config.json"}}', "utf-8"),
        f"\"{INDEX}\" of the embedder's source names '1_Pooling/config.json', which is not next to it",
    ),
    "a file that is none of weights": (
        lambda place: (place / INDEX).write_text('{"weight_map": {"a": "config.json"}}', "utf-8"),
        "config.json of the embedder's source: the safetensors file is damaged or incomplete: ",
    ),
    "a tensor in two files": (
        lambda place: save_file(load_file(place / FIRST) | load_file(place / SECOND), place / SECOND),
        f'tensor "embeddings.LayerNorm.bias" of the embedder\'s source is both in {FIRST} and in {SECOND}',
    ),
    "a tensor that another file has": (
        lambda place: (place / INDEX).write_text(
            json.dumps(
                {
                    "weight_map": dict.fromkeys(load_file(place / SECOND), SECOND)
                    | dict.fromkeys(load_file(place / FIRST), SECOND)
                    | {"x": FIRST}
                }
            ),
            "utf-8",
        ),
        (f'tensor "embeddings.LayerNorm.bias" of the embedder\'s source is not in {SECOND}, where {INDEX} says it is'),
    ),
    "a tensor that its file lacks": (
        lambda place: reweigh(place / FIRST, embeddings__LayerNorm__bias=...),
        f'tensor "embeddings.LayerNorm.bias" of the embedder\'s source is not in {FIRST}, where {INDEX} says it is',
    ),
    "no map": (
        lambda place: (place / INDEX).write_text("{}", "utf-8"),
        f'"{INDEX}" of the embedder\'s source has no weight_map from tensors to files',
    ),
    "a map of lists": (
        lambda place: (place / INDEX).write_text('{"weight_map": {"a": ["b"]}}', "utf-8"),
        f'"{INDEX}" of the embedder\'s source has no weight_map from tensors to files',
    ),
    "no JSON": (
        lambda place: (place / INDEX).write_bytes(b"\xff"),
        f'"{INDEX}" of the embedder\'s source is not valid JSON: ',
    ),
}


@pytest.mark.parametrize(("spoil", "message"), HOSTILE.values(), ids=HOSTILE)
def test_an_index_of_weights_that_lies_is_refused(
    spoil: Callable[[Path], object], message: str, kept: Cache, tmp_path: Path
) -> None:
    place = write(tmp_path / "w", "mean")
    split(place)
    spoil(place)
    assert refused(place, kept).startswith(message)
