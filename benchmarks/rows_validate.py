"""The rows of `validate`: many models, few of them, and a large one, against text_format.Parse of the same configs.

A cold run has an empty cache; a warm one has what an earlier run has kept.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest import mock

from google.protobuf import text_format
from onnx import ModelProto, TensorProto
from tritonclient.grpc.model_config_pb2 import ModelConfig

from benchmarks.machine import on_one_core
from benchmarks.memory import peak_mb
from benchmarks.pairs import LOOP, Row, Side, command, paired, ran, ratio
from benchmarks.repositories import REALISTIC, SIZE, SMALL, make
from tritonrepo.cli import run
from tritonrepo.sources.clean import FEW
from tritonrepo.sources.digests import WRITTEN_BACK_NS

MANY, MOST = 10_000, 50_000
LESS, LITTLE = FEW + 20, 2 * FEW
"""The same, small; from `FEW` models on, the cache is used."""

PARSE, LONG, WARM, HELP = 1.4, 3, 1, 1.3
"""The goals over text_format.Parse: small models; realistic ones, the cache empty; once more. Over importing click."""

NINE_S, LARGE_S = 0.2, 0.1
MANY_MB, MOST_MB, LARGE_MB = 300, 700, 50
LARGE = 5_000_000_000
MEBIBYTE_MB = (1 << 20) / 1e6
ROUNDS, STARTS = 3, 11
OLD_S = WRITTEN_BACK_NS / 1e9 + 1
"""What is younger is not remembered."""

SPLIT = (
    "of a model's time on one core, scanning takes a twentieth, reading a third, and rules six tenths: some hundred "
    "are asked, for a microsecond or a few each. Of two models in ten, a source is compiled, of four in ten, an ONNX "
    "graph is walked: about a sixth of the time each. Besides these, no rule takes more than 3 %, and those that are "
    "asked of every model 5 % in all. On all cores, other processes read and check six models in ten, but this one "
    "reads those as well, since rules that compare models need them: that costs a sixth more of the processors."
)
"""Why many small models can take longer than the goal allows."""

SCANNED = "what a scan keeps of a file takes about 570 bytes, and a process that checks copies what it touches of that."

START = (
    "four fifths of it are the start of Python, click and imports, for which the speed of a core decides; what only "
    "stacks, manifests, buckets, fixes, digests, archives, plans, documents or the memory of GPUs need is not "
    "imported. Of the imports that are left, nearly half is the making of dataclasses, named tuples and regular "
    "expressions, which Python does at each start, and the rest is spread over 270 modules. To load rules by the "
    "backends of a repository would not help here: the nine models have all of them."
)


def parsed(root: Path) -> None:
    """Read every config with protobuf's own parser: what a check of only syntax and names would cost."""
    for model in root.iterdir():
        text_format.Parse((model / "config.pbtxt").read_text("utf-8"), ModelConfig())


