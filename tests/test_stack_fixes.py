"""Fixes of a stack file: what is written in place of a wrong word, and where nothing else can be meant for certain."""

from __future__ import annotations

import pytest

from tests.tabled import tabled
from tritonrepo import spec
from tritonrepo.diagnostics import Diagnostic, Stop
from tritonrepo.fixes import after, applied
from tritonrepo.parts import PARTS
from tritonrepo.tree import File, of_bytes

STACK = """\
# search
name: s
target: {release: 25.09, images: [py3], gpu: L4}
models:
  encoder:
    role: embedder  # of E5
    source: ./weights
    batching: {max_queue_delay: 1.5ms}
  search: {role: retriever, index: ./i, documents: ./d, embed_with: encoder}
  own:
    backend: onnxruntime
    source: ./o.onnx
    config: {max_batch_size: 4, input: [{name: X, data_type: TYPE_FP32, dims: [4]}]}
ensembles:
  answer: {chain: [encoder, search]}
smoke:
  - {model: answer, inputs: {query: x}, expect: {ids: {not_empty: true}}}
"""


def found(text: str, **variables: str) -> list[Diagnostic]:
    """Return what is wrong with a stack file."""
    try:
        spec.read([("s.yaml", text.encode())], variables, PARTS)
    except Stop as stop:
        return list(stop.diagnostics)
    return []


def mended(text: str, **variables: str) -> tuple[str, list[bool]]:
    """Return the stack file with all fixes that are offered, and whether each is safe."""
    fixes = [each.fix for each in found(text, **variables) if each.fix is not None]
    tree = {"s.yaml": of_bytes(text.encode())}
    entry = after(tree, applied(tree, fixes).steps)["s.yaml"]
    assert isinstance(entry, File)
    return entry.content().decode(), [fix.safe for fix in fixes]


def test_the_stack_of_these_tests_has_no_fault() -> None:
    assert found(STACK) == []


FIXED = {
    "a misspelt key": ("    source: ./w", "    sorce: ./w", False),
    "a key with a capital letter": ("    source: ./w", "    'Source' : ./w", True),
    "a key with a hyphen": ("embed_with: encoder", "embed-with: encoder", True),
    "a role": ("role: embedder  #", "role: embeder  #", False),
    "a role in capital letters and quotes": ("role: embedder  #", 'role: "EMBEDDER"  #', True),
    "a key that implies a role": ("backend: onnx", "bakcend: onnx", False),
    "a member of a chain": ("[encoder, search]", "[encoder, serch]", False),
    "a member of a chain without a list": ("[encoder, search]}\n", "[ encoder,\n 'Search']}\n", True),
    "an embedder": ("embed_with: encoder", "embed_with: encodr", False),
    "a model of a request": ("model: answer", "model: anwser", False),
    "an image": ("[py3]", "[py-3]", True),
    "a GPU": ("gpu: L4", "gpu: L4O", False),
    "a release without a zero": ("release: 25.09", "release: 25.9", True),
    "a field of config": ("max_batch_size: 4", "maxBatchSize: 4", True),
    "a field in a list of config": ("data_type: TYPE_FP32", "datatype: TYPE_FP32", True),
    "a type without its prefix": ("TYPE_FP32", "fp32", True),
    "a misspelt type": ("TYPE_FP32", "TYPE_FP23", False),
    "a list of config": ("dims: [4]", "dims: 4", True),
    "a number in quotes": ("max_batch_size: 4", "max_batch_size: '4'", True),
    "a boolean of YAML 1.1": ("not_empty: true", "not_empty: yes", True),
    "a boolean in quotes": ("not_empty: true", "not_empty: 'True'", True),
}


@pytest.mark.parametrize(("right", "wrong", "safe"), FIXED.values(), ids=FIXED)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_word_of_a_stack_file_is_corrected_in_its_place(right: str, wrong: str, safe: bool, newline: str) -> None:  # noqa: FBT001
    assert right in STACK
    bad = STACK.replace(right, wrong, 1).replace("\n", newline)
    assert [each.fix is not None for each in found(bad)] == [True]
    text, said = mended(bad)
    assert said == [safe]
    assert found(text) == []
    kept = STACK.replace("\n", newline).split(newline)
    assert len(set(kept) - set(text.split(newline))) <= 1 + ("\n" in wrong)


LEFT = {
    "two keys for one": ("    source: ./w", "    sorce: ./x\n    source: ./w"),
    "two keys that may be one": ("    source: ./w", "    sorce: ./x\n    soure: ./w"),
    "nothing similar": ("role: embedder  #", "role: zzz  #"),
    "a word that goes on": ("role: embedder  #", 'role: "embe\\x64er"  #'),
    "a tag": ("role: embedder  #", "role: !!str embeder  #"),
    "a variable": ("role: embedder  #", "role: ${XYZ:-}  #"),
    "two lines": ("embed_with: encoder", 'embed_with: "encod\n  r"'),
    "a list of what may be two": ("dims: [4]", "dims: '4, 4'"),
    "a number with a unit": ("max_batch_size: 4", "max_batch_size: 4k"),
    "a word that is no boolean": ("not_empty: true", "not_empty: maybe"),
}


@tabled(("right", "wrong"), LEFT.values(), ids=LEFT)
def test_what_may_be_anything_is_left(right: str, wrong: str) -> None:
    assert right in STACK
    bad = STACK.replace(right, wrong, 1)
    assert found(bad, XYZ="embeder")
    assert mended(bad, XYZ="embeder") == (bad, [])


def test_a_byte_order_mark_shifts_nothing() -> None:
    one = "{nmae: s, models: {e: {role: embeder, source: ./w}}}"
    assert mended(one)[0] == "{name: s, models: {e: {role: embedder, source: ./w}}}"
    assert mended(f"\ufeff{one}") == (f"\ufeff{one}", [])
    assert mended("\ufeff" + STACK.replace("embedder", "embeder"))[0] == "\ufeff" + STACK


def test_a_fix_is_in_the_file_that_has_the_word() -> None:
    with pytest.raises(Stop) as stop:
        spec.read([("s.yaml", STACK.encode()), ("t.yaml", b"target: {gpu: L4O}\n")], {}, PARTS)
    (fault,) = stop.value.diagnostics
    assert fault.fix is not None
    assert [(str(each.at), each.text) for each in fault.fix.replacements] == [("t.yaml:1:15", "L4")]
