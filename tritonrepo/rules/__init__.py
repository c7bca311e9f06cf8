"""The checks that Triton and its backends make, and what loads but is surely not meant; one module per family.

Importing this registers what a repository is judged by. The rules of manifests are imported with `families`, once the
registry is asked for more: reading manifests takes a YAML parser, and a small repository is judged in less time.
"""

from __future__ import annotations

from tritonrepo.rules import backends, ensembles, fields, ignores, instances, layout, onnx, python, scheduling
from tritonrepo.rules.judge import Judged, judge
from tritonrepo.rules.order import turns
from tritonrepo.rules.registry import RULES, Rule

FIRST = (layout, fields, scheduling, instances, ensembles, backends, onnx, python, ignores)
"""The families whose rules repositories are judged by."""

__all__ = ["FIRST", "RULES", "Judged", "Rule", "judge"]


def _others() -> None:
    from tritonrepo.rules import families  # noqa: F401  see above


RULES.others = _others

turns(auto_complete=True)  # a rule without a place in the server's order fails here, not in a run
