"""Language models: what their config.json says, and how much memory of a GPU an engine needs for them."""

from __future__ import annotations

from tritonrepo.llm.facts import LanguageModel

__all__ = ["LanguageModel"]
