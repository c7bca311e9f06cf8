"""What is exported is kept under its exporter's name: a change of what is exported needs another name.

Otherwise a cache that an older version filled would go on serving what that version exported.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import reference
from tests.test_export import (
    TOKENS,
    Generator,
    Weights,
    bert_config,
    bert_weights,
    changed,
    cosines,
    embed,
    llama_metadata,
    llama_weights,
    session,
    write_gguf,
)
from tests.test_export_families import FAMILIES, ROOT
from tests.test_own_stacks import weights
from tests.test_sentence_modules import SENTENCES, write
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.sources import chat, encoder
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.encoder import Wish
from tritonrepo.tree import File, of_bytes, on_disk

AT = Span("stack.yaml", 3, 5)
WISH = Wish("./w", "mean", normalize=True, max_tokens=None, places={"": AT, "source": AT})


@pytest.fixture
def own(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def files(place: Path) -> dict[str, File]:
    found = [path for path in sorted(place.rglob("*")) if path.is_file()]
    return {path.relative_to(place).as_posix(): on_disk(path, path.stat().st_size) for path in found}


def plain(weights: Weights) -> Weights:
    """Return multiples of 1/64 in these shapes: the same numbers in every version of NumPy."""
    return {
        name: (np.arange(weight.size, dtype=np.float32) % 17 / 64).reshape(weight.shape)
        for name, weight in weights.items()
    }


def digest(cache: Cache) -> str:
    """Return one digest of all the files that a cache holds, whatever they are kept for."""
    listings = [json.loads(path.read_bytes())["files"] for path in (cache.root / "trees").iterdir()]
    kept = sorted(f"{path} {file['sha256']}\n" for listing in listings for path, file in listing.items())
    assert kept
    return hashlib.sha256("".join(kept).encode()).hexdigest()


def encoders(cache: Cache, place: Path) -> str:
    """Export each activation, family, pooling and length, of weights that every version of NumPy makes, or of files."""
    from safetensors.numpy import save_file

    for activation, architecture, pooling, normalize in (
        ("gelu", "BertModel", "mean", True),
        ("gelu_new", "BertModel", "cls", False),
        ("relu", "RobertaModel", "last", True),
        ("gelu", "RobertaModel", "last", False),
    ):
        weights(place, hidden_act=activation, architectures=[architecture])
        save_file(plain(bert_weights(bert_config())), place / "model.safetensors")
        encoder.encoder(WISH._replace(pooling=pooling, normalize=normalize), files(place), cache)
    for name in FAMILIES:
        own = shutil.copytree(ROOT / name, place.with_name(name))
        shutil.copy(ROOT / "tokenizer.json", own)
        encoder.encoder(WISH, files(own), cache)
    for name in SENTENCES:
        own = write(place.with_name(f"sentence {name}"), name)
        encoder.encoder(WISH._replace(pooling=None, normalize=None), files(own), cache)
    return digest(cache)


def sources(place: Path) -> Iterator[dict[str, File]]:
    """Yield GGUF files of several kinds: tied and untied, shared keys and none, with and without a beginning."""
    place.mkdir()
    tied = plain(llama_weights())
    untied = tied | {"output.weight": tied["token_embd.weight"][::-1].copy()}
    for number, (metadata, tensors) in enumerate(
        [
            (llama_metadata(), tied),
            (changed(llama__rope__freq_base=None, tokenizer__ggml__eot_token_id=2), untied),
            (changed(tokenizer__ggml__bos_token_id=None, tokenizer__chat_template=None), tied),
        ]
    ):
        path = write_gguf(place / f"{number}.gguf", metadata, tensors)
        yield {path.name: on_disk(path, path.stat().st_size)}


def decoders(cache: Cache, place: Path) -> str:
    for found in sources(place):
        chat.decoder(found, cache, AT)
    return digest(cache)


def chats(cache: Cache, place: Path) -> str:
    for found in sources(place):
        chat.chat(found, cache, AT)
    return digest(cache)


EXPORTED = {
    "encoder 3": "6f66a89599a8133257b95634983c8c81e3d0a271457e2947d4ee86c0d016d6fa",
    "decoder 1": "acbbaf0c4f1be3526fad0065bee57ac3a28c123f4cdc5a75753fb575c1a1a1f0",
    "chat 1": "a3cab998b72abecda89d702b4c3fbc0b4190907e2f38ea7782def52457605883",
}
"""What each exporter writes. Another digest needs another name: raise its number, and add a row in place of the old."""

EXPORTERS: dict[str, tuple[str, Callable[[Cache, Path], str]]] = {
    "encoders": (encoder.EXPORTER, encoders),
    "decoders": (chat.EXPORTER, decoders),
    "tokenizers and templates": (chat.READER, chats),
}


@pytest.mark.parametrize(("name", "export"), EXPORTERS.values(), ids=EXPORTERS)
def test_what_an_exporter_writes_changes_only_with_its_name(
    name: str, export: Callable[[Cache, Path], str], own: Cache, tmp_path: Path
) -> None:
    assert name in EXPORTED, "a new name needs a row with what is written under it"
    assert export(own, tmp_path / "w") == EXPORTED[name], (
        f'a cache has other files under "{name}": raise its number, in the row as well'
    )


@pytest.fixture
def counted(tmp_path: Path) -> tuple[Cache, list[str]]:
    """An empty cache, and what it said that it made."""
    said: list[str] = []
    return Cache(tmp_path / "cache", said.append), said


def one_weight(place: Path) -> Wish:
    from safetensors.numpy import load_file, save_file

    stored = load_file(place / "model.safetensors")
    stored["embeddings.LayerNorm.bias"][0] += 1
    save_file(stored, place / "model.safetensors")
    return WISH


def one_number(place: Path) -> Wish:
    weights(place, layer_norm_eps=0.5)
    return WISH


def one_word(place: Path) -> Wish:
    text = (place / "tokenizer.json").read_text("utf-8")
    (place / "tokenizer.json").write_text(text.replace('"t"', '"T"'), "utf-8")
    return WISH


CHANGES: dict[str, Callable[[Path], Wish]] = {
    "a weight": one_weight,
    "a number of the config": one_number,
    "a word of the tokenizer": one_word,
    "the pooling": lambda _: WISH._replace(pooling="cls"),
    "the length": lambda _: WISH._replace(normalize=False),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_encoder_is_exported_once_and_again_for_each_thing_that_decides_it(
    change: Callable[[Path], Wish], counted: tuple[Cache, list[str]], tmp_path: Path
) -> None:
    cache, said = counted
    weights(tmp_path / "w")
    for _ in range(2):
        encoder.encoder(WISH, files(tmp_path / "w"), cache)
    assert said == ["exporting ./w to ONNX"]
    encoder.encoder(change(tmp_path / "w"), files(tmp_path / "w"), cache)
    assert len(said) == 2


def test_another_name_of_an_exporter_exports_again(
    counted: tuple[Cache, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, said = counted
    weights(tmp_path / "w")
    gguf = next(sources(tmp_path / "g"))
    for module, name in ((encoder, ""), (encoder, "EXPORTER"), (chat, "EXPORTER"), (chat, "READER")):
        if name:
            monkeypatch.setattr(module, name, f"{name} of another version")
        for _ in range(2):
            encoder.encoder(WISH, files(tmp_path / "w"), cache)
            chat.decoder(gguf, cache, AT)
            chat.chat(gguf, cache, AT)
    first = ["exporting ./w to ONNX", "exporting 0.gguf to ONNX in 8 bits", "reading the tokenizer of 0.gguf"]
    assert said == [*first, *first]


def test_what_a_source_exports_computes_what_the_reference_does(own: Cache, tmp_path: Path) -> None:
    """The whole way from files to numbers, through a cache that is empty."""
    weights(tmp_path / "w", num_attention_heads=2)
    wish = WISH._replace(pooling=None, normalize=None)
    made = encoder.encoder(wish, files(tmp_path / "w"), own)
    assert made.onnx.path is not None
    config = bert_config(num_attention_heads=2)
    texts = [[2, 4, 9, 3], [2, 3]]
    want = np.array([reference.Bert(config, bert_weights(config)).embedding(t, "mean", normalize=True) for t in texts])
    assert np.abs(embed(session(made.onnx.path), texts) - want).max() < 2e-6
    assert (made.dimensions, made.max_tokens) == (16, 20)
    assert made.tokenizer.content() == (tmp_path / "w" / "tokenizer.json").read_bytes()


def test_a_decoder_of_a_source_computes_what_the_reference_does(own: Cache, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", llama_metadata(), llama_weights())
    place = chat.decoder({"m.gguf": on_disk(path, path.stat().st_size)}, own, AT)
    want = reference.Llama(llama_weights(), 4, 2, base=500.0, epsilon=1e-3).logits([3, 50, 7])
    assert cosines(Generator(place).feed([3, 50, 7]), want) > 0.999
    assert {path.name for path in place.iterdir()} == {"model.onnx", "tokenizer.json", "generation.json"}


def test_each_gguf_file_has_a_decoder_of_its_own(own: Cache, tmp_path: Path) -> None:
    first, second, third = (chat.decoder(found, own, AT) for found in sources(tmp_path / "g"))
    read = [json.loads((place / "generation.json").read_text("utf-8"))["eos_token_ids"] for place in (first, second)]
    assert read == [[1], [1, 2]]
    assert not json.loads((third / "generation.json").read_text("utf-8"))["adds_bos"]


def gguf(place: Path, name: str = "m.gguf", **changes: Any) -> dict[str, File]:  # noqa: ANN401  one value of any type
    place.mkdir(exist_ok=True)
    path = write_gguf(place / name, changed(**changes), {})
    return {path.name: on_disk(path, path.stat().st_size)}


def test_a_chat_has_all_that_its_file_says(own: Cache, tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    for _ in ("read", "cached"):
        found = chat.chat(gguf(tmp_path / "g"), own, AT)
        assert (found.template, found.context_length) == ("{{ messages }}", 64)
        assert (found.bos_token, found.eos_token, found.adds_bos) == ("<|s|>", "<|e|>", True)
        assert found.special_tokens == ("<|s|>", "<|e|>")
        assert json.loads(found.tokenizer.content())["model"]["type"] == "BPE"


def test_of_a_sources_files_only_the_gguf_decides_what_is_read_again(
    counted: tuple[Cache, list[str]], tmp_path: Path
) -> None:
    cache, said = counted
    beside = {"LICENSE": of_bytes(b"x")}
    assert chat.chat(beside | gguf(tmp_path / "g"), cache, AT).adds_bos is True
    assert chat.chat({"LICENSE": of_bytes(b"y")} | gguf(tmp_path / "g"), cache, AT).adds_bos is True
    other = gguf(tmp_path / "g", "n.gguf", tokenizer__ggml__add_bos_token=False)
    assert chat.chat(beside | other, cache, AT).adds_bos is False
    assert said == ["reading the tokenizer of m.gguf", "reading the tokenizer of n.gguf"]


def told(call: Callable[[], object]) -> str:
    with pytest.raises(Stop) as stop:
        call()
    (found,) = stop.value.diagnostics
    assert (found.rule, found.at) == ("source-generator", AT)
    return f"{found.message}\n{found.hint}"


def test_a_source_has_exactly_one_gguf_file_on_this_machine(tmp_path: Path) -> None:
    one = gguf(tmp_path / "g")
    two = gguf(tmp_path / "g", "n.gguf") | one
    beside = {f"{letter}.txt": of_bytes(b"") for letter in "abcdefghij"}
    assert chat.gguf_file(one | beside, AT) == tmp_path / "g" / "m.gguf"
    assert told(lambda: chat.gguf_file(two, AT)) == (
        "the source must contain one GGUF file, not 2\nChoose a GGUF file. The source contains: m.gguf, n.gguf."
    )
    assert told(lambda: chat.gguf_file(beside | {"m.gguf.txt": of_bytes(b"")}, AT)) == (
        "the source must contain one GGUF file, not 0\nChoose a GGUF file. The source contains: "
        "a.txt, b.txt, c.txt, d.txt, e.txt, f.txt, g.txt, h.txt."
    )


SPECIAL = {
    "white space": ("  ", True),
    "one character": ("é", True),
    "one character and a space": ("é ", True),
    "two characters": ("éé", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize(("token", "refused"), SPECIAL.values(), ids=SPECIAL)
def test_a_special_token_that_a_space_cannot_break_is_refused(
    token: str, own: Cache, tmp_path: Path, *, refused: bool
) -> None:
    source = gguf(tmp_path / "g", tokenizer__ggml__tokens=[token, *TOKENS[1:]])
    if not refused:
        assert chat.chat(source, own, AT).special_tokens == (token, "<|e|>")
        return
    assert told(lambda: chat.chat(source, own, AT)).startswith(
        f"m.gguf has the special token {token!r}, which cannot be kept out of the texts in a prompt"
    )


def test_what_reading_a_gguf_file_needs_is_told(own: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = next(sources(tmp_path / "g"))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Stop, match="reading a GGUF file needs numpy, onnx and gguf") as stop:
        chat.decoder(source, own, AT)
    (found,) = stop.value.diagnostics
    assert found.rule == "extra-missing"
    assert found.hint.startswith("Run `pip install 'tritonrepo[onnx]'`")
