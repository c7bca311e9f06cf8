"""Texts compared with a regular expression or a JSON Schema in a separate process, which the system limits.

Some expressions take years on a text of 40 characters, and Python's `re` cannot be interrupted.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tritonrepo.sources import trial

SECONDS = 3
"""Limit of processor time; an ordinary comparison takes 0.05 s, and 0.2 s with a schema."""

MEMORY = 1 << 30

WAIT_S = 60
"""Limit of waiting, for a busy machine."""

LONGEST = 200
"""How much of an explanation is kept, in characters."""


def unfit(
    texts: Sequence[str], *, pattern: str | None = None, schema: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Return why no text matches a pattern, and why not all fulfill a schema, under `pattern` and `schema`.

    Raise ValueError if that cannot be found out.
    """
    order = json.dumps({"pattern": pattern, "schema": schema, "values": texts})
    what = "matches" if schema is None else "json_schema" if pattern is None else "matches and json_schema"
    try:
        done = subprocess.run(
            [sys.executable, "-P", trial.__file__, trial.TEXTS, str(SECONDS), str(MEMORY), "0", ""],
            input=order.encode("utf-8", "surrogatepass"),
            capture_output=True,
            check=False,
            timeout=WAIT_S,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"{what} takes more than {WAIT_S} s") from None
    if done.returncode in {-signal.SIGXCPU, -signal.SIGKILL}:
        raise ValueError(f"{what} takes more than {SECONDS} s: nested repetitions, such as (a+)+, take that long")
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        if "No module named" in words[0]:
            raise ValueError("json_schema needs jsonschema; run `pip install 'tritonrepo[schema]'`")
        raise ValueError(f"{what} failed: {words[0][:LONGEST]}")
    return {name: str(said)[:LONGEST] for name, said in json.loads(done.stdout).items()}
