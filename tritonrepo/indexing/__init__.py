"""The search index: documents, their passages, and the vectors that the deployed graph makes of them."""

from __future__ import annotations
