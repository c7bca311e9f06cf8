"""The weights that the real vLLM reads for a generator's local model: safetensors as they are, or made from GGUF."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.sources import dequantise
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.chat import RULE
from tritonrepo.sources.stand_in import GGUF, INDEX, WHOLE
from tritonrepo.tree import File

MAKER = "safetensors of GGUF 1"
"""Increased when the same file gives other weights."""

MAKE_S = 1800


def vllm_weights(files: Mapping[str, File], python: Path, cache: Cache, at: Span) -> Path:
    """Return a directory that vLLM loads; raise Stop if there is none in these files.

    `python` is of vLLM's environment, whose transformers reads GGUF; what it makes is kept in the cache.
    """
    if WHOLE in files or INDEX in files:
        return cache.directory("weights", files)
    found = sorted(path for path in files if path.endswith(GGUF))
    if len(found) != 1 or (file := files[found[0]]).path is None:
        message = f"vLLM needs {WHOLE} or one GGUF file, but the local model has {', '.join(sorted(files)[:8])}"
        raise fatal(RULE, at, message, "Name a single file in `local`.")
    gguf = cache.directory("gguf", {"model.gguf": file}) / "model.gguf"

    def make(place: Path) -> None:
        command = [str(python), dequantise.__file__, str(gguf), str(place)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=MAKE_S, check=False, env=kept
        )
        if done.returncode:
            why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise fatal(RULE, at, f"transformers cannot read the GGUF file: {why}", "Use another file in `local`.")

    order = json.dumps([MAKER, file.sha256])
    return cache.directory("weights", cache.tree(order, "writing the local model's weights for vLLM", make))
