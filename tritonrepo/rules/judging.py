"""One run over a repository, which owns the verdicts and everything that the rules compute and keep."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace

from tritonrepo.diagnostics import Verdict
from tritonrepo.repository.model import Model, Repository
from tritonrepo.repository.once import Memo


@dataclass(slots=True, eq=False)
class Judging:
    """A repository while it is judged, and what is known about its models so far.

    `repository` holds copies of the models that were read, so that what is kept with them (see `once`) ends with the
    run, and runs know nothing of each other. `verdicts` has the models judged so far. `unpolled` are those whose config
    the server refuses when it reads it: for all others they do not exist. `decoupled` has the ensembles of which it is
    known whether they may send more than one response.
    """

    repository: Repository
    verdicts: dict[str, Verdict] = field(init=False, default_factory=dict)
    unpolled: set[str] = field(init=False, default_factory=set)
    decoupled: dict[str, bool] = field(init=False, default_factory=dict)
    memo: Memo = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        own = {name: _apart(model) for name, model in self.repository.models.items()}
        self.repository = replace(self.repository, models=own)

    @property
    def models(self) -> Mapping[str, Model]:
        """The models of this run, in byte order."""
        return self.repository.models

    def polled(self, name: str) -> bool:
        """Whether the server has a model of this name once it has read all configs."""
        return name in self.repository.models and name not in self.unpolled


def _apart(model: Model) -> Model:
    own = copy(model)
    own.memo = {}
    return own
