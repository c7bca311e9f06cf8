"""When the server makes a check: its stage, and after which other check, as a rule's decorator says.

Source: core, src/model_repository_manager/model_repository_manager.cc (Poll, InitializeModelInfo),
src/model_config_utils.cc (ValidateModelConfig, ValidateModelIOConfig), src/model_repository_manager/model_lifecycle.cc
(AsyncLoad, CreateModel), src/backend_model.cc; python_backend, src/python_be.cc, ModelState; src/stub_launcher.cc,
Launch; src/pb_stub.cc, Init, StubSetup, AutoCompleteModelConfig, Initialize; vllm_backend, src/model.py. Most
neighbours were confirmed by models with two faults on 24.10.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Stage(StrEnum):
    """What the server is doing; a verdict uses the word before a slash."""

    UNJUDGED = "/unjudged"
    """Before everything that the server checks: what it finds behind a link out of the repository is unknown."""
    START = "start"
    PARSE = "parse"
    POLL = "poll"
    NAME = "poll/name"
    IO = "io"
    GRAPH = "graph"
    GRAPH_LOAD = "graph-load"
    ENSEMBLE = "ensemble"
    LOAD = "load"
    BACKEND = "backend"
    """The backend when it receives the model."""
    IMPORT = "backend/import"
    """The Python backend while it imports the model."""
    COMPLETION = "backend/completion"
    """The backend while it completes the config, which happens only with auto-complete."""
    COMPLETED = "load/completed"
    """The core once the config is complete."""
    INSTANCE = "backend/instance"
    """The backend while an instance of the model starts."""
    WARMUP = "load/warmup"
    """The core once the instances exist."""
    RUNTIME = "runtime"

    @property
    def said(self) -> str:
        """The stage's name in a verdict."""
        return self.value.partition("/")[0]

    @property
    def first(self) -> Position:
        """The position of the stage's first check."""
        return Position(self)

    def after(self, rule: str) -> Position:
        """Return the position of a separate check, right after another rule's; of a walk, name its last rule."""
        return Position(self, rule)

    def same_walk(self, rule: str) -> Position:
        """Return the position in a walk over a list in which the server makes several checks per item.

        The fault of the earlier item comes first (see `Finding.item`), and within an item that of the earlier rule.
        """
        return Position(self, rule, in_walk=True)


class Position(NamedTuple):
    """A rule's place in the server's order: in a stage, right after the rule `before`, "" for the first one."""

    stage: Stage
    before: str = ""
    in_walk: bool = False


AT_POLL = (Stage.UNJUDGED, Stage.START, Stage.PARSE, Stage.POLL)
AT_GRAPH = (Stage.GRAPH, Stage.GRAPH_LOAD, Stage.ENSEMBLE)

WITH_AUTO_COMPLETE = (
    *AT_POLL,
    Stage.NAME,
    *AT_GRAPH,
    Stage.LOAD,
    Stage.BACKEND,
    Stage.IMPORT,
    Stage.COMPLETION,
    Stage.IO,
    Stage.COMPLETED,
    Stage.INSTANCE,
    Stage.WARMUP,
    Stage.RUNTIME,
)
"""I/O is checked at load, on the config that the backend completed; Python imports a model to complete it."""

WITHOUT_AUTO_COMPLETE = (
    *AT_POLL,
    Stage.IO,
    Stage.NAME,
    *AT_GRAPH,
    Stage.LOAD,
    Stage.BACKEND,
    Stage.COMPLETED,
    Stage.IMPORT,
    Stage.INSTANCE,
    Stage.WARMUP,
    Stage.RUNTIME,
)
"""I/O is checked at poll, before the name; Python imports a model for its first instance."""
