"""A run owns what it finds out: judging again, or twice at once, gives the same, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import gc
import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.pages import DATA, files, sections, server
from tritonrepo import repository
from tritonrepo.pbtxt.nodes import Field
from tritonrepo.repository import Model, Repository, Said, target
from tritonrepo.rules import RULES, judge
from tritonrepo.tree import Entry, of_text

AT_ONCE = 4
EVERY = 30


def ensemble(step: str) -> str:
    return (
        'platform: "ensemble"\ninput { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }\n'
        'output { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }\n'
        f'ensemble_scheduling {{ step {{ model_name: "{step}" model_version: -1 '
        'input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "OUT" } } }\n'
    )


def of_configs(configs: Mapping[str, str]) -> Repository:
    tree: dict[str, Entry] = {f"{name}/1/weights": of_text("") for name in configs}
    tree |= {f"{name}/config.pbtxt": of_text(text) for name, text in configs.items()}
    return repository.read(tree, server(""))


def repositories() -> list[Repository]:
    """Return a cycle, the repositories of the rules' pages, bad and good, and some that a real server has judged."""
    found = [cycle()]
    for page in (sections(rule.page) for rule in RULES.values()):
        found += [repository.read(files(page[kind]), server(page.get("Run with", ""))) for kind in ("Bad", "Good")]
    for line in (DATA / "verdicts.jsonl").read_text("utf-8").splitlines()[::EVERY]:
        case = json.loads(line)
        tree = {path: of_text(text) for path, text in case["files"].items()}
        found.append(repository.read(tree, target(Said("24.10", auto_complete=case["auto_complete"]))))
    return found


def cycle() -> Repository:
    return of_configs({"a": ensemble("b"), "b": ensemble("c"), "c": ensemble("b"), "d": ensemble("a")})


def said(of: Repository) -> str:
    return repr(judge(of))


def test_judging_a_cycle_again_gives_the_same() -> None:
    read = cycle()
    first = judge(read)
    assert len(first.diagnostics) == 5
    assert judge(read) == first


def test_judging_again_and_many_at_once_gives_the_same() -> None:
    read = repositories()
    first = [said(each) for each in read]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        again = [list(threads.map(said, read)), list(threads.map(said, reversed(read)))]
        same = [list(threads.map(said, [each] * AT_ONCE)) for each in read[::EVERY]]
    assert again == [first, first[::-1]]
    assert same == [[each] * AT_ONCE for each in first[::EVERY]]


def test_configs_that_are_read_again_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    kept = [said(each) for each in repositories()]
    monkeypatch.setattr(repository, "KEPT", 0)
    assert [said(each) for each in repositories()] == kept


def trees(of: Repository) -> list[str]:
    """Return the models whose configs are there as trees."""
    texts = {id(each.source.text) for each in gc.get_objects() if isinstance(each, Field)}
    return [name for name, model in of.models.items() if id(model.config.source.text) in texts]


def test_the_configs_of_many_models_are_not_kept_as_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "KEPT", 2)
    read = of_configs({name: ensemble("c") for name in "abcdef"})
    assert trees(read) == []
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    assert len(judge(read).diagnostics) == len(read.models)
    assert trees(read) == []
    monkeypatch.setattr(repository, "KEPT", len(read.models))
    assert trees(of := of_configs({name: ensemble("c") for name in "abcdef"})) == [*of.models]


def test_a_config_that_another_thread_may_look_at_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "KEPT", 2)
    read = of_configs({name: ensemble("c") for name in "abcdef"})
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    judge(read)
    assert trees(read) == [*"abcdef"]


def test_judging_changes_nothing_that_was_read() -> None:
    for each in repositories():
        before = fields(each)
        judge(each)
        assert fields(each) == before


def fields(read: Repository) -> list[object]:
    """Return all that a repository and its models hold; what is not a mapping is the same object, or a plain value."""
    values = [getattr(read, field.name) for field in dataclasses.fields(read)]
    values += [getattr(model, field.name) for model in read.models.values() for field in dataclasses.fields(model)]
    return [dict(value) if isinstance(value, Mapping) else value for value in values]


def test_no_model_outlives_its_repository() -> None:
    before = alive()
    read = repositories()
    models = sum(len(each.models) for each in read)
    for each in read:
        judge(each)
    assert alive() == before + models
    del read, each
    assert alive() == before


def alive() -> int:
    """Count the models in memory, of whatever run."""
    gc.collect()
    return sum(isinstance(each, Model) for each in gc.get_objects())
