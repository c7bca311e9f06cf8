"""Which models of a server answer which route: by the inputs and outputs of their served configs.

Names of tensors: `query` → `answer`, `sources` and `query`, `passages`, `ids` → `scores` are those of our parts, and
`text_input` → `text_output` those of the vLLM backend (vllm_backend, src/model.py, auto_complete_config).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from tritonrepo.diagnostics import closest
from tritonrepo.gateway.problem import Problem, of_call, unknown_model, wrong
from tritonrepo.gateway.together import together
from tritonrepo.server.calls import CallError, Calls

STRING, FP32 = "TYPE_STRING", "TYPE_FP32"
READY = "READY"
PROMPT = "_prompt"
"""How the step that makes a generator's prompt is named, after its generator."""

KEPT_S = 15.0
"""How long the list of models is used before the server is asked again."""

AGAIN_S = 1.0
"""How old the list must be for a model that is not on it to make the server be asked again."""

AT_ONCE = 16
"""How many configs are fetched at once."""


class Kind(StrEnum):
    """What a model is asked for; the values are shown with the models."""

    ANSWERS = "chat"
    GENERATES = "generator"
    EMBEDS = "embeddings"
    RERANKS = "rerank"


class Tensor(NamedTuple):
    """An input or output of a config, in Triton's words."""

    name: str
    kind: str
    axes: int
    optional: bool
    width: int


class Offer(NamedTuple):
    """A model that is offered under its name."""

    name: str
    kind: Kind
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    batch: int
    prompt: str = ""

    def shape(self, name: str, *own: int) -> list[int]:
        """Return the shape of an input with one value, or with these sizes, for one row."""
        sizes = list(own) or [1] * self.inputs[name].axes
        return [1, *sizes] if self.batch else sizes

    def routes(self) -> tuple[str, ...]:
        """Return the routes that this model answers."""
        return {
            Kind.ANSWERS: ("chat",),
            Kind.GENERATES: ("chat", "completions") if self.prompt or "messages" in self.inputs else ("completions",),
            Kind.EMBEDS: ("embeddings",),
            Kind.RERANKS: ("rerank",),
        }[self.kind]


def of_config(config: Any) -> Offer | None:  # noqa: ANN401  tritonclient has no types
    """Return what a model with this config offers, None if nothing that a route could ask."""
    takes, gives = ({each.name: _tensor(each) for each in listed} for listed in (config.input, config.output))
    kind = _kind(takes, gives)
    return None if kind is None else Offer(config.name, kind, takes, gives, config.max_batch_size)


def _tensor(told: Any) -> Tensor:  # noqa: ANN401  tritonclient has no types
    kinds = told.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number
    kind = kinds[told.data_type].name if told.data_type in kinds else ""  # a newer server may have more of them
    optional = bool(getattr(told, "optional", False))
    return Tensor(told.name, kind, len(told.dims), optional, told.dims[-1] if told.dims else 0)


def _kind(takes: Mapping[str, Tensor], gives: Mapping[str, Tensor]) -> Kind | None:
    texts = {name for name, each in takes.items() if each.kind == STRING}
    told = {name for name, each in gives.items() if each.kind == STRING}
    needed = {name for name, each in takes.items() if not each.optional}
    found: Kind | None = None
    if "answer" in told and texts & {"query", "messages"} and needed <= {"query", "messages"}:
        found = Kind.ANSWERS
    elif "text_output" in told and "text_input" in texts and needed <= {"text_input"}:
        found = Kind.GENERATES
    elif {"query", "passages", "ids"} <= texts and needed <= {"query", "passages", "ids"} and "ids" in told:
        found = Kind.RERANKS if "scores" in gives else None
    elif len(needed) == 1 and needed <= texts and vector(gives) is not None:
        found = Kind.EMBEDS
    return found


def vector(gives: Mapping[str, Tensor]) -> str | None:
    """Return the output that is an embedding."""
    named = [name for name, each in gives.items() if "embedding" in name and each.kind == FP32 and each.axes == 1]
    return named[0] if len(named) == 1 else None


def paired(found: Iterable[Offer], prompts: Collection[str]) -> dict[str, Offer]:
    """Return the offers by name; a generator whose prompt step is served gets its name."""
    return {
        each.name: each._replace(prompt=f"{each.name}{PROMPT}")
        if each.kind is Kind.GENERATES and f"{each.name}{PROMPT}" in prompts
        else each
        for each in found
    }


class Offers:
    """The models of a server, asked for again from time to time; `exposed`: only these, None for all that fit."""

    def __init__(self, calls: Calls, exposed: Collection[str] | None) -> None:
        self.calls, self.exposed = calls, exposed
        self._found: dict[str, Offer] = {}
        self._away: CallError | None = None
        self._asked_s = float("-inf")
        self._asking = asyncio.Lock()

    async def all(self, older_s: float | None = None) -> dict[str, Offer]:
        """Return the offers by name; raise Problem if the server could never be asked.

        While it is away, those of before are returned: what is then asked of a model fails with its true status.
        """
        most_s = KEPT_S if older_s is None else older_s
        if time.monotonic() - self._asked_s > most_s:
            async with self._asking:
                if time.monotonic() - self._asked_s > most_s:  # another request has not asked meanwhile
                    await self._ask()
        if self._away is not None and not self._found:
            raise _away(self._away)
        return self._found

    async def _ask(self) -> None:
        try:
            self._found, self._away = await self._fetched(), None
            self._asked_s = time.monotonic()
        except CallError as error:  # the next request may ask again, but not all that wait for this one
            self._away, self._asked_s = error, time.monotonic() - KEPT_S + AGAIN_S

    async def get(self, name: str, route: str) -> Offer:
        """Return the model of this name for a route; raise Problem if it is not offered, or for another one."""
        found = (await self.all()).get(name) or (await self.all(AGAIN_S)).get(name)
        if found is None:
            names = [each.name for each in self._found.values() if route in each.routes()]
            raise unknown_model(name, closest(name, names) if names else "")
        if route not in found.routes():
            known = " and ".join(found.routes())
            raise wrong(f"the model `{name}` does not answer {route} requests, only {known}", "model")
        return found

    def forget(self) -> None:
        """Ask the server again soon: a model may have changed."""
        self._asked_s = min(self._asked_s, time.monotonic() - KEPT_S + AGAIN_S)

    async def _fetched(self) -> dict[str, Offer]:
        ready = {each.name for each in await self.calls.index() if each.state == READY}
        names = sorted(ready if self.exposed is None else ready & {*self.exposed})
        offers = await together(self._offered, names, AT_ONCE)
        return paired([each for each in offers if each is not None], ready)

    async def _offered(self, name: str) -> Offer | None:
        try:
            return of_config(await self.calls.config(name))
        except CallError:  # it was unloaded in between
            return None


def _away(error: CallError) -> Problem:
    problem = of_call(error, "")
    if not problem.detail:
        problem.message = f"Triton cannot be asked for its models: {problem.message}"
    return problem
