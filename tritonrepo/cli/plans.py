"""Options that record a smoke test as a plan, and replay one."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tritonrepo.cli.files import WRITTEN, write
from tritonrepo.cli.output import talk
from tritonrepo.cli.values import NAMED
from tritonrepo.smoke.nearness import TOLERANCE

if TYPE_CHECKING:
    from tritonrepo.server.endpoint import Endpoint
    from tritonrepo.smoke.recording import Recorder

OPTIONS = (
    click.option(
        "--record", type=WRITTEN, metavar="FILE", help="Also write the requests and responses to FILE as a plan."
    ),
    click.option(
        "--replay", type=NAMED, metavar="FILE", help="Send the requests of a plan instead, and compare the responses."
    ),
    click.option(
        "--tolerance",
        type=click.FloatRange(0),
        metavar="PART",
        help="By how much numbers may differ with --replay, as a part of the largest of a tensor."
        f"  [default: {TOLERANCE}]",
    ),
)


class Plans(NamedTuple):
    """Where a plan is written to and read from, and how near numbers must be."""

    record: Path | None
    replay: Path | None
    tolerance: float

    def keep(self, recorder: Recorder, server: Endpoint) -> None:
        """Write what was recorded, and say so."""
        from tritonrepo.flows.smoke import recorded

        assert self.record is not None  # noqa: S101  the caller asks
        write(self.record, recorded(recorder, server))
        talk(f"recorded {recorder.count} cases in {self.record}")


def planning(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options; the command receives them as `plans`."""

    @functools.wraps(command)
    def with_plans(*args: Any, **given: Any) -> int:  # noqa: ANN401  click's
        record, replay, tolerance = (given.pop(name) for name in ("record", "replay", "tolerance"))
        if tolerance is not None and (replay is None or not math.isfinite(tolerance)):
            raise click.UsageError("--tolerance requires --replay, and a finite number")
        if replay is not None and (record is not None or given.get("stack") or given.get("repository")):
            raise click.UsageError("--replay takes what to expect from its FILE: no STACK, --repository or --record")
        return command(*args, plans=Plans(record, replay, TOLERANCE if tolerance is None else tolerance), **given)

    for option in reversed(OPTIONS):
        with_plans = option(with_plans)
    return with_plans
