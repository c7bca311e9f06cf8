"""The formulas of what serving costs: exact arithmetic on stated values, and nothing else.

All are generic in the currency. Months are twelfths of a year, and a year of always has 12 * 730 hours.
"""

from __future__ import annotations

import math
from fractions import Fraction

MONTHS = 12
SECONDS = 3600
MILLION = 10**6
THOUSAND = 1000


def exact(number: float) -> Fraction:
    """Return a number as it is printed: 0.1 is a tenth, not the nearest double."""
    return Fraction(repr(number))


def gpu_month(gpu_hour: Fraction, gpus: Fraction, replicas: Fraction, hours: Fraction) -> Fraction:
    """Return the price of the GPUs a month; `gpus` are those of a replica, `hours` those that are paid for."""
    return gpu_hour * gpus * replicas * hours


def license_month_of_year(gpu_year: Fraction, gpus: Fraction, replicas: Fraction) -> Fraction:
    """Return the license a month if its price is per GPU and year."""
    return gpu_year * gpus * replicas / MONTHS


def license_month_of_hour(gpu_hour: Fraction, gpus: Fraction, replicas: Fraction, hours: Fraction) -> Fraction:
    """Return the license a month if its price is per GPU-hour."""
    return gpu_hour * gpus * replicas * hours


def once(setup_hours: Fraction, engineer_hour: Fraction) -> Fraction:
    """Return the price of the work until it serves."""
    return setup_hours * engineer_hour


def care_month(care_hours: Fraction, engineer_hour: Fraction) -> Fraction:
    """Return the price of the work a month to keep it serving."""
    return care_hours * engineer_hour


def first_year(month: Fraction, setup: Fraction) -> Fraction:
    """Return what the first year costs, with the work until it serves; each year after it costs `12 * month`."""
    return MONTHS * month + setup


def capacity(tokens_per_second: Fraction, replicas: Fraction, hours: Fraction, utilization: Fraction) -> Fraction:
    """Return the millions of output tokens a month that are answered."""
    return tokens_per_second * replicas * SECONDS * hours * utilization / MILLION


def million_output(hour: Fraction, tokens_per_second: Fraction, utilization: Fraction) -> Fraction:
    """Return the cost of a million output tokens: of an hour of all replicas, and what they give in it together.

    `tokens_per_second` are those at the SLO, not at the peak; `utilization` is the share of the paid hours at that
    load.
    """
    return hour / (tokens_per_second * SECONDS / MILLION * utilization)


def million_total(million_out: Fraction, input_output_ratio: Fraction) -> Fraction:
    """Return the cost of a million tokens, input and output counted alike; the ratio is input to output tokens."""
    return million_out / (1 + input_output_ratio)


def thousand_answers(million_out: Fraction, answer_tokens: Fraction) -> Fraction:
    """Return the cost of a thousand answers of so many output tokens."""
    return million_out * answer_tokens / THOUSAND


def license_break_even(licensed: Fraction, gpu: Fraction) -> Fraction:
    """Return the speed-up from which a license pays; both prices are of the same time, an hour or a month."""
    return 1 + licensed / gpu


def labor_break_even(license_year: Fraction, saved_hours: Fraction, engineer_hour: Fraction) -> Fraction:
    """Return the hours a year that a license must save beyond those that it saves, to pay by work alone."""
    return license_year / engineer_hour - saved_hours


def api_break_even(month: Fraction, million_price: Fraction) -> Fraction:
    """Return the millions of output tokens a month from which on serving is cheaper than an API of that price."""
    return month / million_price


def api_million(output_price: Fraction, input_price: Fraction, input_output_ratio: Fraction) -> Fraction:
    """Return an API's price of a million output tokens with the input that belongs to them."""
    return output_price + input_price * input_output_ratio


def replicas(peak_rate: Fraction, replica_rate: Fraction, spare: Fraction) -> int:
    """Return the replicas for a peak rate, rounded up, and those that may fail; `replica_rate` is that at the SLO."""
    return math.ceil(peak_rate / replica_rate) + math.ceil(spare)
