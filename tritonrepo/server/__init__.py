"""The Triton server that runs: preconditions, process, client, and the backends that a CPU lacks."""

from __future__ import annotations
