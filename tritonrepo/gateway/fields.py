"""The fields of a request: each is read, ignored as harmless, or refused since leaving it out would change the answer.

Source of the fields: https://platform.openai.com/docs/api-reference, chat, completions, embeddings; the sampling
parameters beyond OpenAI's are vLLM's (vllm/sampling_params.py), and the backend passes them on (vllm_backend,
src/model.py).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from tritonrepo.diagnostics import nearest
from tritonrepo.gateway.problem import wrong

SHOWN = 40
"""How much of a value a message quotes, in characters."""

HARMLESS = frozenset(
    {
        *("metadata", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"),
        *("service_tier", "store", "user"),
    }
)
"""Fields that say nothing about the answer itself, so that they are ignored."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "audio": (),
    "echo": (False,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "prediction": (),
    "reasoning_effort": (),
    "response_format": ({"type": "text"},),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": (),
    "web_search_options": (),
}
"""Field → the values that ask for nothing, beside null; any other is refused."""


class Number(NamedTuple):
    """A parameter with a number between two bounds; `whole`: an integer, and `above`: the least is not allowed."""

    least: float
    most: float
    whole: bool = False
    above: bool = False


SAMPLING: Mapping[str, Number] = {
    "temperature": Number(0, 100),
    "top_p": Number(0, 1, above=True),
    "frequency_penalty": Number(-2, 2),
    "presence_penalty": Number(-2, 2),
    "seed": Number(-(1 << 63), (1 << 63) - 1, whole=True),
    "top_k": Number(-1, 1 << 31, whole=True),
    "min_p": Number(0, 1),
    "repetition_penalty": Number(0, 100, above=True),
    "min_tokens": Number(0, 1 << 31, whole=True),
}
"""Sampling parameters that are passed on, with their bounds."""

LIMITS = ("max_completion_tokens", "max_tokens")
"""The newer name comes first."""

STOPS = 16
"""How many texts can end an answer."""


class Fields:
    """The fields of one request; those of `known` are read by its route."""

    def __init__(self, values: object, known: Collection[str]) -> None:
        if not isinstance(values, dict):
            raise wrong("the body must be a JSON object")
        self.values = {name: value for name, value in values.items() if value is not None}
        for name, value in self.values.items():
            if name in known or name in HARMLESS:
                continue
            if name not in NEUTRAL:
                near = nearest(name, [*known, *NEUTRAL])
                raise wrong(f"unknown field `{shown(name)}`{f'; did you mean `{near}`?' if near else ''}", name)
            if not any(value == each and type(value) is type(each) for each in NEUTRAL[name]):
                raise wrong(f"`{name}` is not supported here; leave it out", name, "unsupported_parameter")

    def text(self, name: str) -> str:
        """Return a text that must be there."""
        if name not in self.values:
            raise wrong(f"`{name}` is missing", name, "missing_required_parameter")
        return sendable(self.of(name, str, "a string"))

    def flag(self, name: str) -> bool:
        """Return a boolean, by default false."""
        return bool(self.of(name, bool, "true or false")) if name in self.values else False

    def of(self, name: str, kind: type, what: str) -> Any:  # noqa: ANN401  foreign data
        """Return the value of a field, which must be of this type."""
        if not isinstance(value := self.values[name], kind):
            raise wrong(f"`{name}` must be {what}, not {shown(value)}", name)
        return value

    def one_of(self, name: str, allowed: Collection[str], default: str) -> str:
        """Return one of a few words."""
        value = self.values.get(name, default)
        if not isinstance(value, str) or value not in allowed:
            raise wrong(f"`{name}` must be {' or '.join(map(_quoted, allowed))}, not {shown(value)}", name)
        return value

    def number(self, name: str, bounds: Number) -> float | int | None:
        """Return a number within bounds, None if the field is not there."""
        if name not in self.values:
            return None
        value, kinds = self.values[name], int if bounds.whole else int | float
        good = isinstance(value, kinds) and not isinstance(value, bool) and bounds.least <= value <= bounds.most
        if not good or not math.isfinite(value) or (bounds.above and value == bounds.least):
            what = "an integer" if bounds.whole else "a number"
            least = f"above {bounds.least:g} and at most" if bounds.above else f"from {bounds.least:g} to"
            raise wrong(f"`{name}` must be {what} {least} {bounds.most:g}, not {shown(value)}", name)
        return value  # type: ignore[no-any-return]  # it is a number by now

    def sampling(self, most_tokens: int | None) -> dict[str, Any]:
        """Return the sampling parameters by vLLM's names."""
        found = {name: value for name, at in SAMPLING.items() if (value := self.number(name, at)) is not None}
        limits = {name: value for name in LIMITS if (value := self.number(name, TOKENS)) is not None}
        if len({*limits.values()}) > 1:
            raise wrong("`max_tokens` and `max_completion_tokens` differ", LIMITS[0])
        for name, value in limits.items():
            if most_tokens is not None and value > most_tokens:
                raise wrong(f"`{name}` must be at most {most_tokens} here, not {value}", name)
            found["max_tokens"] = value
        return found | self._stop()

    def _stop(self) -> dict[str, Any]:
        if "stop" not in self.values:
            return {}
        stop = self.values["stop"]
        listed = [stop] if isinstance(stop, str) else stop
        if not isinstance(listed, list) or not all(isinstance(each, str) and each for each in listed):
            raise wrong("`stop` must be a string or a list of strings that are not empty", "stop")
        if len(listed) > STOPS:
            raise wrong(f"`stop` must have at most {STOPS} strings, not {len(listed)}", "stop")
        return {"stop": [sendable(each) for each in listed]} if listed else {}


TOKENS = Number(1, 1 << 31, whole=True)

CONTROLS = frozenset({*SAMPLING, *LIMITS, "stop"})
"""Fields that `sampling` reads."""


def sendable(text: str) -> str:
    """Return a text that UTF-8 can hold: JSON can escape half a character."""
    return text.encode("utf-8", "replace").decode()


def shown(value: object) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = value if isinstance(value, str) else json.dumps(value)
    return sendable(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def _quoted(text: str) -> str:
    return f'"{text}"'
