"""What a cost file can state: each input with its unit, its meaning and its limits."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple


class Key(NamedTuple):
    """An input. `unit` has CURRENCY where the file's currency belongs; `doc` says what the value is.

    `sourced` inputs are prices and facts, which need a date and a source; the others are decisions. The value must be a
    `whole` number if that is set, at least `least`, or more than it if it is `above`, and at most `most`.
    """

    name: str
    unit: str
    doc: str
    sourced: bool = True
    whole: bool = False
    least: Fraction = Fraction(0)
    above: bool = False
    most: Fraction | None = None


MONTH_HOURS = 744
"""Hours of the longest month."""

ALWAYS = 730
"""Hours of a mean month: 24 * 365 / 12."""

ONE = Fraction(1)

KEYS = {
    key.name: key
    for key in (
        Key("gpus", "GPUs", "GPUs of a replica", sourced=False, whole=True, least=ONE),
        Key("replicas", "replicas", "replicas that are paid for", sourced=False, whole=True, least=ONE),
        Key(
            "hours",
            "hours a month",
            f"hours a month that the GPUs are paid for; {ALWAYS} is always",
            sourced=False,
            above=True,
            most=Fraction(MONTH_HOURS),
        ),
        Key("gpu_hour", "CURRENCY per GPU-hour", "price of a GPU for an hour"),
        Key("license_gpu_year", "CURRENCY per GPU and year", "price of a license per GPU and year, 0 for none"),
        Key("license_gpu_hour", "CURRENCY per GPU-hour", "price of a license per GPU-hour"),
        Key("setup_hours", "hours", "an engineer's hours until it serves, once"),
        Key("care_hours", "hours a month", "an engineer's hours a month to keep it serving"),
        Key("engineer_hour", "CURRENCY per hour", "cost of an engineer's hour"),
        Key("storage_month", "CURRENCY a month", "storage of weights, indexes and logs a month"),
        Key("egress_month", "CURRENCY a month", "traffic out of the provider's network a month"),
        Key(
            "other_month",
            "CURRENCY a month",
            "everything else a month: embedder, reranker, vector store, control plane, on-call",
        ),
        Key(
            "tokens_per_second",
            "output tokens per second",
            "output tokens per second of a replica at the SLO (goodput), not at the peak",
            above=True,
        ),
        Key(
            "utilization",
            "share of the paid hours",
            "share of the paid hours at that load, from 0 to 1",
            above=True,
            most=ONE,
        ),
        Key("input_output_ratio", "input tokens per output token", "input tokens per output token"),
        Key("answer_tokens", "output tokens", "mean output tokens of an answer", above=True),
        Key(
            "api_million_output", "CURRENCY per million tokens", "an API's price of a million output tokens", above=True
        ),
        Key("api_million_input", "CURRENCY per million tokens", "an API's price of a million input tokens"),
        Key("peak_rate", "requests per second", "requests per second at the peak"),
        Key("replica_rate", "requests per second", "requests per second of a replica at the SLO", above=True),
        Key("spare", "replicas", "replicas that may fail or be updated at the peak", sourced=False, whole=True),
    )
}
"""Name → input, in the order of forms and tables."""

NEEDED = ("gpus", "replicas", "hours", "gpu_hour")
"""Without these an option has no cost."""

LICENSES = ("license_gpu_year", "license_gpu_hour")
"""Two forms of one price: an option has one of them."""


def unit(name: str, currency: str) -> str:
    """Return the unit of an input."""
    return KEYS[name].unit.replace("CURRENCY", currency)
