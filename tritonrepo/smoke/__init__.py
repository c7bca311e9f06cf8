"""A running server really asked: what it serves to cases, cases to answers, answers to results.

`plan.cases` makes the cases, `asking.Asking` carries them out, `judge` and the roles' modules say what is wrong.
Readiness is never taken for an answer: a model whose process is dead stays ready (seen from Triton 24.10).
"""

from __future__ import annotations
