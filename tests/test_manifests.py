"""Manifests given to `validate`: files, kustomizations and stdin, all of them checked together."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.test_changed import done
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.manifests.reading import read

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: triton}
spec:
  template:
    metadata: {labels: {app: triton}}
    spec: {containers: [{name: triton, image: "nvcr.io/nvidia/tritonserver:26.07-py3"}]}
"""
MISSING = "selector-missing"

Told = Callable[..., tuple[int, Any]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    def of(*arguments: str) -> tuple[int, Any]:
        """Return the exit code and the document."""
        code = run(["validate", *arguments, "--format", "json"])
        return code, json.loads(capsys.readouterr().out)

    return of


def places(document: Any) -> list[str]:  # noqa: ANN401  JSON
    return [f"{each['path']}:{each['line']} {each['rule']}" for each in document["diagnostics"]]


def test_each_finding_is_at_its_own_file_and_nothing_is_judged_twice(inside: Path, told: Told) -> None:
    (inside / "a.yaml").write_text(DEPLOYMENT)
    (inside / "b.yaml").write_text(f"---\n# nothing\n---\n{POD}---\n{DEPLOYMENT}")
    code, document = told("a.yaml", "b.yaml", "./a.yaml", "--select", MISSING)
    assert code == 1
    assert places(document) == [f"a.yaml:4 {MISSING}", f"b.yaml:11 {MISSING}"]
    assert document["summary"]["objects"] == 3
    assert document["verdicts"] == []


def test_stdin_has_manifests_with_a_path_or_without(
    inside: Path, told: Told, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (inside / "k.yaml").write_text(POD)
    for more, name in ((("--stdin-path", "k.yaml"), "k.yaml"), ((), "stdin")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DEPLOYMENT.encode())))
        code, document = told("-", *more, "--select", MISSING)
        assert (code, places(document)) == (1, [f"{name}:4 {MISSING}"])
    for content, message in {
        b"name: x\n": "stdin does not hold a Kubernetes manifest; for a config.pbtxt, add --stdin-path with its path",
        b" \n": "stdin is empty: the command that should write manifests to it may have failed",
    }.items():
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert run(["validate", "-"]) == 2
        assert message in capsys.readouterr().err


def test_comments_settings_and_baselines_hide_findings(inside: Path, told: Told) -> None:
    ignored = DEPLOYMENT.replace("spec:\n  t", f"spec: # tritonrepo: ignore[{MISSING}] a patch sets it\n  t", 1)
    (inside / "a.yaml").write_text(ignored)
    code, document = told("a.yaml", "--select", MISSING)
    assert (code, places(document), document["summary"]["ignored"]) == (0, [], 1)
    (inside / "a.yaml").write_text(DEPLOYMENT)
    (inside / ".tritonrepo.toml").write_text(f'[severity]\n"{MISSING}" = "warning"\n')
    code, document = told("a.yaml", "--select", MISSING)
    assert [each["severity"] for each in document["diagnostics"]] == ["warning"]
    told("a.yaml", "--write-baseline", "known.json")
    code, document = told("a.yaml", "--baseline", "known.json", "--select", MISSING)
    assert (code, places(document), document["summary"]["baselined"]) == (0, [], 1)


def test_a_kustomization_is_its_resources_as_far_as_they_are_in_reach(inside: Path, told: Told) -> None:
    for name in ("base", "prod"):
        (inside / "k" / name).mkdir(parents=True)
    (inside / "k/base/d.yaml").write_text(DEPLOYMENT)
    (inside / "k/base/kustomization.yaml").write_text("resources: [d.yaml, none.yaml]\n")
    text = "resources: [../base, /etc/hosts, 'https://x.example/y.yaml', .]\nimages: [{name: x}]\n"
    (inside / "k/prod/kustomization.yaml").write_text(text)
    for path in ("k/prod/kustomization.yaml", "k/prod"):
        code, document = told(path, "--select", MISSING)
        assert code == 1
        assert places(document) == [
            f"k/base/d.yaml:4 {MISSING}",
            "k/base/kustomization.yaml:1 kustomization-resource",
            *["k/prod/kustomization.yaml:1 kustomization-not-built"] * 2,
            "k/prod/kustomization.yaml:2 kustomization-not-built",
        ]


