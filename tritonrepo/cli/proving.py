"""What `up` prints of its smoke test, and of what it builds and reloads while the server runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tritonrepo.cli.output import say, talk
from tritonrepo.cli.results import gaps, summary
from tritonrepo.cli.serving import tell
from tritonrepo.flows.serve import ServeOptions
from tritonrepo.flows.up import Up
from tritonrepo.smoke.case import Outcome, Result
from tritonrepo.smoke.causes import diagnosed


def rebuilding(running: Up, chosen: ServeOptions) -> Callable[[], bool]:
    """Return the function that builds and reloads what changed, and says so."""
    from tritonrepo.flows.rebuilding import Rebuilding
    from tritonrepo.flows.reloading import told

    watching = Rebuilding(running, chosen)

    def rebuild() -> bool:
        done, results = watching.changes()
        for each in told(done):
            tell(each)
        if results:
            proven(results)
        return watching.down

    return rebuild


def proven(results: Sequence[Result]) -> bool:
    """Print the result of the smoke test, and return whether no check failed."""
    for diagnostic in diagnosed(results):
        say(*diagnostic.lines, err=True)
    for line in gaps(results):
        say(line, err=True)
    talk(f"smoke: {summary(results)}")
    return all(result.outcome is not Outcome.FAILED for result in results)
