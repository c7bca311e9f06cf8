"""Models of which two versions do not fit in memory: what a push plans for them, and what it needs permission for."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.pushes import push, repository, stored
from tests.speaking import Said, speaking
from tests.tabled import tabled
from tests.test_push_plan import config, engine, told
from tests.test_push_plan import repository as models
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.prepared import Push, Seen
from tritonrepo.flows.push import Servers, plan_push
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.smoke.healing import Change
from tritonrepo.smoke.waiting import Patience, Wanted, until_served
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.sync import record as records
from tritonrepo.sync.gating import OUT
from tritonrepo.sync.mixing import admit
from tritonrepo.sync.order import turns
from tritonrepo.sync.plan import Plan, Put
from tritonrepo.sync.push import plan
from tritonrepo.sync.record import Record
from tritonrepo.sync.replacing import CODE, PLACEHOLDER, RULE
from tritonrepo.tree import Entry, File, Tree, of_bytes, of_text

REPLACE = {"retriever": "replace"}


def after(made: Plan, have: Tree, until: str = "") -> Tree:
    """Return what a push left that was killed before the first action whose line begins like this."""
    state: dict[str, Entry] = dict(have)
    for action, line in zip(made.actions, told(made), strict=True):
        if until and line.startswith(until):
            break
        if isinstance(action, Put):
            state[action.path] = action.file
    return state


def text(tree: Tree, path: str) -> str:
    entry = tree[path]
    assert isinstance(entry, File)
    return entry.content().decode()


def test_the_old_version_is_taken_out_after_all_others_have_loaded_and_the_new_one_comes_with_its_pipeline() -> None:
    made = plan(models(2, 2), models(1, 1), "r", switches=REPLACE)
    assert [line for line in told(made) if not line.startswith("FILES 0 [eg]")][3:] == [
        "FILES 0 retriever/2/index.npy: new",
        "FILES 0 retriever/999999999/model.py: new: answers with an error while version 2 is loaded",
        "EXPAND 0 graph/config.pbtxt: serves versions 1 and 2",
        "EXPAND 1 embedder/config.pbtxt: serves versions 1 and 2",
        "REPLACE 0 retriever/config.pbtxt: takes version 1 out of memory; not available while version 2 is loaded",
        "SWITCH 0 retriever/config.pbtxt: serves version 2",
        "SWITCH 0 search/config.pbtxt: calls embedder version 2, retriever version 2",
        "CONTRACT 1 embedder/config.pbtxt: serves only version 2",
        "CONTRACT 2 graph/config.pbtxt: serves only version 2",
    ]
    (refusal,) = made.conflicts
    assert str(refusal) == (
        'r/retriever: error: requests to "retriever" fail while version 2 replaces version 1, as do requests to search'
        " [push-downtime]\n  Add `--allow-downtime retriever` to accept that. If two copies fit in memory, set"
        " `switch: overlap` for it in the stack file instead."
    )
    allowed = admit(made, ["retriever"], RULE)
    assert allowed.conflicts == ()
    assert [str(note) for note in allowed.notes] == [
        (
            'r/retriever: warning: requests to "retriever" fail while version 2 replaces version 1, as do requests to'
            " search [push-downtime]"
        )
    ]


def lone(version: int, backend: str = "vllm", more: str = "") -> Tree:
    """An engine that nobody calls."""
    return {
        "llm/config.pbtxt": of_bytes(config("llm", version, "specific", f'backend: "{backend}" {more}')),
        f"llm/{version}/model.json": of_text(f"{version}"),
    }


def commented(tree: Tree) -> Tree:
    return {**tree, "llm/config.pbtxt": of_text("# x\n" + text(tree, "llm/config.pbtxt"))}


ENGINES: dict[str, tuple[Tree, Tree, Mapping[str, str], list[str]]] = {
    "vLLM, unless the stack says otherwise": (lone(2), lone(1), {}, ["FILES", "FILES", "REPLACE", "SWITCH"]),
    "as the stack says": (lone(2), lone(1), {"llm": "overlap"}, ["FILES", "SWITCH"]),
    "another backend as the stack says": (
        lone(2, "python"), lone(1, "python"), {"llm": "replace"}, ["FILES", "FILES", "REPLACE", "SWITCH"],
    ),
    "another backend": (lone(2, "python"), lone(1, "python"), {}, ["FILES", "SWITCH"]),
    "vLLM gives way to another backend": (lone(2, "python"), lone(1), {}, ["FILES", "FILES", "REPLACE", "SWITCH"]),
    "a first push": (lone(1), {}, {}, ["GATE", "FILES", "SWITCH"]),
    "nothing changes": (lone(1), lone(1), {}, []),
    "a comment": (commented(lone(1)), lone(1), {}, ["SWITCH"]),
    "another config of the same version is loaded next to it": (
        lone(1, more="max_batch_size: 8"), lone(1), {}, ["FILES", "REPLACE", "SWITCH"],
    ),
    "so is a version next to which a file changes": (
        {**lone(1), "llm/labels.txt": of_text("x")}, lone(1), {}, ["FILES", "FILES", "REPLACE", "SWITCH"],
    ),
    "a version that does not load is not in memory": (lone(3), lone(1), {}, ["FILES", "SWITCH"]),
}  # fmt: skip


@tabled(("want", "have", "switches", "phases"), ENGINES.values(), ids=ENGINES)
def test_what_is_replaced_is_vllm_and_what_the_stack_says(
    want: Tree, have: Tree, switches: Mapping[str, str], phases: list[str]
) -> None:
    dead = {("llm", 1)} if "llm/3/model.json" in want else set()
    made = plan(want, have, "r", switches=switches, dead=dead)
    assert [line.split(" ")[0] for line in told(made)] == phases
    assert bool(made.conflicts) == ("REPLACE" in phases)


def several(*versions: int) -> Tree:
    tree = {path: file for version in versions for path, file in lone(version).items()}
    numbers = ", ".join(map(str, versions))
    return tree | {
        "llm/config.pbtxt": of_text(f'backend: "vllm" version_policy {{ specific {{ versions: [{numbers}] }} }}')
    }


def test_a_version_that_only_comes_or_only_goes_needs_no_permission() -> None:
    for want, have in ((several(1, 2), several(1)), (several(1), several(1, 2))):
        made = plan(want, have, "r")
        assert (made.conflicts, [line.split(" ")[0] for line in told(made)][-1]) == ((), "SWITCH")
        assert not any(line.startswith("REPLACE") for line in told(made))
    (refusal,) = plan(several(2, 3), several(1, 2), "r").conflicts
    assert "fail while versions 2 and 3 replace versions 1 and 2 [push-downtime]" in str(refusal)


def test_the_placeholder_has_what_clients_need_to_know_of_the_model() -> None:
    more = (
        'max_batch_size: 4 input { name: "X" data_type: TYPE_STRING dims: [ 1 ] } output { name: "Y" data_type:'
        " TYPE_STRING dims: [ -1 ] } model_transaction_policy { decoupled: true } instance_group { kind: KIND_MODEL }"
        ' parameters { key: "k" value { string_value: "v" } } model_warmup { name: "w" }'
    )
    have = lone(1, more=more)
    state = after(plan(lone(2), have, "r"), have, "SWITCH")
    assert text(state, "llm/config.pbtxt") == """\
