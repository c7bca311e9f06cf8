"""Language models: what their config.json says, and how much memory of a GPU an engine needs for them."""

from __future__ import annotations

from tritonrepo.llm.config import read
from tritonrepo.llm.facts import LanguageModel
from tritonrepo.llm.table import known, known_config

__all__ = ["LanguageModel", "known", "known_config", "read"]
