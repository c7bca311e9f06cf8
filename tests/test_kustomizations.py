"""Kustomizations: which files are theirs, and what is said of what cannot be read or is changed by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritonrepo.flows import kustomization
from tritonrepo.flows.kustomization import Resources, resources
from tritonrepo.flows.manifest_paths import kustomization as named

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
CHANGING = (
    "patches patchesStrategicMerge patchesJson6902 replacements components transformers configMapGenerator"
    " secretGenerator generators helmCharts images replicas namespace namePrefix nameSuffix labels commonLabels"
    " commonAnnotations"
)
"""Source: kustomize, api/types/kustomization.go."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(POD)
    for name in ("empty", "below"):
        (tmp_path / name).mkdir()
    (tmp_path / "below" / "kustomization.yml").write_text("resources: [../a.yaml, ..]\n")
    return tmp_path


def read(text: str) -> Resources:
    Path("kustomization.yaml").write_text(text)
    return resources(Path("kustomization.yaml"))


def told(found: Resources) -> list[str]:
    return [f"{each.at.line} {each.severity} {each.message}" for each in found.said]


def test_resources_are_read_once_and_what_is_not_is_said(home: Path) -> None:
    far = "is not checked, since it is remote"
    near = "is not checked, since it is outside"
    rows = {
        "resources: [a.yaml, b.yaml, a.yaml, below]\n": (["a.yaml", "b.yaml"], []),
        "bases: [below]\nresources: [b.yaml, '', [x]]\n": (["a.yaml", "b.yaml"], []),
        "resources: [https://x.example/y]\n": ([], [f"1 info https://x.example/y {far}"]),
        "resources:\n- github.com/x/y\n": ([], [f"2 info github.com/x/y {far}"]),
        "resources: ['git@x:y']\n": ([], [f"1 info git@x:y {far}"]),
        "resources: ['x?ref=v1']\n": ([], [f"1 info x?ref=v1 {far}"]),
        "resources: [../z.yaml]\n": ([], [f"1 info ../z.yaml {near} {home.resolve()}"]),
        "resources: [none.yaml]\n": ([], ["1 error the resource none.yaml does not exist"]),
        "resources: [empty]\n": ([], ["1 error the directory empty has no kustomization.yaml"]),
        "resources: [\n": ([], None),
    }
    for text, (files, said) in rows.items():
        found = read(text)
        assert sorted(path for path, _ in found.files) == files, text
        assert said is None or told(found) == said, text
        assert found.whole is (said == []), text
    assert dict(read("resources: [a.yaml]\n").files) == {"a.yaml": POD.encode()}


def test_fields_that_change_resources_are_named(home: Path) -> None:
    for field in CHANGING.split():
        found = read(f"resources: [a.yaml]\n{field}: x\n")
        assert told(found) == [f"2 info the resources are checked without the {field} of this kustomization"]
        assert ([path for path, _ in found.files], found.whole) == (["a.yaml"], False)
    assert read("namespace: null\n").said == ()
    both = read("images: x\npatches: y\n")
    assert told(both) == ["2 info the resources are checked without the patches, images of this kustomization"]
    assert home.is_dir()


def test_no_more_files_than_a_limit_are_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kustomization, "MOST_FILES", 2)
    (home / "c.yaml").write_text(POD)
    found = read("resources: [a.yaml, b.yaml, c.yaml]\n")
    assert [path for path, _ in found.files] == ["a.yaml", "b.yaml"]
    assert told(found) == ["1 info c.yaml is not checked, since 2 files are checked at most"]


def test_a_kustomization_is_named_by_itself_or_its_directory(home: Path) -> None:
    (home / "empty" / "Kustomization").write_text("resources: []\n")
    rows = {"below": "below/kustomization.yml", "empty": "empty/Kustomization", ".": None, "a.yaml": None}
    rows |= {"below/kustomization.yml": "below/kustomization.yml", "below/kustomization.yaml": None}
    assert {path: str(found) if (found := named(path)) else None for path in rows} == rows
