"""The options that every command has, and what they say of the run: whether it is quiet, and when it uses colors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from click.core import ParameterSource

HELP = ["--help", "-h"]
QUIET, COLOR = "quiet", "color"
COLORS = ("auto", "always", "never")


def options() -> Iterator[click.Option]:
    """Yield the options. A command has objects of its own, because the variable that sets an option is named after it.

    None is a parameter of a command: the run keeps their values, so that what prints can ask for them.
    """
    yield click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_keep,
        help="Print only the result, warnings and errors, without progress.",
    )
    yield click.Option(
        ["--color"],
        type=click.Choice(COLORS),
        default=COLORS[0],
        expose_value=False,
        callback=_keep,
        help="When to use colors: auto colors the text on a terminal.",
    )


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:  # noqa: ANN401  click's signature
    """Keep a value for the run: the command line comes before variables, then a command before what stands before it.

    The context of a command shares `meta` with those of the groups above it, whose options are read first.
    """
    name = str(option.name)
    source = context.get_parameter_source(name)
    if source not in {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}:
        return
    kept = context.meta.get(_key(name))
    if kept is None or source is ParameterSource.COMMANDLINE or kept[1] is not ParameterSource.COMMANDLINE:
        context.meta[_key(name)] = value, source


def _key(name: str) -> str:
    return f"tritonrepo.{name}"


def _kept(name: str, default: Any) -> Any:  # noqa: ANN401  an option's value
    context = click.get_current_context(silent=True)
    return default if context is None else context.meta.get(_key(name), (default, None))[0]


def add(command: click.Command) -> None:
    """Add the options to a command that does not have them yet; -h is known whatever context it is first asked in."""
    there = {each.name for each in command.params}
    command.params += [option for option in options() if option.name not in there]
    command.get_help_option(click.Context(command, help_option_names=HELP))  # which click keeps


def quiet() -> bool:
    """Return whether the command that runs prints only its result, warnings and errors."""
    return bool(_kept(QUIET, default=False))


def color() -> str:
    """Return when the command that runs uses colors: one of COLORS."""
    return str(_kept(COLOR, default=COLORS[0]))
