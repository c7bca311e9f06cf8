"""Ensembles over ONNX models whose configs the backend completes from their graphs."""

from __future__ import annotations

from tests.onnx_models import same
from tests.pages import judged
from tests.rules.test_ensembles import ensemble, port, step
from tests.tabled import tabled
from tritonrepo.tree import Directory, Entry, File, of_bytes, of_text

EMPTY = 'backend: "onnxruntime"\n'
ONNX_STEP = step("a", {"IN": "IN"}, {"OUT": "OUT"})
ON_ONNX: dict[str, tuple[str, str, str]] = {
    "as completed": (ensemble(ONNX_STEP, more="max_batch_size: 4\n"), EMPTY, ""),
    "a larger batch than the completed one": (
        ensemble(ONNX_STEP, more="max_batch_size: 8\n"),
        EMPTY,
        "ensemble e allows maximum batch size 8, but it contains model a which only allows maximum batch size to be 4",
    ),
    "a larger batch that is written": (
        ensemble(ONNX_STEP, more="max_batch_size: 8\n"),
        EMPTY + "max_batch_size: 8\n",
        "",
    ),
    "another type": (
        ensemble(
            ONNX_STEP,
            io=port("input", "IN", data_type="TYPE_INT64") + port("output", "OUT"),
            more="max_batch_size: 4\n",
        ),
        EMPTY,
        "in ensemble e, ensemble tensor IN: inconsistent data type: TYPE_INT64 is inferred from model e while TYPE",
    ),
    "another size": (
        ensemble(ONNX_STEP, io=port("input", "IN", "5") + port("output", "OUT"), more="max_batch_size: 4\n"),
        EMPTY,
        "in ensemble e, ensemble tensor IN: inconsistent shape: [-1,5] is inferred from model e while [-1,4]",
    ),
    "an input that the graph lacks": (
        ensemble(step("a", {"IN": "IN", "IN2": "IN"}, {"OUT": "OUT"}), more="max_batch_size: 4\n"),
        EMPTY,
        "in ensemble e, ensemble tensor IN is mapping to non-existing input IN2 in model a",
    ),
    "an output that the graph lacks": (
        ensemble(step("a", {"IN": "IN"}, {"OUT2": "OUT"}), more="max_batch_size: 4\n"),
        EMPTY,
        "in ensemble e, ensemble tensor OUT is mapped from non-existing output OUT2 in model a",
    ),
}


@tabled(("config", "callee", "reason"), ON_ONNX.values(), ids=ON_ONNX)
def test_an_onnx_model_is_compared_as_its_graph_completes_it(config: str, callee: str, reason: str) -> None:
    content = of_bytes(same(["batch", 4]))
    files: dict[str, Entry] = {
        "a/config.pbtxt": of_text(callee),
        "a/1/model.onnx": content,
        "e/config.pbtxt": of_text(config),
        "e/1": Directory(),
    }
    verdicts = {verdict.model: verdict.server_reason for verdict in judged(files).verdicts}
    assert verdicts["a"] == ""
    assert verdicts["e"].startswith(reason)
    assert bool(verdicts["e"]) is bool(reason)


def test_versions_of_an_onnx_model_that_differ_complete_nothing_for_certain() -> None:
    """An ensemble may use either."""
    files: dict[str, Entry] = {
        "a/config.pbtxt": of_text(EMPTY + "version_policy { all { } }\n"),
        "a/1/model.onnx": of_bytes(same(["batch", 4])),
        "a/2/model.onnx": of_bytes(same(["batch", 5])),
        "e/config.pbtxt": of_text(ensemble(ONNX_STEP, io=port("input", "IN", "6") + port("output", "OUT", "6"))),
        "e/1": Directory(),
    }
    assert [verdict.server_reason for verdict in judged(files).verdicts] == ["", ""]


def test_the_graph_of_a_step_is_read_once() -> None:
    """The ensemble is judged after all models by themselves, when most that was read is forgotten."""
    content, reads = same(["batch", 4]), list[int]()

    def read(offset: int, n: int) -> bytes:
        reads.append(offset)
        return content[offset : offset + n]

    files: dict[str, Entry] = {
        "a/config.pbtxt": of_text(EMPTY),
        "a/1/model.onnx": File(len(content), read),
        "e/config.pbtxt": of_text(ensemble(ONNX_STEP, more="max_batch_size: 8\n")),
        "e/1": Directory(),
    }
    assert [bool(verdict.server_reason) for verdict in judged(files).verdicts] == [False, True]
    assert reads == [0]
