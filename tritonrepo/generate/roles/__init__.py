"""One module a role: what an embedder, a retriever, a generator becomes."""

from __future__ import annotations
