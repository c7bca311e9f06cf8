"""Corner cases of the rules on OpenVINO models."""

from __future__ import annotations

import pytest

from tests.pages import judged, server
from tests.tabled import tabled
from tritonrepo import repository
from tritonrepo.repository.openvino import DEEPEST, Input, graph
from tritonrepo.rules import judge
from tritonrepo.tree import Entry, File, of_bytes, of_text

HEAD = 'backend: "openvino"\n'
BATCH = "max_batch_size: 4\n"
OUT = 'output { name: "y" data_type: TYPE_FP32 dims: [ 2 ] }\n'
CONST = '<layer id="9" name="c" type="Const"><data element_type="f32" shape="2" offset="8" size="8" /></layer>'
LAYOUT = '<rt_info><attribute name="layout" version="0" layout="[N,C]" /></rt_info>'


def inp(name: str = "x", dims: str = "[ 4 ]", more: str = "") -> str:
    """Return an input of the config."""
    return f'input {{ name: "{name}" data_type: TYPE_FP32 dims: {dims} {more} }}\n'


def layer(shape: str = "?,4", names: str = 'names="x"', more: str = "") -> str:
    """Return an input of a model, as OpenVINO writes it."""
    port = f'<output><port id="0" precision="FP32" {names}>{more}<dim>4</dim></port></output>'
    return f'<layer id="0" name="p" type="Parameter"><data shape="{shape}" element_type="f32" />{port}</layer>'


def xml(*layers: str) -> str:
    """Return a model in XML."""
    return f'<?xml version="1.0"?>\n<net name="m" version="11"><layers>{"".join(layers)}</layers><edges /></net>'


LOOP = f'<layer id="3" type="Loop"><body><layers>{layer()}{CONST}</layers></body></layer>'
DOCTYPE = '<!DOCTYPE net [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
UNKNOWN, COUNT, SHAPE, WEIGHTS = (
    f"openvino-{each}" for each in ("input-unknown", "input-count", "shape-differs", "weights-missing")
)

SAID = {
    "all that fits": (HEAD + BATCH + inp() + OUT, xml(layer()), "", []),
    "a name of several": (HEAD + BATCH + inp("b,c") + OUT, xml(layer(names='names="a,b\\,c"')), "", []),
    "no names at all": (HEAD + BATCH + inp("z") + OUT, xml(layer(names="")), "", []),
    "another name": (HEAD + BATCH + inp("z") + OUT, xml(layer()), "", [UNKNOWN]),
    "two of one": (HEAD + BATCH + inp() + inp("z") + OUT, xml(layer()), "", [COUNT, UNKNOWN]),
    "one of two": (HEAD + BATCH + inp() + OUT, xml(layer(), layer(names='names="z"')), "", [COUNT]),
    "none, completed": (HEAD + BATCH + OUT, xml(layer()), "", []),
    "none, not completed": (HEAD + BATCH + OUT, xml(layer()), "--no-auto-complete", [COUNT]),
    "a loop's own inputs": (HEAD + BATCH + inp() + OUT, xml(layer(), LOOP), "", [WEIGHTS]),
    "a size": (HEAD + BATCH + inp(dims="[ 5 ]") + OUT, xml(layer()), "", [SHAPE]),
    "a size that the model leaves open": (HEAD + BATCH + inp(dims="[ 5 ]") + OUT, xml(layer("?,1..9")), "", []),
    "a size that the config leaves open, in a batch": (HEAD + BATCH + inp(dims="[ -1 ]") + OUT, xml(layer()), "", []),
    "a size that the config leaves open": (HEAD + inp(dims="[ -1, -1 ]") + OUT, xml(layer()), "", [SHAPE]),
    "the batch in dims": (HEAD + BATCH + inp(dims="[ 4, 4 ]") + OUT, xml(layer()), "", [SHAPE]),
    "no batch": (HEAD + inp() + OUT, xml(layer()), "", [SHAPE]),
    "no batch, but a layout that gives one": (HEAD + inp() + OUT, xml(layer(more=LAYOUT)), "", []),
    "no batch, and nothing that completes": (
        HEAD + inp() + OUT,
        xml(layer(more=LAYOUT)),
        "--no-auto-complete",
        [SHAPE],
    ),
    "a rank that is open": (HEAD + inp() + OUT, xml(layer("...")), "", []),
    "reshaped": (HEAD + BATCH + inp(dims="[ 2, 2 ]", more="reshape { shape: [ 4 ] }") + OUT, xml(layer()), "", []),
    "reshaped by the backend": (
        HEAD
        + BATCH
        + inp(dims="[ 7 ]")
        + OUT
        + 'parameters { key: "RESHAPE_IO_LAYERS" value { string_value: "yes" } }',
        xml(layer()),
        "",
        [],
    ),
    "weights": (HEAD + BATCH + inp() + OUT, xml(layer(), CONST), "", [WEIGHTS]),
    "a document type": (HEAD + inp("z") + OUT, DOCTYPE + xml(layer(), CONST)[22:], "", []),
    "no XML": (HEAD + inp("z") + OUT, "net", "", []),
    "cut off": (HEAD + inp("z") + OUT, xml(layer())[:-9], "", []),
}