def test_a_patch_of_a_kustomization_is_not_checked_as_a_whole_object(inside: Path, told: Told) -> None:
    (inside / "k").mkdir()
    for name in ("a", "b", "c", "whole"):
        (inside / "k" / f"{name}.yaml").write_text(DEPLOYMENT)
    patches = "patches: [{path: ./a.yaml}, {patch: x}, 3]\npatchesStrategicMerge: [b.yaml, 'kind: X\\n']\n"
    (inside / "k/kustomization.yaml").write_text(f"{patches}patchesJson6902: [{{path: c.yaml}}]\n")
    for name in "abc":
        code, document = told(f"k/{name}.yaml", "--select", MISSING)
        assert (code, places(document)) == (0, [f"k/{name}.yaml:None kustomization-not-built"])
    assert places(told("k/whole.yaml", "--select", MISSING)[1]) == [f"k/whole.yaml:4 {MISSING}"]
    (inside / "k/kustomization.yaml").write_text("patches: [")
    assert places(told("k/a.yaml", "--select", MISSING)[1]) == [f"k/a.yaml:4 {MISSING}"]


SYNTAX = {
    "broken": (f"{POD}spec: [", "the file is not valid YAML"),
    "key twice": (f"{POD}kind: Pod\n", 'key "kind" is set twice'),
    "tag": (f"{POD}spec: !append []\n", "the tag !append is not supported here"),
    "no mapping": (f"{POD}---\n- 1\n", "each document of a manifest must be a mapping of keys to values"),
    "Helm": (f"{POD}spec: {{{{ .Values.spec }}}}\n", "this is a template, not a manifest"),
    "Helm in quotes": (f'{POD}spec: "{{{{ .Values.spec }}}}"\n', "this is a template, not a manifest"),
    "Helm's if": (f"{POD}{{{{- if x }}}}\n", "this is a template, not a manifest"),
    "aliases": (
        f"{POD}a: &a [x, x]\n" + "".join(f"{c}: &{c} [{f'*{b}, ' * 30}]\n" for b, c in pairwise("abcde")),
        "the file expands to more than",
    ),
    "nested": (f"{POD}a: {'[' * 99}{']' * 99}\n", "the file is nested deeper than 60 levels"),
    "UTF-16": (POD, "the manifest is not valid UTF-8 at byte 0"),
    "NUL": (f"{POD}a: \0\n", "the text contains U+0000, which YAML does not allow"),
    "large": (f"{POD}a: {'x' * (4 << 20)}\n", "the manifest has more than 4,194,304 bytes"),
}


def test_what_is_wrong_with_the_text_is_an_error_and_keeps_no_other_file_from_being_judged(
    inside: Path, told: Told
) -> None:
    (inside / "good.yaml").write_text(DEPLOYMENT)
    for name, (text, message) in SYNTAX.items():
        (inside / "a.yaml").write_text(text, "utf-16" if name == "UTF-16" else "utf-8")
        code, document = told("a.yaml", "good.yaml", "--select", MISSING)
        first, second = document["diagnostics"]
        assert (code, first["rule"], second["path"]) == (1, "manifest-syntax", "good.yaml"), name
        assert first["message"].startswith(message), name


def test_what_is_no_manifest_is_read_as_before(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "a.yaml").write_text("apiversion: v1\nkind: Pod\n")
    assert run(["validate", "a.yaml"]) == 2
    assert 'a.yaml:1:1: fatal: unknown key "apiversion"' in capsys.readouterr().err


def test_values_are_read_as_kubectl_reads_them() -> None:
    found = read(f"{POD}x: &x {{yes: on, b: 1}}\ny: {{<<: *x, b: 010, c: 1_0, d: '010'}}\n".encode(), "a.yaml")
    assert found is not None
    values = found.objects[0].node.keys["y"][1].keys  # type: ignore[union-attr]
    kinds = {name: value.kind for name, (_, value) in values.items()}  # type: ignore[union-attr]
    assert kinds == {"yes": "bool", "b": "int", "c": "int", "d": "str"}


def test_a_finding_reads_like_this_with_its_line(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "triton.yaml").write_text("# Triton\n" + DEPLOYMENT)
    assert run(["validate", "triton.yaml", "--select", MISSING]) == 1
    page = (Path(__file__).parents[1] / "docs" / "manifests.md").read_text("utf-8")
    assert capsys.readouterr().out in page


def test_a_service_in_another_file_counts_and_a_missing_one_does_not_if_no_pod_is_there(
    inside: Path, told: Told
) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {app: x}, ports: [{port: 1}]}\n"
    (inside / "s.yaml").write_text(service)
    (inside / "p.yaml").write_text(POD.replace("{name: a}", "{name: a, labels: {app: x}}"))
    (inside / "q.yaml").write_text(POD.replace("{name: a}", "{name: b, labels: {app: y}}"))
    nothing = "selects-nothing"
    assert places(told("s.yaml", "--select", nothing)[1]) == []
    assert places(told("s.yaml", "p.yaml", "q.yaml", "--select", nothing)[1]) == []
    assert places(told("s.yaml", "q.yaml", "--select", nothing)[1]) == [f"s.yaml:4 {nothing}"]
    (inside / "broken.yaml").write_text(f"{POD}[")
    assert places(told("s.yaml", "q.yaml", "broken.yaml", "--select", nothing)[1]) == ["broken.yaml:4 manifest-syntax"]


