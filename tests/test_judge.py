"""What a repository's findings make of its models: their order, the first error's words, and who is taken down."""

from __future__ import annotations

from tests.pages import judged
from tests.tabled import tabled
from tritonrepo import repository
from tritonrepo.diagnostics import State
from tritonrepo.repository import Said, target
from tritonrepo.rules import judge
from tritonrepo.tree import Directory, Entry, Unreadable, of_text

IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
READY = f'backend: "identity"\n{IO}'
REFUSED = f"max_batch_size: -1\n{READY}"
STEP = 'model_name: "%s" model_version: -1'
MAPS = 'input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "OUT" }'
CRASH, HANG = Directory(), Unreadable.FIFO


def models(**entries: str | Entry) -> dict[str, Entry]:
    """Return models by their configs; each has a version 1 with a file."""
    found: dict[str, Entry] = {f"{name}/1/weights": of_text("") for name in entries}
    for name, entry in entries.items():
        if isinstance(entry, Unreadable) or not isinstance(entry, str):
            found[f"{name}/config.pbtxt"] = entry
        else:
            found[f"{name}/config.pbtxt"] = of_text(entry)
    return found


def over(name: str) -> str:
    """Return an ensemble of one step."""
    return f'platform: "ensemble"\n{IO}ensemble_scheduling {{ step {{ {STEP % name} {MAPS} }} }}\n'


TAKEN = {
    "a crash takes what is ready": (models(a=CRASH, b=READY, c=REFUSED), "crash crash refused"),
    "a hang takes what is ready": (models(a=READY, b=HANG, c=REFUSED), "hang hang refused"),
    "a crash goes before a hang": (models(a=HANG, b=CRASH, c=READY), "hang crash crash"),
    "nothing is taken without one": (models(a=READY, b=REFUSED), "ready refused"),
    "a crash as configs are read leaves what the graph refuses": (
        models(a=CRASH, b=READY, c=over("gone")),
        "crash crash refused",
    ),
    "a crash in the graph takes what the graph refuses": (
        models(a=over("b"), b=over("c"), c=over("b"), d=over("gone"), e=REFUSED),
        "crash crash crash crash refused",
    ),
}


@tabled(("tree", "states"), TAKEN.values(), ids=TAKEN)
def test_what_crashes_or_hangs_the_server_takes_the_others_down(tree: dict[str, Entry], states: str) -> None:
    verdicts = judged(tree).verdicts
    assert " ".join(verdict.verdict.value for verdict in verdicts) == states
    names = sorted({path.partition("/")[0] for path in tree})
    assert [verdict.model for verdict in verdicts] == names


def test_of_two_that_crash_the_server_the_first_is_named() -> None:
    verdicts = judged(models(a=READY, b=f"{READY}model_repository_agents {{ }}\n", c=CRASH)).verdicts
    assert [verdict.rule for verdict in verdicts] == [
        "repository-agents-empty",
        "repository-agents-empty",
        "config-is-directory",
    ]


FIRST = {
    "the earlier stage": (f'name: "n"\nmax_batch_size: -1\n{READY}', "max-batch-size-negative", True),
    "the earlier step of a stage": (
        f"{READY}version_policy {{ latest {{ }} }}\ninstance_group {{ kind: 9 }}\n",
        "policy-latest-zero",
        True,
    ),
    "the name before I/O": (f'name: "n"\n{READY.replace("[ 4 ]", "[ 0 ]", 1)}', "name-differs-from-directory", True),
    "I/O before the name, without auto-complete": (
        f'name: "n"\n{READY.replace("[ 4 ]", "[ 0 ]", 1)}',
        "io-dim-invalid",
        False,
    ),
    "the earlier item of a list": (
        READY + "instance_group { kind: 9 }\ninstance_group { kind: KIND_CPU gpus: 0 }\n",
        "kind-unknown",
        True,
    ),
}


@tabled(("config", "rule", "complete"), FIRST.values(), ids=FIRST)
def test_the_first_error_is_the_servers(config: str, rule: str, complete: bool) -> None:  # noqa: FBT001  a table's column
    tree = repository.read(models(m=config), target(Said("24.10", auto_complete=complete)))
    (verdict,) = judge(tree).verdicts
    assert (verdict.verdict, verdict.rule) == (State.REFUSED, rule)


def test_of_two_findings_of_one_rule_the_earlier_in_the_text_is_named() -> None:
    late = f"{READY}instance_group {{ kind: KIND_GPU gpus: [ 8, 9 ] }}\n"
    (verdict,) = judged(models(m=late), "--gpus 1").verdicts
    assert "gpu id 8" in verdict.server_reason


def test_a_model_is_judged_after_those_that_it_needs_whatever_their_names() -> None:
    verdicts = judged(models(a=over("b"), b=over("c"), c=f"{READY}instance_group {{ kind: 9 }}\n")).verdicts
    assert [verdict.rule for verdict in verdicts] == ["step-ensemble-invalid", "step-model-failed", "kind-unknown"]


def test_a_model_without_io_is_not_polled_if_nothing_completes_it() -> None:
    tree = models(a=over("b"), b=READY.replace("[ 4 ]", "[ 0 ]", 1))
    rules = {
        complete: judge(repository.read(tree, target(Said("24.10", auto_complete=complete)))).verdicts[0].rule
        for complete in (True, False)
    }
    assert rules == {True: "step-model-failed", False: "step-model-refused"}


def test_findings_come_by_place_then_rule_and_verdicts_do_not_need_them() -> None:
    tree = models(b=f"{REFUSED}instance_group {{ kind: 9 count: 0 }}\n", a=f'name: "n"\n{REFUSED}')
    found = judge(repository.read(tree, target(Said("24.10"))), lambda rule: rule.severity != "info")
    assert [f"{each.at} {each.rule}" for each in found.diagnostics] == [
        "a/config.pbtxt:1:7 name-differs-from-directory",
        "a/config.pbtxt:2:17 max-batch-size-negative",
        "b/config.pbtxt:1:17 max-batch-size-negative",
        "b/config.pbtxt:5:24 kind-unknown",
        "b/config.pbtxt:5:33 instance-count-not-positive",
    ]
    none = judge(repository.read(tree, target(Said("24.10"))), lambda _: False)
    assert (none.diagnostics, none.ignored) == ((), 0)
    assert none.verdicts == found.verdicts
