"""Weights exported to ONNX graphs and tokenizers, without torch."""

from __future__ import annotations