# The old version has been taken out of memory; the config of the new one comes next.
name: "llm"
backend: "python"
version_policy { specific { versions: [ 999999999 ] } }
max_batch_size: 4
input { name: "X" data_type: TYPE_STRING dims: [ 1 ] }
output { name: "Y" data_type: TYPE_STRING dims: [ -1 ] }
instance_group { kind: KIND_CPU count: 1 }
model_transaction_policy { decoupled: true }
"""  # fmt: skip


def test_a_push_that_was_killed_in_the_middle_is_completed_without_permission_and_can_be_undone() -> None:
    have = engine(1)
    state = after(plan(engine(2), have, "r"), have, "SWITCH")
    made = plan(engine(2), state, "r", resumed=True)
    assert (told(made), made.conflicts) == ([
        "REPLACE 0 llm/config.pbtxt: until nothing else of the model is in memory",
        "SWITCH 0 llm/config.pbtxt: serves version 2",
        "SWITCH 0 rag/config.pbtxt: calls llm version 2",
    ], ())  # fmt: skip
    back = plan(engine(1), state, "r", resumed=True)
    assert (told(back)[-1], back.conflicts) == ("SWITCH 0 llm/config.pbtxt: serves version 1", ())
    other = plan(engine(3), state, "r", resumed=True, switches={"llm": "overlap"})
    assert [line for line in told(other) if "config" in line] == [
        "EXPAND 0 llm/config.pbtxt: new: starts serving",
        "SWITCH 0 rag/config.pbtxt: calls llm version 3",
    ]
    done = after(made, state)
    assert not plan(engine(2), done, "r")
    assert [line for line in told(plan(engine(3), done, "r")) if line.startswith("FILES")] == [
        "FILES 0 llm/3/model.json: new"
    ]
    older = {**done, f"llm/{PLACEHOLDER}": of_text("of another tritonrepo")}
    assert f"FILES 0 llm/{PLACEHOLDER}: new: answers with an error while version 3 is loaded" in told(
        plan(engine(3), older, "r")
    )


@pytest.mark.parametrize("policy", ["latest", "none"])
def test_a_policy_that_would_serve_the_placeholder_is_refused(policy: str) -> None:
    want = {**lone(2), "llm/config.pbtxt": of_bytes(config("llm", 2, policy, 'backend: "vllm"'))}
    made = plan(want, lone(1), "r")
    (refusal,) = made.conflicts
    assert "version_policy would select other versions in the bucket than in this repository: versions 2, " in str(
        refusal
    )
    assert "Set `version_policy { specific { versions: [ 2 ] } }`." in str(refusal)
    assert not made.actions
    left = {**lone(1), f"llm/{PLACEHOLDER}": CODE}
    assert [each.rule for each in plan(want, left, "r").conflicts] == ["push-version-shadowed"]
    held = {**lone(1), "llm/config.pbtxt": of_bytes(config("llm", 1, policy, 'backend: "vllm"'))}
    assert told(plan(lone(2), held, "r"))[0] == (
        "GATE 0 llm/config.pbtxt: keeps serving only version 1 while version 2 is uploaded"
    )


def test_a_model_cannot_have_the_number_of_the_placeholder() -> None:
    (refusal,) = plan(lone(OUT), {}, "r").conflicts
    assert str(refusal) == (
        "r/llm: error: version 999999999 is reserved for the placeholder of a model that a push replaces"
        " [push-version-taken]\n  Remove the directory, or use another version number."
    )


def test_what_has_nothing_to_do_with_a_replaced_model_moves_after_it() -> None:
    want, have = ({**engine(version), **models(version, version)} for version in (2, 1))
    lines = [line for line in told(plan(want, have, "r")) if line.startswith("SWITCH")]
    assert lines == [
        "SWITCH 0 llm/config.pbtxt: serves version 2",
        "SWITCH 0 rag/config.pbtxt: calls llm version 2",
        "SWITCH 1 search/config.pbtxt: calls embedder version 2, retriever version 2",
    ]
    assert turns(["llm"], {}, {}, ["llm", "gone"]) == {"llm": 0}


class Sender:
    """Where a decoupled model sends its responses."""

    def __init__(self) -> None:
        self.sent: list[tuple[object, int]] = []

    def send(self, response: object, flags: int) -> None:
        self.sent.append((response, flags))


@pytest.mark.parametrize("policy", [{"model_transaction_policy": {"decoupled": True}}, {}])
def test_the_placeholder_answers_every_request_with_an_error(
    policy: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    class TritonError(str):
        UNAVAILABLE = 503

        def __new__(cls, message: str, code: int) -> TritonError:
            return super().__new__(cls, f"{code} {message}")

    utils = SimpleNamespace(
        TritonError=TritonError, InferenceResponse=lambda error: error, TRITONSERVER_RESPONSE_COMPLETE_FINAL=1
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", utils)
    module = ModuleType("placeholder")
    exec(CODE.content(), module.__dict__)
    model = module.TritonPythonModel()
    model.initialize({"model_name": "llm", "model_config": json.dumps(policy)})
    said = "503 llm is being replaced: its new version has not been loaded yet"
    senders = [Sender(), Sender()]
    answers = model.execute([SimpleNamespace(get_response_sender=lambda sender=sender: sender) for sender in senders])
    assert (answers or [each for sender in senders for each, _ in sender.sent]) == [said, said]
    assert [sender.sent for sender in senders] == ([[(said, 1)]] * 2 if policy else [[], []])


def switched(place: Path, version: int) -> Path:
    """Write a repository whose leaf is replaced, as its build record says."""
    made = repository(place, version)
    (made / records.NAME).write_bytes(records.dump(Record(switch={"leaf": "replace"})).content())
    return made


def test_a_user_permits_it_for_each_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "served" / "prod"
    place.parent.mkdir()
    assert push(switched(tmp_path / "1", 1), place) == 0
    before, second = stored(str(place)), switched(tmp_path / "2", 2)
    capsys.readouterr()
    for permitted in ([], ["--allow-downtime", "top"]):
        assert push(second, place, *permitted) == 1
        said = capsys.readouterr()
        assert ("Add `--allow-downtime leaf`" in said.err, said.out) == (True, "")
    assert push(second, place, "--allow-downtime", "leaves") == 2
    assert re.match(
        r'leaves: fatal: unknown model "leaves" in --allow-downtime \[push-allow-downtime\]\n  .*"leaf"',
        capsys.readouterr().err,
    )
    assert stored(str(place)) == before
    assert push(second, place, "--allow-downtime", "leaf") == 0
    said = capsys.readouterr()
    assert "\nreplace\n  ~ leaf/config.pbtxt  takes version 1 out of memory; not available while " in said.out
    assert 'warning: requests to "leaf" fail while version 2 replaces version 1' in said.err
    assert push(second, place) == 0
    assert capsys.readouterr().out.endswith("nothing to do\n")


INDEX = [
    {"name": "leaf", "version": str(OUT), "state": "READY"},
    {"name": "leaf", "version": "1", "state": "UNLOADING"},
]


@pytest.mark.parametrize(("state", "waits"), [("UNLOADING", True), ("UNAVAILABLE", False), ("LOADING", True)])
def test_a_model_is_out_once_the_server_has_unloaded_it(state: str, *, waits: bool) -> None:
    from tritonrepo.diagnostics import Span
    from tritonrepo.smoke.expected import Expected

    index = [INDEX[0], {**INDEX[1], "state": state}]

    def answer(request: object) -> Said:
        return Said(json.dumps(index if "index" in str(request) else {"name": "leaf", "backend": "python"}).encode())

    expected = Expected("leaf", {"name": "leaf"}, (str(OUT),), Span(""), {}, {}, {})
    with speaking(answer) as server:
        patience = Patience(-1, lambda: 0.0, lambda _: None, lambda _: None)
        wanted = Wanted({"leaf": expected}, {"leaf": ["2", str(OUT)]}, (), ["leaf"])
        client = Client(Endpoint(server.url))
        if waits:
            with pytest.raises(Stop, match="leaf version 1 is still in memory"):
                until_served(client, wanted, patience)
        until_served(client, wanted._replace(alone=()) if waits else wanted, patience)


STACK = """\
name: own
target: {release: "24.10", gpus: 0}
models:
  usual: {backend: vllm, source: ./model.json}
  beside: {backend: vllm, source: ./model.json, switch: overlap}
  same: {backend: vllm, source: ./model.json, switch: replace}
  own: {backend: python, source: ./model.py, switch: replace, CONFIG}
  other: {backend: python, source: ./model.py, switch: overlap, CONFIG}
  remote: {role: generator, ENDPOINT}
  moved: {role: generator, switch: replace, ENDPOINT}
