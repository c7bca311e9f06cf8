"""The option that names the GPUs of the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from tritonrepo.diagnostics import closest
from tritonrepo.flows.validate import Aim
from tritonrepo.llm.capabilities import gpu, gpus


def gpu_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option."""
    return click.option("--gpu", metavar="NAME", help="Model of the GPUs, such as T4 or A100.  [default: any]")(command)


def with_gpu(aim: Aim, name: str | None) -> Aim:
    """Return a function that makes the same target with GPUs of this model; raise a usage error for an unknown one."""
    found = None if name is None else gpu(name)
    if name is not None and found is None:
        raise click.UsageError(f'unknown GPU "{name}". {closest(name, [each.name for each in gpus().values()])}')
    return aim if found is None else lambda record, stack: replace(aim(record, stack), gpu=found)
