"""What a project says once for all runs of `validate`: `.tritonrepo.toml`, read with positions."""

from __future__ import annotations

from tritonrepo.settings.values import NAME, PerPath, Settings

__all__ = ["NAME", "PerPath", "Settings"]