"""
ENDPOINT = "engine: openai, endpoint: {url: 'http://llm:8000/v1', model: m}, args: {max_model_len: 900}"
TENSORS = "config: {input: [TENSOR], output: [TENSOR]}".replace("TENSOR", "{name: X, data_type: TYPE_FP32, dims: [1]}")


def test_a_build_records_which_models_do_not_switch_as_usual(inside: Path) -> None:
    (inside / "tritonrepo.yaml").write_text(STACK.replace("CONFIG", TENSORS).replace("ENDPOINT", ENDPOINT), "utf-8")
    (inside / "model.json").write_text('{"model": "o/m"}', "utf-8")
    (inside / "model.py").write_text(CODE.content().decode(), "utf-8")
    assert run(["build"]) == 0
    place = DirectoryStore(inside).scan("model_repository")
    record = records.load(place, "model_repository")
    assert record.switch == {"beside": "overlap", "own": "replace", "moved": "replace"}
    assert records.load({records.NAME: records.dump(record)}, "r") == record
    assert "switch" not in text({records.NAME: records.dump(Record())}, records.NAME)


def test_a_placeholder_that_a_push_left_is_not_adopted(inside: Path) -> None:
    for path, content in {
        "llm/config.pbtxt": 'backend: "vllm" version_policy { specific { versions: [ 2 ] } }',
        "llm/2/model.json": '{"model": "o/m"}',
        f"llm/{PLACEHOLDER}": CODE.content().decode(),
    }.items():
        (inside / "r" / path).parent.mkdir(parents=True, exist_ok=True)
        (inside / "r" / path).write_text(content, "utf-8")
    assert run(["validate", "r"]) == 0
    assert run(["adopt", "r", "-o", "tritonrepo.yaml"]) == 0
    assert str(OUT) not in (inside / "tritonrepo.yaml").read_text("utf-8")


def test_a_model_that_no_server_serves_is_repaired_without_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "served" / "prod"
    place.parent.mkdir()
    assert push(switched(tmp_path / "1", 1), place) == 0
    dead: set[tuple[str, int]] = set()

    def look(_: object, planned: Push, patience: Patience) -> Seen:
        assert [each.rule for each in planned.plan.conflicts] == [RULE]
        return Seen((), (), Change({}, (), (), (), {}), dead, (), patience)

    monkeypatch.setattr("tritonrepo.flows.watching.look", look)
    servers, second = Servers([Endpoint("http://127.0.0.1:1")]), switched(tmp_path / "2", 2)
    with pytest.raises(Stop, match="push-downtime"):
        plan_push(second, place, Workspace(), servers)
    dead.add(("leaf", 1))
    made = plan_push(second, place, Workspace(), servers).plan
    assert (made.conflicts, [a.reason for a in made.actions if a.path == "leaf/config.pbtxt"]) == (
        (),
        ["serves version 2 without version 1, which does not load"],
    )