def validated(root: Path, cache: Path | None = None) -> None:
    """Validate as the command does, including its output, with this cache or an empty one; some model has a mistake."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        tempfile.TemporaryDirectory() as empty,
        mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(cache or empty)}),
    ):
        assert run(["validate", str(root)]) == 1


def alone(root: Path) -> None:
    """Validate on one core, with an empty cache."""
    with on_one_core():
        validated(root)


def rows(folder: Path, *, small: bool) -> Iterator[Row]:
    """Yield the rows; `small` has few models everywhere."""
    yield from starts(folder / "nine")
    yield from large(folder / "large")
    many, most = (LESS, LITTLE) if small else (MANY, MOST)
    yield from of_small(folder / "small", many)
    yield from of_realistic(folder / "realistic", many, small=small)
    make(folder / "most", most, REALISTIC)
    variables = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache of most")}
    peak = peak_mb(command("validate", str(folder / "most")), variables, codes=(1,))
    yield Row(f"peak memory of {most:,} realistic models, all processes", peak, "MB", MOST_MB, missed=SCANNED)


def starts(nine: Path) -> Iterator[Row]:
    """Yield the rows of short runs."""
    make(nine, 9)
    click = partial(ran, [sys.executable, "-c", "import click"])
    ours, other = paired(STARTS, Side("--help", partial(ran, command("--help"))), Side("import click", click))
    yield ratio('`--help` / `python -c "import click"`', ours, other, HELP)
    sides = paired(STARTS, Side("validate", partial(ran, command("validate", str(nine)), codes=(1,))), LOOP)
    yield Row("`validate` of nine models", min(sides[0].wall_s), "s", NINE_S, sides=sides, missed=START)


def large(folder: Path) -> Iterator[Row]:
    """Yield the rows of a model with large weights, in a file of their own, beyond what one with small ones takes."""
    peaks = list[float]()
    for size in (SIZE, LARGE):
        root = folder / str(size)
        make(root, 1, {"resnet": SMALL["resnet"]})
        externally(next(root.glob("*/1/model.onnx")), size)
        peaks.append(ran(command("validate", str(root)), codes=(1,)).peak_mib)
    (taken,) = paired(ROUNDS, Side("validate", partial(validated, folder / str(LARGE))))
    name = f"`validate` of an ONNX model with {LARGE:,} bytes of weights, without the start"
    yield Row(name, min(taken.wall_s), "s", LARGE_S, sides=(taken,))
    yield Row("its peak memory, beyond a small model's", (peaks[1] - peaks[0]) * MEBIBYTE_MB, "MB", LARGE_MB)


def externally(file: Path, size: int) -> None:
    """Put the weights of an ONNX model into a file beside it, as those above 2 GiB have to be."""
    model = ModelProto.FromString(file.read_bytes())
    model.ClearField("doc_string")
    (weights,) = model.graph.initializer
    weights.ClearField("float_data")
    weights.dims[:] = [1, size // 4]
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="weights")
    file.write_bytes(model.SerializeToString())
    file.with_name("weights").touch()
    os.truncate(file.with_name("weights"), size)


def of_small(root: Path, models: int) -> Iterator[Row]:
    """Yield the rows of many small models."""
    make(root, models)
    sides = Side("all cores", partial(validated, root)), Side("one core", partial(alone, root))
    every, one, parse = paired(ROUNDS, *sides, Side("Parse", partial(parsed, root)))
    yield ratio(f"`validate` of {models:,} small models / `text_format.Parse`", every, parse, PARSE, SPLIT)
    yield ratio("the same on one core", one, parse, PARSE, SPLIT)
    variables = {**os.environ, "XDG_CACHE_HOME": str(root.parent / "cache of small")}
    peak = peak_mb(command("validate", str(root)), variables, codes=(1,))
    yield Row(f"peak memory of {models:,} small models, all processes", peak, "MB", MANY_MB)


def of_realistic(root: Path, models: int, *, small: bool) -> Iterator[Row]:
    """Yield the rows of many realistic models."""
    make(root, models, REALISTIC)
    cache = root.parent / "cache"
    if not small:
        time.sleep(OLD_S)
    validated(root, cache)
    if not small and not [*cache.glob("*/clean/*")]:
        raise RuntimeError("the cache is not used: tritonrepo was changed less than a minute ago. Measure again later.")
    sides = Side("one core", partial(alone, root)), Side("all cores", partial(validated, root))
    one, every, warm, parse = paired(
        ROUNDS, *sides, Side("warm", partial(validated, root, cache)), Side("Parse", partial(parsed, root))
    )
    name = f"`validate` of {models:,} realistic models"
    yield ratio(f"{name} on one core / `text_format.Parse`", one, parse, LONG, SPLIT)
    yield ratio("the same on all cores", every, parse, LONG, SPLIT)
    yield ratio("the same once more, nothing changed", warm, parse, WARM)
