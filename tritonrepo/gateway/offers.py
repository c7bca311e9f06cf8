"""Which models of a server answer which route: by the inputs and outputs of their served configs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable

from tritonrepo.diagnostics import closest
from tritonrepo.gateway.problem import Problem, of_call, unknown_model, wrong
from tritonrepo.gateway.together import together
from tritonrepo.server.calls import CallError, Calls
from tritonrepo.server.offering import Kind, Offer, of_config

READY = "READY"
PROMPT = "_prompt"
"""How the step that makes a generator's prompt is named, after its generator."""

KEPT_S = 15.0
"""How long the list of models is used before the server is asked again."""

AGAIN_S = 1.0
"""How old the list must be for a model that is not on it to make the server be asked again."""

AT_ONCE = 16
"""How many configs are fetched at once."""


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
