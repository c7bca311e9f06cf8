"""Documents to passages to vectors: the search index, through the graph that is deployed."""

from __future__ import annotations
