"""What serving costs, as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from tritonrepo.cost.comparing import Comparison, License
from tritonrepo.cost.costs import Costs, Priced
from tritonrepo.cost.inputs import Range
from tritonrepo.cost.keys import unit
from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.report import json

DIGITS = 12
"""Digits of a number that count: enough for any amount, and too few for the noise of a double."""


def document(costs: Costs | None, found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/cost.schema.json` describes; without a result, what ended the command."""
    found = [*(costs.found if costs else ()), *found]
    severities = Counter(each.severity for each in found)
    rest: dict[str, object] = {
        "currency": costs.inputs.currency if costs else None,
        "baseline": costs.inputs.baseline if costs else None,
        "compared_by": costs.headline.name if costs else None,
        "options": [_option(each, costs) for each in costs.priced] if costs else [],
        "comparisons": [_comparison(each) for each in costs.comparisons] if costs else [],
        "more_than_the_choice": [each.name for each in costs.swamping] if costs else [],
        "licenses": [_license(each) for each in costs.licenses] if costs else [],
        "published": [
            {"option": each.option, "year1": _number(each.total), "rate": _maybe(each.rate), "arithmetic": each.text}
            for each in (costs.published if costs else ())
        ],
        "summary": {str(severity): severities[severity] for severity in Severity},
    }
    return json.document(found, rest)


def _option(priced: Priced, costs: Costs) -> dict[str, object]:
    return {
        "name": priced.option.name,
        "figures": {
            line.formula.name: {"formula": line.formula.text, "unit": str(line.formula.unit), **_range(line.value)}
            for line in priced.lines
        },
        "inputs": {
            name: {
                **_range(each.value),
                "unit": unit(name, costs.inputs.currency),
                "date": each.date.isoformat() if each.date else None,
                "source": each.source or None,
                "shared": each.shared,
            }
            for name, each in priced.option.inputs.items()
        },
        "moved_by": [
            {
                "input": each.name,
                "at_low": _number(each.at_low),
                "at_high": _number(each.at_high),
                "factor": _maybe(each.factor),
            }
            for each in priced.swings
        ],
    }


def _comparison(each: Comparison) -> dict[str, object]:
    return {"option": each.option, "baseline": each.baseline, "ratio": _range(each.ratio), "differs": each.differs}


def _license(each: License) -> dict[str, object]:
    return {
        "option": each.option,
        "baseline": each.baseline,
        "year": _number(each.year),
        "speed_up_needed": None if each.needed is None else _range(each.needed),
        "speed_up_stated": None if each.measured is None else _range(each.measured),
        "pays_by_speed": None if each.pays_by_speed is None else str(each.pays_by_speed),
        "hours_saved": _maybe(each.saved_hours),
        "hours_still_to_save": _maybe(each.more_hours),
    }


def _range(value: Range) -> dict[str, float]:
    return {"low": _number(value.low), "mid": _number(value.mid), "high": _number(value.high)}


def _maybe(value: Fraction | None) -> float | None:
    return None if value is None else _number(value)


def _number(value: Fraction) -> float:
    return value.numerator if value.denominator == 1 else float(f"{float(value):.{DIGITS}g}")
