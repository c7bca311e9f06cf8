"""What an upgrade breaks, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from tritonrepo.diagnostics import Diagnostic, Verdict, some
from tritonrepo.plain import printable
from tritonrepo.report import json, text
from tritonrepo.report.releases import SPOKEN, UNKNOWN
from tritonrepo.rules.upgrades import Upgrade

FEW = 12
"""So many models are named in a line, and so many findings that end are listed."""


def lines(upgrade: Upgrade, *, colour: bool = False) -> Iterator[str]:
    """Yield what the new release says and the present one does not, what ends, and which models stop loading."""
    versions = "; ".join(
        f"{SPOKEN[name]} {old or UNKNOWN} → {new or UNKNOWN}" for name, (old, new) in upgrade.versions.items()
    )
    yield f"{printable(upgrade.path)}: from Triton {upgrade.present.name} to {upgrade.new.name}"
    yield f"  {versions or 'the same versions'}"
    yield from text.diagnostics(upgrade.added, upgrade.lines, colour=colour)
    yield from _vanished(upgrade)
    yield _summary(upgrade)


def _vanished(upgrade: Upgrade) -> Iterator[str]:
    ended = upgrade.vanished
    if ended:
        yield f"no longer reported with Triton {upgrade.new.name}:"
        yield from (f"  {printable(f'{each.at}: {each.severity} [{each.rule}]')}" for each in ended[:FEW])
        yield from ([f"  and {len(ended) - FEW} more"] if len(ended) > FEW else [])


def _summary(upgrade: Upgrade) -> str:
    stops, starts, name = upgrade.stops, upgrade.starts, upgrade.new.name
    if not upgrade.whole:
        return f"the stack cannot be built for Triton {name}"
    told = _models(stops, f"with Triton {name}", "stops loading", "stop loading")
    if not stops:
        told = f"no model that loads now stops loading with Triton {name}"
    if starts:
        told += f"; {_models(starts, '', 'starts to load', 'start to load')}"
    return told


def _models(verdicts: Sequence[Verdict], where: str, one: str, many: str) -> str:
    if not verdicts:
        return ""
    names = some([verdict.model for verdict in verdicts], FEW)
    count = len(verdicts)
    said = f"{count} model{'' if count == 1 else 's'} {one if count == 1 else many}"
    return printable(f"{where}, {said}: {names}" if where else f"{said}: {names}")


def document(upgrades: Sequence[Upgrade], ends: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/upgrade.schema.json` describes; its findings are the new ones."""
    found = [*(each for one in upgrades for each in one.added), *ends]
    return json.document(found, {"upgrades": [*map(_data, upgrades)]})


def _data(upgrade: Upgrade) -> Mapping[str, object]:
    return {
        "path": upgrade.path,
        "from": upgrade.present.name,
        "to": upgrade.new.name,
        "versions": {name: {"from": old, "to": new} for name, (old, new) in upgrade.versions.items()},
        "changes": [{"before": asdict(before), "after": asdict(after)} for before, after in upgrade.changes],
        "vanished": json.listed(upgrade.vanished),
    }
