"""Models of which two versions do not fit in memory: the old one is taken out before the new one loads. Pure.

Seen on 24.10, polling a directory or S3; the first and the last also with auto-complete:

- `specific { 1 }` → `specific { 2 }` loads 2 and then unloads 1, so both are in memory; so does a change of the config
  that concerns the version that stays.
- Nothing that fails unloads: a version that does not exist, `specific {}`, another name and a missing config are errors
  at each poll, and version 1 serves on. Only without any file of the model, also those of its versions, is it unloaded,
  and the index no longer lists it while it is.
- What does unload it is another version that loads: a placeholder, a few lines of Python, whose versions no pipeline
  calls. A pipeline that pins version 1 is unloaded with it ("depends on 'llm' whose required version 1 is not loaded"),
  and loads again with a config that pins version 2. The index lists version 1 as UNLOADING until its memory is free.

The placeholder's file stays in the bucket: a deletion is not seen on S3, and on a disk it leaves Python's
`__pycache__`, so a version without a model.py, on which the Python backend waits for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.pbtxt.printer import Enum, to_text
from tritonrepo.sync.gating import OUT, Model
from tritonrepo.sync.order import below
from tritonrepo.sync.wording import numbers
from tritonrepo.tree import File, of_text

RULE = "push-downtime"
ENGINE = "vllm"
"""The backend that reserves most of a GPU's memory when it loads, so that two versions hardly ever fit."""

KEPT = ("max_batch_size", "input", "output", "model_transaction_policy")
"""What clients and pipelines need to know of a model, whoever answers."""

PLACEHOLDER = f"{OUT}/model.py"
CODE = of_text('''\
"""Written by tritonrepo push: answers with an error from when the old version has left until the new one serves."""

import json

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """In place of a model of which two versions do not fit in memory."""

    def initialize(self, args):
        """Read how the model answers."""
        policy = json.loads(args["model_config"]).get("model_transaction_policy") or {}
        self.decoupled = policy.get("decoupled", False)
        message = f"{args['model_name']} is being replaced: its new version has not been loaded yet"
        self.error = pb_utils.TritonError(message, pb_utils.TritonError.UNAVAILABLE)

    def execute(self, requests):
        """Answer each request with the error."""
        if not self.decoupled:
            return [pb_utils.InferenceResponse(error=self.error) for _ in requests]
        for request in requests:
            last = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            request.get_response_sender().send(pb_utils.InferenceResponse(error=self.error), flags=last)
        return None
''')


class Switch(StrEnum):
    """How a new version of a model takes the place of the old one: next to it for a while, or after it has left."""

    OVERLAP = "overlap"
    REPLACE = "replace"


Switches = Mapping[str, str]
"""Model → how it switches, for those that do not switch as their backend usually does."""


def usual(*backends: str) -> Switch:
    """Return how a model switches whose states have these backends, unless its stack says otherwise."""
    return Switch.REPLACE if ENGINE in backends else Switch.OVERLAP


def is_replaced(want: Model, have: Model, switches: Switches) -> bool:
    """Whether the two states of a model must not be in memory together; a pipeline has none there."""
    usually = usual(*(model.config.text("backend") for model in (want, have) if model.config))
    return not want.is_ensemble and switches.get(want.name, usually) == Switch.REPLACE


def is_out(model: Model) -> bool:
    """Whether the placeholder has taken the model's place, in a push that was interrupted then."""
    policy = model.config.message("version_policy") if model.config else None
    specific = policy.message("specific") if policy else None
    return specific is not None and OUT in specific.numbers("versions")


def leaves(want: Model, have: Model, loaded: Collection[int], *, beside: bool) -> bool:
    """Whether what servers have loaded of a model must go before they load what is wanted.

    That is so if a version comes and another one goes, or if a version that stays is loaded again because of its
    config or of a file `beside` it. What only comes is wanted in memory together with what is there.
    """
    comes, goes = {*want.served} - {*loaded}, {*loaded} - {*want.served}
    again = {*loaded} & {*want.served} and (beside or _said(want) != _said(have))
    return bool((comes and goes) or again)


def _said(model: Model) -> dict[str, object]:
    """Return what a config says besides its version_policy, which loads and unloads versions one by one."""
    plain = to_plain(model.config) if model.config else {}
    return {name: value for name, value in plain.items() if name != "version_policy"}


def placeholder(have: Model) -> File:
    """Return the config with which servers unload all versions of a model and load the placeholder."""
    plain = to_plain(have.config) if have.config else {}
    config = {name: plain[name] for name in KEPT if name in plain}
    config |= {"name": have.name, "backend": "python", "instance_group": [{"count": 1, "kind": Enum("KIND_CPU")}]}
    config |= {"version_policy": {"specific": {"versions": [OUT]}}}
    head = "# The old version has been taken out of memory; the config of the new one comes next.\n"
    return of_text(head + to_text(config))


def callers(name: str, *states: Mapping[str, Model]) -> list[str]:
    """Return the models whose served versions call a model, directly or indirectly, in any of these states."""
    found: set[str] = set()
    for models in states:
        found |= {each for each in models if name in below(each, models)}
    return sorted(found)


def downtime(want: Model, have: Model, failing: Collection[str], where: str) -> Diagnostic:
    """Return the error for a push that takes a model out; `failing` are the pipelines that call it."""
    old, new = (numbers(each.served) for each in (have, want))
    one = len(want.served) == 1
    how = f"{new} replace{'s' * one} {old}" if old != new else f"{old} {'is' if one else 'are'} loaded again"
    also = f", as do requests to {' and '.join(failing)}" if failing else ""
    message = f'requests to "{want.name}" fail while {how}{also}'
    hint = (
        f"Add `--allow-downtime {want.name}` to accept that. If two copies fit in memory, set `switch: overlap` for it"
        " in the stack file instead."
    )
    return Diagnostic(RULE, Severity.ERROR, Span(f"{where}/{want.name}"), message, hint, want.name)
