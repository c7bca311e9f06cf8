"""How many processors a process may use: on real files of control groups, as containers have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tritonrepo import cores

HERE = os.sched_getaffinity(0)

GROUPS: dict[str, tuple[str, dict[str, str], int]] = {
    "no limit": ("0::/", {}, 4),
    "one of the second version": ("0::/", {"cpu.max": "150000 100000\n"}, 2),
    "a part of one": ("0::/", {"cpu.max": "5000 100000\n"}, 1),
    "a group without a limit": ("0::/", {"cpu.max": "max 100000\n"}, 4),
    "more than there are": ("0::/", {"cpu.max": "900000 100000\n"}, 4),
    "that of a group around it": ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "300000 100000"}, 2),
    "a path that the container does not see": ("0::/kubepods/pod1\n", {"cpu.max": "100000 100000"}, 1),
    "one of the first version": (
        "5:memory:/x\n4:cpu,cpuacct:/x\n",
        {"cpu/x/cpu.cfs_quota_us": "200000\n", "cpu/x/cpu.cfs_period_us": "100000\n", "x/cpu.max": "1 1"},
        2,
    ),
    "none of the first version": (
        "4:cpu:/\n",
        {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
        4,
    ),
    "texts that say nothing": ("0::/\n", {"cpu.max": "\n"}, 4),
    "a period of nothing": ("0::/\n", {"cpu.max": "100000 0\n"}, 4),
    "groups that are none": ("what\n", {"cpu.max": "100000 100000"}, 4),
}


@pytest.mark.parametrize(("own", "files", "count"), GROUPS.values(), ids=GROUPS)
def test_a_quota_limits_the_processors(
    own: str, files: dict[str, str], count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").write_text(own, "utf-8")
    for path, text in files.items():
        (tmp_path / "groups" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / path).write_text(text, "utf-8")
    monkeypatch.setattr(cores, "OWN", tmp_path / "own")
    monkeypatch.setattr(cores, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2, 5, 7})
    assert cores.cores() == count


def test_a_machine_without_groups_has_all_its_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "OWN", tmp_path / "missing")
    assert cores.cores() == len(HERE)
