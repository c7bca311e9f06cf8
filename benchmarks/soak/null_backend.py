"""A C backend that accepts every model, so that Triton's core decides, and thousands of models load at once.

It hands the config back to the core as most backends do; the silent one does not, as identity, square and repeat.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tritonrepo.repository.completion import SILENT

SOURCE = r"""
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void Any;
extern Any *TRITONBACKEND_ModelAutoCompleteConfig(Any *model, bool *on);
extern Any *TRITONBACKEND_ModelConfig(Any *model, uint32_t version, Any **config);
extern Any *TRITONBACKEND_ModelSetConfig(Any *model, uint32_t version, Any *config);
extern Any *TRITONBACKEND_ResponseNew(Any **response, Any *request);
extern Any *TRITONBACKEND_ResponseSend(Any *response, uint32_t flags, Any *error);
extern Any *TRITONBACKEND_RequestRelease(Any *request, uint32_t flags);

#ifndef SILENT
Any *TRITONBACKEND_ModelInitialize(Any *model) {
  bool on = false;
  Any *config = NULL;
  Any *error = TRITONBACKEND_ModelAutoCompleteConfig(model, &on);
  if (error || !on) return error;
  error = TRITONBACKEND_ModelConfig(model, 1, &config);
  return error ? error : TRITONBACKEND_ModelSetConfig(model, 1, config);
}
#endif

Any *TRITONBACKEND_ModelInstanceExecute(Any *instance, Any **requests, uint32_t count) {
  (void)instance;
  for (uint32_t i = 0; i < count; ++i) {
    Any *response = NULL;
    if (!TRITONBACKEND_ResponseNew(&response, requests[i])) TRITONBACKEND_ResponseSend(response, 1, NULL);
    TRITONBACKEND_RequestRelease(requests[i], 1);
  }
  return NULL;
}
"""


def build(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Compile backends with these names into a folder: name → the directory that the server needs for it."""
    source = folder / "null.c"
    source.write_text(SOURCE, "utf-8")
    made: dict[bool, Path] = {}
    found: dict[str, Path] = {}
    for name in names:
        silent = name in SILENT
        if silent not in made:
            made[silent] = folder / f"null-{'silent' if silent else 'echo'}.so"
            flags = ["-shared", "-fPIC", "-O1", *(["-DSILENT"] if silent else [])]
            subprocess.run(["cc", *flags, "-o", str(made[silent]), str(source)], check=True)
        found[name] = folder / "backends" / name
        found[name].mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made[silent], found[name] / f"libtriton_{name}.so")
    return found
