"""What a heading of a table means: a field of a claim, and in which unit its cells are.

What is not clear is not guessed: a time must say which point of its distribution it is, and its unit. A plain "latency"
can be that of a request, of a token or of the first token.
"""

from __future__ import annotations

import re
from typing import NamedTuple

NAME = "name"
IGNORED = "ignored"
LONGEST = 120

POINTS = {
    r"median|mdn|p50|50th": "p50",
    r"mean|avg|average": "mean",
    r"min|minimum": "min",
    r"max|maximum": "max",
    r"std|stddev|stdev|std dev": "std",
}
PERCENTILE = re.compile(r"(?<![a-z0-9])p(\d{1,2}(?:\.\d{1,2})?)(?![0-9])|(?<!\d)(\d{1,2})(?:st|nd|rd|th) percentile")

TIMES = {
    r"ttft|time to first token|(?:first|1st) token latency": "ttft",
    r"itl|inter[ -]?token latency|time between tokens|tbt": "itl",
    r"tpot|time per output token": "tpot",
    r"e2el?|(?:e2e|end[ -]to[ -]end)(?: request)? latency|request latency": "latency",
}
"""Pattern of a time → its metric in a claim."""

UNITS_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "sec": 1e3, "seconds": 1e3}
UNITS_MS |= {"second": 1e3, "msec": 1.0, "milliseconds": 1.0, "min": 6e4, "minutes": 6e4}
PER_TOKEN = r"(?:tok|tokens?)(?: |/)?(?:/|per) ?(?:s|sec|second)"  # noqa: S105  a rate
PER_REQUEST = r"(?:req|requests?)(?: |/)?(?:/|per) ?(?:s|sec|second)|rps|qps"

OTHERS = (
    (r"notes?|items (?:per|/) ?s(?:ec|econd)?", IGNORED),
    (r"peak.*|max(?:imum)? output.*|.*(?:per|/) ?user.*|time to (?:second|first output) token.*", IGNORED),
    (
        r"(?:mean|avg|average) concurrency|(?:requests )?concurrency (?:mean|avg|average)|(?:requests )?in flight",
        "in_flight",
    ),
    (r"(?:max(?:imum)? |target )?(?:request )?concurrency|concurrent(?: requests| users)?|concur", "concurrency"),
    (rf"traffic request rate|request rate|rate (?:{PER_REQUEST})|offered (?:load|rate)", "offered_per_s"),
    (
        rf"(?:total|combined|overall) (?:token )?(?:throughput|{PER_TOKEN})|total tokens? throughput",
        "total_tokens_per_s",
    ),
    (rf"(?:input|prompt|prefill)(?: token| tokens)? (?:throughput|{PER_TOKEN})", "input_tokens_per_s"),
    (
        rf"(?:output|generation|generated|decode)(?: tokens?)? (?:throughput|{PER_TOKEN})",
        "output_tokens_per_s",
    ),
    (
        rf"(?:throughput |tput )?(?:{PER_TOKEN}|tps)",
        "output_tokens_per_s",
    ),
    (
        rf"(?:req(?:uest)? )?(?:throughput|rate|tput)?(?: of requests)? ?(?:{PER_REQUEST})|request throughput",
        "requests_per_s",
    ),
    (r"goodput|request goodput", "goodput_per_s"),
    (r"total requests|number of total requests|requests sent|num prompts|prompts", "sent"),
    (r"(?:successful|completed|succeeded) requests|completed|requests|request count|n", "succeeded"),
    (r"failed(?: requests)?|failures|errors|error count|error request count", "failed"),
    (r"(?:benchmark |test |run )?duration|total time|elapsed(?: time)?", "duration_s"),
    (r"total input tokens|total prompt tokens", "input_tokens_total"),
    (r"total (?:generated|output|completion) tokens", "output_tokens_total"),
    (r"isl|input (?:sequence )?len(?:gth)?|(?:input|prompt) tokens|num input tokens?", "input_tokens"),
    (r"osl|output (?:sequence )?len(?:gth)?|(?:output|answer|generated) tokens|num output tokens?", "output_tokens"),
    (r"(?:gpu )?memory efficiency", "memory_efficiency"),
    (r"gpu memory utili[sz]ation", "memory_utilization"),
    (r"max num seqs?", "max_num_seqs"),
    (r"replicas", "replicas"),
    (r"kv (?:cache )?(?:tokens|size tokens)", "kv_tokens"),
    (r"systems?|frameworks?|engines?|servers?|serving(?: stack)?|stack|names?|targets?|backends?", NAME),
    (
        r"config(?:s|uration)?|models?|runs?|solutions?|platforms?|source|metrics?|statistics?|label|stage|test|variant|case",
        NAME,
    ),
)
"""Pattern of anything else → its field of a claim; the first that matches the whole heading counts."""

