"""Completion of a command line by its shell: what it offers beyond what click knows, and that it never shows an error.

A completion script calls `tritonrepo` with a variable that only it sets; this module is imported then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

Names = Callable[[], Mapping[str, str]]
"""Returns names, each with what it means."""

FILES = {"DIR", "DIRECTORY", "FILE", "PATH", "REPOSITORY", "STACK"}
"""Words of what an argument takes that can be a path."""


def _rules() -> dict[str, str]:
    from tritonrepo.rules import RULES

    return _families() | {name: _title(rule.check.__doc__ or "") for name, rule in RULES.items()}


def _explained() -> Mapping[str, str]:
    from tritonrepo.report.registry import REGISTRY

    return {**dict.fromkeys(REGISTRY, ""), **_rules()}


def _families() -> dict[str, str]:
    from tritonrepo.rules.families import FAMILIES

    return {family.__name__.rpartition(".")[2]: _title(family.__doc__ or "") for family in FAMILIES}


def _title(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip(".")


def _releases() -> Mapping[str, str]:
    from tritonrepo.releases import RELEASES

    return dict.fromkeys(sorted(RELEASES, reverse=True), "")


def _images() -> Mapping[str, str]:
    from tritonrepo.releases import RELEASES

    return dict.fromkeys(sorted({image for release in RELEASES.values() for image in release.images or ()}), "")


def _gpus() -> Mapping[str, str]:
    from tritonrepo.llm.gpus import gpus

    return dict.fromkeys(gpus(), "")


BY_NAME: Mapping[str, Names] = {
    "select": _rules,
    "ignore": _rules,
    "rule": _explained,
    "release": _releases,
    "upgrade_to": _releases,
    "image": _images,
    "gpu": _gpus,
}
"""Parameter → the names that it takes."""


def offered(names: Mapping[str, str], incomplete: str) -> list[CompletionItem]:
    """Return those of the names that begin so, each with what it means."""
    return [CompletionItem(name, help=said or None) for name, said in names.items() if name.startswith(incomplete)]


class _Offered(click.ParamType[Any]):
    """Value of which the shell is told what it can be; it is read as before."""

    def __init__(self, names: Names, before: click.ParamType[Any]) -> None:
        self.name = before.name
        self._names, self._before = names, before

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  click's signature
        """Return what the type before returns."""
        return self._before.convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002  click's signature
        """Return the names that begin so."""
        return offered(self._names(), incomplete)


def prepare(command: click.Command) -> None:
    """Set the types that say what the parameters of a command, and of its subcommands, can be."""
    for each in command.params:
        words = set(re.split(r"[^A-Z]+", each.metavar or str(each.name).upper()))
        if names := BY_NAME.get(str(each.name)):
            each.type = _Offered(names, each.type)
        elif words & {"RELEASE", "RELEASES"}:
            each.type = _Offered(_releases, each.type)
        elif isinstance(each.type, type(click.STRING)) and words & FILES:
            each.type = click.Path()
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        prepare(below)


class _Answered(ShellComplete):
    """What all shells have in common."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what fits the whole word; of --format=j, click completes only what follows the "="."""
        name, equals, _ = incomplete.partition("=")
        found = super().get_completions(args, incomplete)
        if not (name.startswith("-") and equals):
            return found
        return [CompletionItem(f"{name}={each.value}", help=each.help) for each in found if each.type == "plain"]

    def complete(self) -> str:
        """Return what is offered: nothing for a line that cannot be completed, such as one with an unknown command."""
        try:
            return super().complete()
        except Exception:  # noqa: BLE001  a traceback would stand in the middle of what is typed
            return ""


class _Bash(_Answered, BashComplete):
    """Bash, for which "=" is a word of its own."""

    def source(self) -> str:
        """Return the script; click would also start the bash that it finds, to see whether it is too old."""
        return ShellComplete.source(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and that one."""
        words, word = super().get_completion_args()
        return [each for each in words if each != "="], "" if word == "=" else word


class _Zsh(_Answered, ZshComplete):
    pass


class _Fish(_Answered, FishComplete):
    pass


SHELLS: Mapping[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def register() -> None:
    """Let click use these in place of its own."""
    for name, shell in SHELLS.items():
        add_completion_class(shell, name)
