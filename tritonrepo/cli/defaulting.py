"""A group of commands of which one has a short form: `tritonrepo bench URL` is `tritonrepo bench run URL`."""

from __future__ import annotations

from typing import Any

import click


class Defaulting(click.Group):
    """Group whose `default` command gets a command line that names none of the others."""

    def __init__(self, *args: Any, default: str = "", **given: Any) -> None:  # noqa: ANN401  click's signature
        super().__init__(*args, **given)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Name the default command where none is named."""
        if args and args[0] not in {*self.commands, *self.get_help_option_names(ctx)}:
            args = [self.default, *args]
        return super().parse_args(ctx, args)
