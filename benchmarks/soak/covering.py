"""Which tests run a line: what a fault in that line could be noticed by, quickest first."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData

JUNIT = "junit.xml"
DATA = "coverage.data"

WHOLE = "tritonrepo"
"""The package whose modules lie at the top."""

PACKAGES: Mapping[str, Sequence[str]] = {
    "bench": (
        *("bench_values", "bench_clients", "bench_triton", "bench_targets", "bench_wires"),
        *("bench_histograms", "bench_watching", "bench_watching_served"),
        *("bench_measures", "bench_running", "bench_prompts", "bench_sweep", "bench_command", "bench_ended"),
        *("bench_judging", "bench_tables", "bench_check", "bench_compare", "bench_report"),
        *("slo", "capacity", "plan_command"),
    ),
    "cli": (
        *("output", "cli", "asking", "api", "json", "build_plans", "smoke_commands", "docs_facts", "targets"),
        *("upgrade", "validate", "habits", "completion", "counting", "formats_files", "stdin", "changed_files"),
        *("push_flow", "push_output", "push_display", "push_interrupts", "ask", "bench_formats", "bench_compare"),
        "bench_ended",
    ),
    "cost": ("cost", "cost_published", "cost_command", "bad_inputs"),
    "deploy": (
        "deploy",
        "deploy_files",
        "deploy_texts",
        *("deploy_golden", "deploy_manifests", "deploy_nim", "deploy_vllm"),
        *("kube", "k8s", "kserve", "observe", "observe_command"),
    ),
    "export": (
        *("export_bert", "export_families", "rerankers", "decoders", "gguf", "exported_once", "encoder_files"),
        *("encoder_graph", "prefixes", "given_graph", "precision", "export", "sentence_modules"),
    ),
    "flows": (
        *("bad_places", "determinism", "adopt", "adopt_parts", "own_rag", "examples", "push_flow", "push_progress"),
        *(
            "push_waiting",
            "image",
            "init",
            "build_plans",
            "indexing",
            "index_made",
            "documents",
            "chunks",
            "diagnostics",
        ),
        *("credentials", "api", "own_stacks", "own_documents", "links", "asking", "smoke_commands", "old_plans"),
        *("lock_command", "push_origin", "deploy", "deploy_files", "deploy_texts", "rounds", "fixing", "patch"),
        *("changed", "changed_files", "changed_fixing", "settings", "baseline", "stdin"),
        *("deploy_golden", "deploy_nim", "deploy_vllm", "observe_command", "k8s"),
        *("manifests", "manifest_stack", "kustomizations"),
        *("plan_command", "named"),
    ),
    "gateway": ("gateway", "gateway_limits"),
    "generate": (
        *("generate", "own_config", "own_models", "chains", "parts", "step_embedder", "step_pipeline"),
        *("forms", "step_prompt", "step_conversation", "prompt_texts", "step_retriever", "step_reranker"),
        "step_endpoint",
        "step_grouping",
        *("reranker_files", "image", "build_plans", "build"),
    ),
    "indexing": (
        "indexing",
        "index_made",
        "documents",
        "chunks",
        "build",
    ),
    "llm": (
        "language_models",
        "llm_memory",
        "llm_settings",
        "vllm_serve",
        "fit",
    ),
    "manifests": ("manifests", "manifest_objects", "manifest_servers", "manifest_stack", "rules"),
    "onnxfile": (
        "onnxfile",
        "onnx_samples",
        "graphs",
        "own_models",
    ),
    "parts": (
        *("own_models", "scripted", "parts", "generator", "generator_hub", "stack_faults", "stack_keys"),
        *("generate", "own_part", "rerankers_served", "own_stacks", "build_plans"),
    ),
    "pbtxt": (
        "pbtxt_nodes",
        "pbtxt_words",
        "pbtxt_write",
        "pbtxt",
        "items",
        "fixes",
        "depth",
    ),
    "report": (
        *("report", "bench_report", "bench_page", "bench_formats", "bench_recomputed", "bench_compare"),
        "diff",
        "graph",
        "registry",
        "json",
        "formats",
        "formats_files",
        "baseline",
        "hints",
        "plain",
        "output",
        "upgrade",
        "patch",
    ),
    "repository": (
        "inference",
        "json_edits",
        "contents",
        "repository",
        "links",
        "judge",
        "ignores",
        "rules",
        "targets",
        "diagnostics",
    ),
    "rules": (
        "verdicts",
        "rules",
        "mending",
        "ignores",
        "judge",
        *("aside", "ahead"),
        "scripted",
        "upgrade",
    ),
    "server": (
        *("keeper", "client", "server_words", "server_parts", "vllm_stand_in", "onnx_stand_in", "backend_vllm"),
        *("backend_onnx", "endpoint", "smoke_parts", "serve_wheels", "server", "hostile_answers", "server_log"),
        *("watch", "metrics", "server_status", "served_release", "real_vllm", "doctor", "bench_watching"),
        *("exchanging", "bench_clients", "bench_wires"),
    ),
    "smoke": (
        *("smoke_judges", "smoke_cases", "smoke_asking", "smoke_commands", "smoke_prompts", "smoke_parts"),
        *("smoke_ranking", "push_present", "push_heal", "smoke_identity", "smoke_wanted", "smoke_proof"),
        *("smoke_causes", "smoke_wholes", "smoke_servers"),
    ),
    "settings": (
        "settings",
        "baseline",
    ),
    "sources": (
        *("digests", "clean", "sources", "hub", "web_sources", "chat_files", "tokenizer_formats", "stand_in"),
        *("encoder_files", "encoder_graph", "reranker_files", "gguf", "templates", "exported_once", "links"),
        *("push_origin", "changed"),
    ),
    "spec": (
        *("bad_inputs", "editor", "extends", "show", "own_config", "own_models", "stack_values", "stack_faults"),
        *("stack_fixes", "stack_keys", "spec", "lock_text", "lock_merge", "lock", "parts", "docs_examples"),
        "many_mistakes",
    ),
    "stores": (
        *("directory", "refusals", "s3_uri", "s3_pages", "s3_replies", "s3_parts", "gcs_uri", "gcs", "credentials"),
        *("links", "tree", "intact", "inplace", "stores", "push_gcs", "index_made"),
    ),
    "sync": (
        *("sync", "push_plan", "push_writing", "gating", "revision", "push_history", "rollback", "status"),
        *("push_laws", "push_hold", "push_flow", "push_waiting", "push_lock", "push_mixed", "push_model"),
        *("push_nest", "push_progress", "push_replace", "push_root", "push_pins", "push_rehash", "pull", "differences"),
        *("unlock", "prune", "prune_laws", "prune_asleep", "prune_live"),
    ),
    "tritonrepo": (
        "cores",
        "diagnostics",
        "fixes",
        "plain",
        "releases",
        "tree",
        "links",
        "inference",
        "api",
        "json",
    ),
    "ui": (
        "ui",
        "ask",
        "ui_browser",
    ),
}
"""The tests that a package names: `tests/test_NAME.py`."""

FOLDERS: Mapping[str, Sequence[str]] = {
    "rules": ("tests/rules",),
    "manifests": ("tests/rules/test_kubernetes.py", "tests/rules/test_serving.py"),
}


class NotGreenError(Exception):
    """The tests fail without any fault, or nothing was measured."""


@dataclass(frozen=True, slots=True)
class Covering:
    """Tests by the lines they run, from one measured run of them."""

    seconds: Mapping[str, float]
    """How long each test took, by its node."""

    data: CoverageData
    root: Path

    def tests(self, module: str, first: int, last: int) -> list[str]:
        """Return the tests that can notice a fault in these lines, quickest first.

        A line that runs at import, or in a process that a test started, names no test: then all that run anything of
        the module are returned, or simply all.
        """
        lines = self.data.contexts_by_lineno(str(self.root / module))
        named = self._named(lines.get(line, ()) for line in range(first, last + 1))
        named = named or self._named(lines.values()) or set(self.seconds)
        return sorted(named, key=lambda test: (self.seconds[test], test))

    def _named(self, contexts: Iterable[Iterable[str]]) -> set[str]:
        """Return the tests of these contexts; all tests of a file may depend on a line that runs in a fixture."""
        named = set()
        for context in (each for found in contexts for each in found):
            node, _, phase = context.rpartition("|")  # of pytest-cov
            file = f"{node.partition('::')[0]}::"
            named |= {test for test in self.seconds if test == node or (phase == "setup" and test.startswith(file))}
        return named


def measured(place: Path, kept: Path, tests: Sequence[str]) -> Covering:
    """Run tests in a clone and keep what they cover; a second call reads what the first kept.

    Args:
        place: The clone.
        kept: Directory that keeps the measurement.
        tests: Files and directories, as pytest takes them.

    Raises:
        NotGreenError: A test fails without a fault.
    """
    if not (kept / JUNIT).is_file():
        kept.mkdir(parents=True, exist_ok=True)
        junit = kept / f"{JUNIT}.new"
        options = [
            f"--junitxml={junit}",
            "-o",
            "junit_family=xunit1",
            "--cov",
            "--cov-context=test",
            "--cov-report=",
            "--cov-fail-under=0",
        ]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *tests]
        ran = subprocess.run(command, cwd=place, env=environment(place), check=False, capture_output=True, text=True)
        if ran.returncode:
            raise NotGreenError(ran.stdout[-3000:] + ran.stderr[-3000:])
        (place / ".coverage").replace(kept / DATA)
        (kept / "root").write_text(str(place), encoding="utf-8")
        junit.rename(kept / JUNIT)
    data = CoverageData(str(kept / DATA))
    data.read()
    return Covering(_seconds(kept / JUNIT), data, Path((kept / "root").read_text("utf-8")))


def environment(place: Path) -> dict[str, str]:
    """Return the environment for tests in a clone: its code also where a test starts a process elsewhere."""
    # a module is written twice within a second: its cached bytecode would hide the fault
    return {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}


def _seconds(junit: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for case in ET.parse(junit).iter("testcase"):
        if case.find("skipped") is None:
            # the `file` of a test over a table is that of the function around it, tests/tabled.py
            file = f"{case.get('classname', '').replace('.', '/')}.py"
            found[f"{file}::{case.get('name')}"] = float(case.get("time", 0))
    return found
