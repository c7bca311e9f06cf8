"""The command line of `vllm serve`: the option of each engine argument, by vLLM version; data/vllm_flags.json."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from tritonrepo.diagnostics import nearest
from tritonrepo.packaged import facts

VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}(?:\.post[0-9]{1,4}|\.[0-9]{1,4})?")


BEARER = "hf_token"
SAID = "Remove it, and set HF_TOKEN in the environment of the server."


class Option(NamedTuple):
    """An option of `vllm serve`: its name, and its form, as data/vllm_flags.json describes them."""

    flag: str
    form: str


class Wrong(NamedTuple):
    """What is wrong with an engine argument on the command line; `certain` is False for a version that was not read."""

    key: str
    message: str
    hint: str
    certain: bool = True


class Line(NamedTuple):
    """Words of a command line, one tuple an option, by the engine argument that they set; and what is wrong."""

    words: Mapping[str, tuple[str, ...]]
    wrong: tuple[Wrong, ...]


def versions() -> Sequence[str]:
    """Return the versions whose options are known, from the oldest to the newest."""
    found: Sequence[str] = facts("vllm_flags")["versions"]
    return found


def order(version: str) -> tuple[int, ...]:
    """Return what versions are compared by."""
    return tuple(map(int, re.findall(r"[0-9]+", version)))


def around(version: str) -> tuple[str, ...]:
    """Return the version itself if it was read, otherwise the nearest ones below and above it."""
    known = versions()
    place = bisect_left([order(each) for each in known], order(version))
    return (version,) if version in known else tuple(known[max(0, place - 1) : place + 1])


def serves(option: str, version: str) -> bool:
    """Return whether this version certainly has an option, given without dashes in front."""
    known = facts("vllm_flags")
    rows = known["engine"].get(option.replace("-", "_")) or known["server"].get(option, ())
    return all(_at(rows, each) is not None for each in around(version))


def option(key: str, version: str) -> tuple[Option | None, bool]:
    """Return the option of an engine argument, None if the version has none, and whether that is certain."""
    found = [_at(facts("vllm_flags")["engine"].get(key, ()), each) for each in around(version)]
    options = [
        None if row is None else Option(row.get("flag", f"--{key.replace('_', '-')}"), row["form"]) for row in found
    ]
    return next((each for each in reversed(options) if each is not None), None), len({*options}) == 1


def line(arguments: Mapping[str, Any], version: str) -> Line:
    """Return the command line that gives an engine these arguments. What is null is left to vLLM."""
    words, wrong = dict[str, tuple[str, ...]](), list[Wrong]()
    for key, value in arguments.items():
        if value is None:
            continue
        if key == BEARER and isinstance(value, str):
            wrong.append(Wrong(key, f"{key} would be a token that everybody can read in a command line", SAID))
            continue
        found, certain = option(key, version)
        name, given = (key, value) if found is not None else _now(key, value)
        found = found or option(name, version)[0]
        if found is None:
            wrong.append(
                Wrong(key, f'`vllm serve` of vLLM {version} has no option for "{key}"', _instead(key, version))
            )
            continue
        written = _written(found, given)
        if written is None:
            wrong.append(Wrong(key, f"{found.flag} of vLLM {version} cannot be {_shown(value)}", _form(found)))
            continue
        if not certain:
            wrong.append(
                Wrong(key, _unread(found, version), f"Use vLLM {' or '.join(around(version))}.", certain=False)
            )
        words |= {name: written} if written else {}
    return Line(words, tuple(wrong))


def _at(rows: Sequence[Mapping[str, Any]], version: str) -> Mapping[str, Any] | None:
    """Return the row of an option for a version that was read."""
    place = versions().index
    at = place(version)
    return next((row for row in rows if place(row["since"]) <= at <= place(row.get("until", versions()[-1]))), None)


def _now(key: str, value: Any) -> tuple[str, Any]:  # noqa: ANN401  JSON
    """Return the argument that replaced one, with its value; the same if a replacement takes other values."""
    known = facts("vllm_arguments")["arguments"].get(key, {})
    if known.get("change") == "renamed":
        return known["now"], value
    if known.get("change") == "inverted" and isinstance(value, bool):
        return known["now"], not value
    return key, value


def _instead(key: str, version: str) -> str:
    rows = facts("vllm_flags")["engine"].get(key)
    known = facts("vllm_arguments")["arguments"].get(key, {})
    if "now" in known and order(version) > order(known.get("until", version)):
        inside = "in " if known.get("change") == "inside" else ""
        return f"Set it {inside}{known['now']} instead." if inside else f"Use {known['now']} instead."
    if rows:
        first, last = rows[0]["since"], rows[-1].get("until")
        newer = f"{first} or later" if last is None else f"{first} to {last}" if last != first else first
        return f"Use vLLM {newer}, as in `--vllm {last or first}`, or remove it."
    near = nearest(key, facts("vllm_flags")["engine"], 0.8)
    return f'Did you mean "{near}"?' if near else "Remove it from the engine arguments."


def _unread(found: Option, version: str) -> str:
    return (
        f"whether vLLM {version} has {found.flag} is not known: of its neighbors that were read, not all have it alike"
    )


def _shown(value: Any) -> str:  # noqa: ANN401  JSON
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


SHOWN = 60
"""Characters of a value in a message."""

FORMS = {
    "boolean": "It takes true or false.",
    "switch": "It takes true or false.",
    "off": "It takes true or false.",
    "text": "It takes true or false.",
    "list": "It takes a list of strings or numbers, of which none is empty or begins with a dash.",
    "json": "It takes an object.",
    "pairs": "It takes an object of numbers.",
    "value": "It takes a string or a number.",
}


def _form(found: Option) -> str:
    return FORMS[found.form]


def _written(found: Option, value: Any) -> tuple[str, ...] | None:  # noqa: ANN401  JSON
    """Return the words of an option with a value; none for what is its default, None if it cannot have the value."""
    if isinstance(value, bool):
        return _boolean(found, value=value)
    if isinstance(value, dict):
        return _object(found, value)
    if isinstance(value, list):
        return _several(found, value)
    endless = isinstance(value, float) and not isfinite(value)
    if endless or not isinstance(value, str | int | float) or found.form in {"boolean", "switch", "off", "text"}:
        return None
    return _several(found, [value]) if found.form == "list" else (f"{found.flag}={value}",)


def _object(found: Option, value: Mapping[str, Any]) -> tuple[str, ...] | None:
    if found.form == "pairs" and value and all(isinstance(each, int) for each in value.values()):
        return (f"{found.flag}={','.join(f'{name}={each}' for name, each in value.items())}",)
    return (f"{found.flag}={json.dumps(value)}",) if found.form == "json" else None


def _boolean(found: Option, *, value: bool) -> tuple[str, ...] | None:
    if found.form == "value":  # --hf-token without a value: the token that the machine has
        return (found.flag,) if value and found.flag == f"--{BEARER.replace('_', '-')}" else None
    name = found.flag.removeprefix("--")
    written = {
        "boolean": (found.flag if value else f"--no-{name}",),
        "switch": (found.flag,) if value else (),
        "off": () if value else (found.flag,),
        "text": (f"{found.flag}={str(value).lower()}",),
    }
    return written.get(found.form)


def _several(found: Option, values: Sequence[Any]) -> tuple[str, ...] | None:
    """Return an option with several words: each must be one that cannot be taken for an option."""
    words = [str(each) for each in values if isinstance(each, str | int | float) and not isinstance(each, bool)]
    if found.form == "json" and values:
        return (f"{found.flag}={json.dumps(values)}",)
    if found.form != "list" or len(words) != len(values) or not all(_is_word(each) for each in words):
        return None
    return (found.flag, *words) if words else ()


def _is_word(text: str) -> bool:
    return bool(text) and not text.startswith("-")
