"""Write tritonrepo/data/onnx_operators.json: the operators that each version of ONNX Runtime registers.

`python -m scripts.update_operators DIR`, where DIR/VERSION is an unpacked wheel of the package onnxruntime; each is
asked for the operator schemas of ONNX and for its own. DIR/numpy, if it exists, comes before the installed NumPy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

DATA = Path(__file__).parent.parent / "tritonrepo" / "data" / "onnx_operators.json"
DOMAINS = ("", "ai.onnx.ml", "com.microsoft")
ASK = """
import json
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema
print(json.dumps([(s.domain, s.name, s.since_version, bool(s.deprecated)) for s in get_all_operator_schema()]))
"""
Schemas = Sequence[tuple[str, str, int, bool]]


def asked(home: Path, version: str) -> Schemas:
    """Return domain, name, first version and whether it is deprecated, of each schema of a version."""
    paths = [str(home / version), str(home / "numpy")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, check=True)
    found: Schemas = json.loads(done.stdout)
    return found


def operators(schemas: Mapping[str, Schemas]) -> dict[str, dict[str, str]]:
    """Return domain → operator → the operator sets in which it changed, "-10" for the one that removes it.

    An operator that not every version of ONNX Runtime has, although its operator set does, ends with " @1.18", the
    first minor version that has it; one that went again, with " @1.16-1.20".
    """
    minors = [version.rpartition(".")[0] for version in schemas]
    made: dict[str, dict[str, str]] = {}
    for domain in DOMAINS:
        names = sorted({name for known in schemas.values() for home, name, *_ in known if home == domain})
        made[domain] = {name: _line(name, domain, schemas, minors) for name in names}
    return made


def _line(name: str, domain: str, schemas: Mapping[str, Schemas], minors: Sequence[str]) -> str:
    changes = {
        (since, gone)
        for known in schemas.values()
        for home, each, since, gone in known
        if (home, each) == (domain, name)
    }
    words = [f"{'-' if gone else ''}{since}" for since, gone in sorted(changes)]
    there = [
        minor
        for minor, known in zip(minors, schemas.values(), strict=True)
        if any((home, each) == (domain, name) for home, each, *_ in known)
    ]
    bounds = f"@{there[0]}" + (f"-{there[-1]}" if there[-1] != minors[-1] else "")
    return " ".join([*words, bounds] if len(there) < len(minors) and domain == "com.microsoft" else words)


def main() -> int:
    """Write the file, once the lines are found to say what each version says."""
    home = Path(sys.argv[1])
    versions = sorted((path.name for path in home.glob("1.*.*")), key=lambda name: [*map(int, name.split("."))])
    schemas = {version: asked(home, version) for version in versions}
    made = operators(schemas)
    text = {
        "what": "Operators of ONNX Runtime by domain, each with the operator sets in which it changed; -N: gone since.",
        "source": f"the schemas that the packages onnxruntime {', '.join(versions)} register",
        "operators": made,
    }
    DATA.write_text(json.dumps(text, indent=1) + "\n", "utf-8")
    print(f"{DATA.name} written: {sum(map(len, made.values()))} operators of {len(versions)} versions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