@tabled(("config", "text", "options", "rules"), SAID.values(), ids=SAID)
def test_what_is_said_of_a_model(config: str, text: str, options: str, rules: list[str]) -> None:
    files: dict[str, Entry] = {"m/config.pbtxt": of_text(config), "m/1/model.xml": of_text(text)}
    found = judged(files, options).diagnostics
    assert sorted(each.rule for each in found if each.rule.startswith("openvino-")) == sorted(rules)


@pytest.mark.parametrize(("size", "rules"), [(0, [WEIGHTS]), (15, [WEIGHTS]), (16, []), (17, [])])
def test_the_weights_have_the_bytes_that_the_model_needs(size: int, rules: list[str]) -> None:
    config, model = of_text(HEAD + BATCH + inp() + OUT), of_text(xml(layer(), CONST))
    weights = File(size, lambda _, n: bytes(min(n, size)))
    files: dict[str, Entry] = {"m/config.pbtxt": config, "m/1/model.xml": model, "m/1/model.bin": weights}
    found = judge(repository.read(files, server(""))).diagnostics
    assert [each.rule for each in found if each.rule.startswith("openvino-")] == rules


def test_a_pointer_is_no_weights() -> None:
    pointer = of_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 999\n")
    large = CONST.replace('size="8"', 'size="800"')
    files: dict[str, Entry] = {"m/config.pbtxt": of_text(HEAD + BATCH + inp() + OUT), "m/1/model.bin": pointer}
    found = judged({**files, "m/1/model.xml": of_text(xml(layer(), large))}).diagnostics
    assert [each.hint for each in found if each.rule == WEIGHTS] == ["Run `git lfs pull` to get the file itself."]


VALUES = {
    "INFERENCE_NUM_THREADS": (["0", "12"], ["-1", "a", "1.5"]),
    "COMPILATION_NUM_THREADS": (["4"], ["auto"]),
    "HINT_BF16": (["YES", "yes"], ["no", "1"]),
    "NUM_STREAMS": (["AUTO", "numa", "3"], ["all"]),
    "PERFORMANCE_HINT": (["latency", "Cumulative_Throughput"], ["speed", "1"]),
    "SKIP_OV_DYNAMIC_BATCHSIZE": (["whatever"], []),
}


@tabled("name", VALUES)
def test_values_of_parameters(name: str) -> None:
    good, bad = VALUES[name]
    for value in (*good, *bad):
        config = f'{HEAD}{inp()}{OUT}parameters {{ key: "{name}" value {{ string_value: "{value}" }} }}\n'
        found = judged({"m/config.pbtxt": of_text(config), "m/1/model.xml": of_text("net")}).diagnostics
        assert [each.rule for each in found].count("openvino-parameter") == (value in bad), value


def test_a_file_that_is_deep_or_large_is_not_judged() -> None:
    assert graph(of_text("<a>" * DEEPEST + "</a>" * DEEPEST)) is not None
    assert graph(of_text("<a>" * (DEEPEST + 1) + "</a>" * (DEEPEST + 1))) is None
    assert graph(File(1 << 40, lambda _, __: pytest.fail("a file of this size is not read"))) is None


def test_what_a_model_says() -> None:
    found = graph(of_bytes(xml(layer("1,?,..3"), layer("", 'names="z"'), CONST, LOOP).encode()))
    assert found is not None
    assert found.inputs == [Input(frozenset("x"), (1, None, None)), Input(frozenset("z"), ())]
    assert (found.weights, found.has_layout) == (16, False)