SHARES = {"%": 0.01, "percent": 0.01, "per sec": 1.0}
RATE = re.compile(f"{PER_TOKEN}|{PER_REQUEST}")
EITHER_RATE = {"qps", "rps"}
"""Headings that some tables have for the load and others for what was answered: more than that if a limit held it."""

LENGTHS = {"input_tokens", "output_tokens"}
"""Fields that have a distribution, and of which a table may state the length that was asked for."""


class Meaning(NamedTuple):
    """What the cells below a heading are: a field, the point of a distribution, and the factor of their unit.

    `point` is "" for what has no distribution, or of lengths if it is not said; `factor` is None if the unit must be in
    the cell.
    """

    field: str
    point: str = ""
    factor: float | None = 1.0


def meaning(heading: str, point: str = "") -> Meaning | str:
    """Return what a heading means, or why it is not clear; `point` is that of its column, if points are columns."""
    text, unit = _plain(heading)
    if text in EITHER_RATE:
        return "can be the rate that was sent, or the one that was answered"
    rest, stated = _without_point(text)
    point = stated or point
    for pattern, metric in TIMES.items():
        if re.fullmatch(rf"(?:{pattern})(?: time)?", rest):
            return _time(metric, point, unit)
    for pattern, field in OTHERS:
        for candidate in (text, rest, *((f"{text} {unit}", f"{rest} {unit}", unit) if unit else ())):
            if (candidate != unit or text in {"", "throughput", "tput"}) and re.fullmatch(pattern, candidate):
                return _other(field, point, unit)
    return "is not understood"


def _time(metric: str, point: str, unit: str) -> Meaning | str:
    if not point:
        return "does not say whether it is a mean or a percentile"
    if unit and unit not in UNITS_MS:
        return f'has the unit "{unit}", which is not a time'
    return Meaning(metric, point, UNITS_MS[unit] if unit else None)


def _other(field: str, point: str, unit: str) -> Meaning | str:
    if field == "duration_s":
        return Meaning(field, "", UNITS_MS[unit] / 1e3 if unit in UNITS_MS else None)
    if field in {"memory_efficiency", "memory_utilization"}:
        return Meaning(field, "", 0.01 if unit in {"%", "percent"} else None)
    if field in LENGTHS:
        return Meaning(field, point)
    kept = {"", "mean", "max"} if field == "concurrency" else {"", "mean"}
    return Meaning(field if point in kept else IGNORED)


def _plain(heading: str) -> tuple[str, str]:
    """Return a heading in lower case without its unit, and the unit: what is in brackets, or after the last word."""
    text = re.sub(r"[*`]|</?\w+>|[↑↓]", "", heading[:LONGEST]).strip().lower().replace("_", " ")
    found = [*re.finditer(r"[(\[]([^()\[\]]*)[)\]]", text)]
    unit = ""
    for match in reversed(found):
        inside = match[1].strip()
        known = (
            inside in UNITS_MS
            or inside in {"%", "percent", "per sec"}
            or re.fullmatch(rf"{PER_TOKEN}|{PER_REQUEST}", inside)
        )
        if known:
            unit, text = inside, text[: match.start()] + " " + text[match.end() :]
        elif inside in {"tokens", "count", "requests", "higher is better", "lower is better", "excl. 1st token"}:
            text = text[: match.start()] + " " + text[match.end() :]
        else:
            text = text[: match.start()] + " " + inside + " " + text[match.end() :]
    text = re.sub(r"[\s,:;]+", " ", re.sub(r"(?<!\d)-(?!\d)| - ", " ", text)).strip()
    words = text.split(" ")
    if not unit and len(words) > 1 and words[-1] in {"ms", "s", "us", "ns", "sec", "%"}:
        unit, text = words[-1], " ".join(words[:-1]).removesuffix(" in")
    return text, "" if unit == "per sec" else unit


def _without_point(text: str) -> tuple[str, str]:
    """Return a text without the point of a distribution in it, and the point."""
    if (found := PERCENTILE.search(text)) is not None:
        point = f"p{found[1] or found[2]}"
        return _cut(text, found), point
    for pattern, point in POINTS.items():
        if (match := re.search(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", text)) is not None:
            return _cut(text, match), point
    return text, ""


def _cut(text: str, found: re.Match[str]) -> str:
    return re.sub(r"\s+", " ", text[: found.start()] + " " + text[found.end() :]).strip(" -:")


def point_of(heading: str) -> str:
    """Return the point of a distribution that a heading is as a whole: avg, p99 or max; "" if it is none."""
    rest, point = _without_point(heading[:LONGEST].strip().lower())
    return point if not rest else ""


def within(heading: str) -> str:
    """Return the point of a distribution that a heading names beside other words; "" if it names none."""
    return _without_point(heading[:LONGEST].strip().lower())[1]
