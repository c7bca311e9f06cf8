"""Every fix is tried on its rule's page: the finding goes, no other comes, and nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.pages import files, judged, loud, sections
from tests.tabled import tabled
from tritonrepo.diagnostics import Fix
from tritonrepo.fixes import after, applied
from tritonrepo.pbtxt import parse
from tritonrepo.repository.paths import is_config
from tritonrepo.rules import RULES
from tritonrepo.tree import Entry, File, Tree, of_bytes

ROUNDS = 9
"""How often the fixes of one rule are applied before the test takes them for endless."""

PAGES = {name: sections(rule.page) for name, rule in RULES.items()}
FIXED = [name for name, page in PAGES.items() if "Fix" in page]


MECHANICAL = """
backend-not-inferable batch-strategy-with-sequence bool-literal byte-order-mark config-in-version-directory
config-misnamed corrid-with-values dangling-link-in-model-directory ensemble-batch-above-step
ensemble-instance-group ensemble-no-version-directory ensemble-optimization ensemble-scheduling-wrong-platform
ensemble-warmup ensemble-with-backend enum-quoted extra-directory-hides-model-file inference-from-first-version-only
instance-count-not-positive kind-auto-gpus-not-usable kind-cpu-with-gpus kind-model-with-gpus missing-colon
model-files-not-in-version-directory name-differs-from-directory non-linear-format-not-tensorrt
onnx-autofill-not-batchable onnx-autofill-raises-max-batch onnx-bool-parameter onnx-dims-mismatch
onnx-dims-mismatch-batching onnx-input-count onnx-input-dtype onnx-kind-model-runs-on-cpu onnx-model-file-missing
onnx-no-io-without-autofill onnx-output-dims-exact onnx-output-dtype openvino-file-missing
parameter-value-not-message platform-backend-mismatch platform-unknown policy-empty-means-all policy-latest-zero
policy-specific-duplicate profile-not-tensorrt python-filename-extension python-filename-import
python-force-cpu-value pytorch-file-missing pytorch-platform-alias repository-agents-empty repository-listing-fails
response-cache-with-decoupled sequence-response-cache shape-tensor-not-tensorrt step-version-not-loaded
tensor-never-read tensorrt-kind trailing-comma-in-list unknown-enum-value version-leading-zero
version-partial-number vllm-bf16-old-gpu vllm-custom-metrics-value vllm-decoupled-false vllm-enable-lora-string
vllm-enable-lora-type vllm-instance-count vllm-io-contract vllm-kind-gpu-multi-gpu vllm-max-batch-size
vllm-max-batch-size-unchecked vllm-model-json-missing vllm-no-instance-group vllm-not-decoupled vllm-optional-flag
vllm-removed-engine-arg vllm-scheduler-useless vllm-text-input-missing vllm-text-output-missing vllm-value-type
warmup-batch-zero wrong-comment-style
"""
"""The faults that can be repaired without knowing what was meant, or with one guess that a user reviews.

Two more are like them, but are not in a text: `onnx-ir-newer-than-image` needs an export of the graph, and
`object-key-double-slash` is in a bucket, where only `push` writes.
"""


def fixes(tree: Tree, options: str, name: str) -> list[Fix]:
    """Return the fixes that a rule offers."""
    return [each.fix for each in judged(tree, options).diagnostics if each.rule == name and each.fix is not None]


def mended(tree: Tree, options: str, name: str) -> dict[str, Entry]:
    """Return the tree once a rule has nothing more to fix."""
    for _ in range(ROUNDS):
        found = applied(tree, fixes(tree, options, name))
        if not found.steps:
            return dict(tree)
        tree = after(tree, found.steps)
    pytest.fail("a fix does not end")


def commented(tree: Tree) -> dict[str, Entry]:
    """Return the tree with a comment at the end of every line of its configs, as hand-written ones have."""
    return {path: _commented(entry) if is_config(path) else entry for path, entry in tree.items()}


def _commented(entry: Entry) -> Entry:
    if not isinstance(entry, File):
        return entry
    lines = entry.content().split(b"\n")
    return of_bytes(
        b"\n".join(line + b"  # line %d" % number if line.strip() else line for number, line in enumerate(lines))
    )


def comments(tree: Mapping[str, Entry]) -> list[bytes]:
    """Return the comments of all configs; of one with several # what follows the last."""
    found = []
    for path, entry in tree.items():
        if is_config(path) and isinstance(entry, File):
            source = parse(entry.content()).root.source
            found += [source.text[source.text.rindex(b"#", start, end) : end] for start, end in source.comments]
    return sorted(found)


def test_a_page_says_whether_its_findings_have_a_fix() -> None:
    words: dict[str, set[str]] = {}
    for name, page in PAGES.items():
        found = fixes(files(page["Bad"]), page.get("Run with", ""), name)
        words[name] = {"Safe" if fix.safe else "Unsafe" for fix in found}
    said = {name: {page["Fix"].partition(".")[0]} if "Fix" in page else set() for name, page in PAGES.items()}
    assert words == said


def test_what_can_be_repaired_mechanically_has_a_fix() -> None:
    assert set(MECHANICAL.split()) - set(FIXED) == set()


@tabled("name", FIXED)
def test_a_fix_mends_its_fault_and_nothing_else(name: str) -> None:
    options, bad = PAGES[name].get("Run with", ""), files(PAGES[name]["Bad"])
    good = mended(bad, options, name)
    assert not [each for each in judged(good, options).diagnostics if each.rule == name]
    assert loud(good, options) <= loud(bad, options) - {name}
    told = commented(bad)
    if [str(each) for each in judged(told, options).diagnostics] == [
        str(each) for each in judged(bad, options).diagnostics
    ]:
        assert comments(mended(told, options, name)) == comments(told)


def test_a_tensor_without_a_name_is_not_renamed() -> None:
    good = files(PAGES["onnx-unknown-output"]["Good"])
    entry = good["model/config.pbtxt"]
    assert isinstance(entry, File)
    unnamed = entry.content().replace(b'name: "input_ids" ', b"")
    assert unnamed != entry.content()
    assert fixes(good | {"model/config.pbtxt": of_bytes(unnamed)}, "", "onnx-unknown-input") == []
