"""The empty form of a cost file: every input with its meaning and unit, and not one price."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.cost.keys import KEYS, LICENSES, unit

HEAD = """\
# What serving costs. Fill in what is empty, remove what is not to be counted, and run `tritonrepo cost` on this file.
#
# A value is a number or [low, mid, high]. Write a range wherever you are not sure: the result says which ones matter.
# date is the day on which a value held, such as 2026-01-31, and source says where anyone can look it up.
#
# A result of `tritonrepo bench` can give tokens_per_second, replica_rate, answer_tokens and input_output_ratio: remove
# them, and add --bench RESULT to the command.
currency:  # such as USD
"""

SHARED = "shared:  # what all options have; a value of an option replaces it"
OPTIONS = "options:  # ways to serve: rename them, and add others; they are compared with the first one"
NAMES = ("vLLM", "Triton")

OWN = ("gpus", "replicas", LICENSES[0], "setup_hours", "care_hours", "tokens_per_second", "replica_rate")
"""What usually differs between options."""


def form() -> str:
    """Return the text of the form."""
    shared = (line for key in KEYS if key not in OWN and key != LICENSES[1] for line in _input(key, "  "))
    options = (line for name in NAMES for line in (f"  {name}:", *_own(name)))
    return HEAD + "\n".join([SHARED, *shared, OPTIONS, *options, ""])


def _own(name: str) -> Iterator[str]:
    """Yield the inputs of an option; those of the first have comments."""
    for key in OWN:
        yield from _input(key, "    ", said=name == NAMES[0])


def _input(name: str, indent: str, *, said: bool = True) -> Iterator[str]:
    key = KEYS[name]
    if said:
        money = f" ({unit(name, 'CURRENCY')})" if "CURRENCY" in key.unit else ""
        yield f"{indent}# {key.doc}{money}"
    if name == LICENSES[0] and said:
        yield f"{indent}# or, in place of it, {LICENSES[1]}: {KEYS[LICENSES[1]].doc}"
    if key.sourced:
        yield from (f"{indent}{name}:", *(f"{indent}  {each}:" for each in ("value", "date", "source")))
    else:
        yield f"{indent}{name}:"
