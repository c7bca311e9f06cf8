"""Options of what a load sends: prompts, and what is asked of answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tritonrepo.cli.values import NAMED, Form

if TYPE_CHECKING:
    from tritonrepo.bench.load import Sampling
    from tritonrepo.flows.bench_prompts import PromptOptions

LENGTH = re.compile(r"([0-9]{1,7})(?:(?:±|\+-|\+/-)([0-9]{1,7}))?")
USUAL = 128
TOKENS = click.IntRange(1, 10_000_000)


def _length(text: str) -> tuple[int, int]:
    """Return a number of tokens, and its standard deviation."""
    found = LENGTH.fullmatch(text.replace(" ", ""))
    if not found or not int(found[1]):
        raise ValueError(f'"{text}" is not a number of tokens, such as 512 or 512±64')
    return int(found[1]), int(found[2] or 0)


def _share(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]+)?|\.[0-9]+) ?(%?)", text.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 <= share <= 1:
        raise ValueError(f'"{text}" is not a share, such as 0.5 or 50%')
    return share


OPTIONS = (
    click.option(
        "--questions", type=NAMED, metavar="FILE", help="Prompts: JSON Lines with text, or one text on each line."
    ),
    click.option(
        "--stack", type=NAMED, metavar="STACK", help="Make the prompts from the documents of a stack's retrievers."
    ),
    click.option(
        "--input-tokens",
        type=Form("tokens", _length),
        metavar="N[±STD]",
        help="Make prompts of so many words, which are about as many tokens; with --tokenizer, of so many tokens."
        f"  [default: {USUAL}]",
    ),
    click.option(
        "--shared-prefix",
        type=Form("share", _share),
        metavar="SHARE",
        help="Share of each made prompt that all have.",
    ),
    click.option(
        "--documents", type=click.IntRange(1, 10_000), metavar="N", help="Documents of each request to a reranker."
    ),
    click.option("--max-tokens", type=TOKENS, default=USUAL, metavar="N", help="Most tokens of each answer."),
    click.option(
        "--exact", is_flag=True, help="Let every answer have --max-tokens: ask for ignore_eos and min_tokens."
    ),
    click.option(
        "--set", "values", multiple=True, metavar="NAME=VALUE", help="Other parameter of requests. Repeatable."
    ),
    click.option(
        "--tokenizer",
        type=NAMED,
        metavar="FILE",
        help="tokenizer.json of the model, for what the server does not count.",
    ),
)


def prompts_of(given: Mapping[str, Any]) -> PromptOptions:
    """Return what the prompts are; raise a usage error if options contradict each other."""
    from tritonrepo.flows.bench_prompts import PromptOptions  # imported here to keep `--help` quick

    named = ("questions", "stack", "trace", "input_tokens")
    chosen = [f"--{name.replace('_', '-')}" for name in named if given.get(name) is not None]
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} cannot be combined: each of them says what prompts are")
    if given["shared_prefix"] is not None and chosen not in ([], ["--input-tokens"]):
        raise click.UsageError(f"--shared-prefix is for made prompts, and cannot be combined with {chosen[0]}")
    tokens, spread = given["input_tokens"] or (USUAL, 0)
    return PromptOptions(
        given["questions"],
        given.get("trace"),
        given["stack"],
        tokens,
        spread,
        given["shared_prefix"] or 0.0,
        given["documents"],
        given["seed"],
    )


def sampling_of(given: Mapping[str, Any]) -> Sampling:
    """Return what is asked of answers; raise a usage error for a parameter that is none."""
    from tritonrepo.bench.load import Sampling  # imported here to keep `--help` quick
    from tritonrepo.server.questions import value

    other: dict[str, Any] = {}
    for text in given["values"]:
        name, equals, said = text.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f'--set "{text}" must have the form NAME=VALUE')
        if name.strip() in other:
            raise click.UsageError(f"--set {name.strip()} is given twice")
        other[name.strip()] = value(said)
    return Sampling(given["max_tokens"], given["exact"], other)
