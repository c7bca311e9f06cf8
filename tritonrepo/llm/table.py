"""The packaged table of well-known language models, data/language_models.json.

It is written by scripts/update_language_models.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from tritonrepo.llm.config import read
from tritonrepo.packaged import facts

if TYPE_CHECKING:
    from tritonrepo.llm.facts import LanguageModel


def known(name: str) -> LanguageModel | None:
    """Return a well-known model by its name on the Hugging Face Hub, or by an absolute path that ends in that name."""
    config = known_config(name)
    return read(config) if config is not None else None


def known_config(name: str) -> Mapping[str, Any] | None:
    """Return the config.json of such a model, as far as the table has it."""
    if name.startswith("/"):
        name = "/".join(name.rstrip("/").rsplit("/", 2)[-2:])
    return _configs().get(name)


@cache
def _configs() -> Mapping[str, Mapping[str, Any]]:
    return {name: entry["config"] for entry in facts("language_models")["models"] for name in entry["names"]}
