"""Model repositories for NVIDIA Triton: built from one stack file, validated, pushed, served and smoke-tested."""

from __future__ import annotations

__version__ = "0.1.0"
