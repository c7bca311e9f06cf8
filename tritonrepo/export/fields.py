"""Fields of a config.json: what each must be, and the diagnostics for those that are not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop

NEUTRAL: Mapping[str, object] = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "quantization_config": None,
    "auto_map": None,
    "pruned_heads": {},
}
"""Fields of every family that change the arithmetic, with the one value that does not; `auto_map` means own code."""


MOST_LAYERS = 1000
LARGEST = 1e30
"""A bound on numbers below which FP32 has no infinity."""


def stop(found: Iterable[Diagnostic]) -> None:
    """Raise Stop if there is anything."""
    diagnostics = [*found]
    if diagnostics:
        raise Stop(diagnostics)


def changed(config: Mapping[str, Any], neutral: Mapping[str, object], at: str) -> Iterator[Diagnostic]:
    """Yield a diagnostic for each field that has another value than the one that changes nothing."""
    for field, value in neutral.items():
        if config.get(field, value) != value:
            yield unsupported(config, field, f"it must be {value!r} or missing", at)


def unlisted(config: Mapping[str, Any], field: str, names: Collection[str], at: str) -> Iterator[Diagnostic]:
    """Yield a diagnostic if the field is there and names none of these."""
    if field in config and str(config[field]) not in names:
        yield unsupported(config, field, f"only {', '.join(names)} can be exported", at)


def miscounted(config: Mapping[str, Any], fields: Collection[str], at: str) -> Iterator[Diagnostic]:
    """Yield a diagnostic for each of these fields that is not an integer of 1 or more."""
    for field in fields:
        if not is_count(config.get(field)):
            yield unsupported(config, field, "it must be an integer of 1 or more", at)


def misnumbered(config: Mapping[str, Any], field: str, at: str) -> Iterator[Diagnostic]:
    """Yield a diagnostic if the field is neither missing nor a number of 0 or more."""
    if not is_number(config.get(field, 0)):
        yield unsupported(config, field, "it must be a number of 0 or more", at)


def too_deep(config: Mapping[str, Any], field: str, at: str) -> Iterator[Diagnostic]:
    """Yield a diagnostic if there are more layers than any model has: each is looked up in the weights."""
    if config[field] > MOST_LAYERS:
        yield unsupported(config, field, f"it must be at most {MOST_LAYERS}", at)


def indivisible(config: Mapping[str, Any], whole: str, part: str, at: str) -> Iterator[Diagnostic]:
    """Yield a diagnostic if one count does not divide the other."""
    if config[whole] % config[part]:
        yield unsupported(config, part, f"it must divide {whole} {config[whole]}", at)


def odd(size: int, at: str) -> Iterator[Diagnostic]:
    """Yield a diagnostic if a head cannot be rotated, because its values do not come in pairs."""
    if size % 2:
        yield fault(
            "export-config", at, f"a head has {size} values, but it must have an even number", "Use another model."
        )


def is_count(value: object, least: int = 1) -> TypeGuard[int]:
    """Return whether a value is an integer of at least this size."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: object, least: float = 0) -> bool:
    """Return whether a value is a finite number of at least this size."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < LARGEST


def unsupported(config: Mapping[str, Any], field: str, needed: str, at: str) -> Diagnostic:
    """Return the diagnostic for a field whose value the export cannot use."""
    seen = f"{field} is {config[field]!r:.80}" if field in config else f"{field} is missing"
    return fault("export-config", at, f"{seen}, but {needed}", "Use another model.")


def fault(rule: str, at: str, message: str, hint: str) -> Diagnostic:
    """Return a fatal diagnostic in the file that is exported."""
    return Diagnostic(rule, Severity.FATAL, Span(at), message, hint)