def test_of_changes_only_manifests_that_are_named_and_have_changed_count(inside: Path, told: Told) -> None:
    for name in "ab":
        (inside / f"{name}.yaml").write_text(DEPLOYMENT)
    done(inside, "init", "-q")
    done(inside, "add", ".")
    done(inside, "commit", "-q", "-m", "all")
    (inside / "b.yaml").write_text(f"# new\n{DEPLOYMENT}")
    (inside / "c.yaml").write_text(DEPLOYMENT)
    code, document = told("a.yaml", "b.yaml", "--changed-since", "HEAD", "--select", MISSING)
    assert (code, places(document)) == (1, [f"b.yaml:5 {MISSING}"])


def test_changed_files_that_are_manifests_are_checked_alone_or_as_their_kustomization(
    inside: Path, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    (inside / "k").mkdir()
    for name in ("a", "k/a", "k/patch"):
        (inside / f"{name}.yaml").write_text(DEPLOYMENT)
    (inside / "k/kustomization.yaml").write_text("resources: [a.yaml]\npatches: [{path: patch.yaml}]\n")
    (inside / "chart.yaml").write_text(f"{POD}spec: {{{{ .Values.spec }}}}\n")
    (inside / "values.yaml").write_text("kind: Pod\n")
    both = [f"k/a.yaml:4 {MISSING}", "k/kustomization.yaml:2 kustomization-not-built"]
    rows = {
        ("a.yaml",): [f"a.yaml:4 {MISSING}"],
        ("k/a.yaml",): both,
        ("./k/a.yaml", "k/kustomization.yaml", "k/none.yaml"): both,
        ("k/patch.yaml",): [],
        ("chart.yaml", "values.yaml", "k"): [],
    }
    found = {files: places(told(*files, "--files", "--select", MISSING)[1]) for files in rows}
    assert found == rows
    assert capsys.readouterr().err == ""
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {app: x}, ports: [{port: 1}]}\n"
    (inside / "s.yaml").write_text(service)
    for more, count in (((), 1), (("--files",), 0)):
        assert len(places(told("s.yaml", "a.yaml", *more, "--select", "selects-nothing")[1])) == count


def test_what_is_for_repositories_alone_is_rejected_for_a_manifest(
    inside: Path, told: Told, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (inside / "a.yaml").write_text(DEPLOYMENT)
    for option in (["--fix"], ["--diff"], ["--upgrade-to", "26.07"]):
        assert run(["validate", "a.yaml", *option]) == 2
        assert f"{option[0]} is for repositories and stacks, and a.yaml is a manifest" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DEPLOYMENT.encode())))
    assert run(["validate", "-", "--upgrade-to", "26.07"]) == 2
    assert "stdin is a manifest" in capsys.readouterr().err
    assert told("--files", "a.yaml", "--fix", "--select", MISSING)[0] == 1
    assert (inside / "a.yaml").read_text() == DEPLOYMENT


def test_from_python_manifests_are_checked_alone_or_together(inside: Path) -> None:
    (inside / "a.yaml").write_text(DEPLOYMENT)
    (inside / "b.yaml").write_text(f"# tritonrepo: ignore[{MISSING}] x\n{DEPLOYMENT}")
    (inside / "stack.yaml").write_text("name: s\nmodels: {}\n")
    work = api.Workspace()
    for judged in (api.validate("a.yaml", work), api.validate_manifests([inside / "a.yaml"], work)):
        assert [each.at.line for each in judged.diagnostics if each.rule == MISSING] == [4]
        assert judged.objects == 1
    both = api.validate_manifests(
        ["a.yaml", "b.yaml", "a.yaml"], work, api.Against(gpus=0), lambda rule: rule.name == MISSING
    )
    assert [each.at.path for each in both.diagnostics] == ["a.yaml"]
    assert (both.objects, both.ignored, [each.at.path for each in both.hidden]) == (2, 1, ["b.yaml"])
    assert [both.lines(name)[:1] for name in ("a.yaml", "c.yaml")] == [["apiVersion: apps/v1"], []]
    for path, message in (("stack.yaml", "names no Kubernetes manifest"), ("none.yaml", "does not exist")):
        with pytest.raises(api.Stop, match=f"{path}: fatal: the path {message}"):
            api.validate_manifests(["a.yaml", path], work)
