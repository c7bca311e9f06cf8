"""Real requests to a running server: from what it serves to cases, from cases to responses, from these to results.

`plan.cases` makes the cases, `asking.Asking` carries them out, `judge` and the modules of the roles find what is wrong.
Readiness never counts as a response: a model whose process is dead stays ready (seen from Triton 24.10).
"""

from __future__ import annotations
