"""Texts that are not protobuf text as a whole: YAML, JSON, and templates that were not filled in.

Each is one fault of the file, not one for each line at which reading fails.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tritonrepo.diagnostics import some
from tritonrepo.pbtxt import faults, of_json
from tritonrepo.pbtxt.edits import Edit
from tritonrepo.pbtxt.faults import TextFault
from tritonrepo.pbtxt.nodes import Source
from tritonrepo.pbtxt.schema import MessageType

LOOKED_AT = 1 << 16
"""Bytes of a text that are searched."""

NAMED = 3
"""Placeholders that the message names."""

PLACEHOLDER = re.compile(rb"\$\{\w[^{}\n]{0,80}\}|\{\{[^{}\n]{1,80}\}\}|\{%[^{}\n]{1,80}%\}")

YAML_START = re.compile(rb"\s{0,80}(?:#[^\n]{0,200}\n\s{0,80}){0,20}(?:---[ \t\r]{0,80}|%YAML[^\n]{0,80})\n")
YAML_LIST = re.compile(rb"^[ \t]{0,40}\w{1,80}:[ \t]{0,40}\r?\n[ \t]{0,40}-[ \t]{1,40}[\w\"']", re.MULTILINE | re.ASCII)
YAML_NEST = re.compile(rb"^\w{1,80}:[ \t]{0,40}\r?\n[ \t]{1,40}\w{1,80}:[ \t\r\n]", re.MULTILINE | re.ASCII)

YAML_LINE = re.compile(
    rb"^(\w{1,80}):[ \t]{1,40}(\"[^\"\\\n]{0,200}\"|'[^'\n]{0,200}'|[\w./+-]{1,200})[ \t\r]*$", re.MULTILINE | re.ASCII
)
JSON_LINE = re.compile(
    rb"\A\s{0,80}\{\s{0,80}\"(\w{1,80})\"\s{0,40}:\s{0,40}(\"[^\"\\\n]{0,200}\"|[\w.+-]{1,200})\s{0,40}[,}]", re.ASCII
)


def whole(source: Source, kind: MessageType, found: Sequence[TextFault]) -> Sequence[TextFault]:
    """Return the faults of a text with faults, with one for the whole file if it is in another language."""
    text = source.text[:LOOKED_AT]
    first = found[0]
    if first.rule == faults.JSON:
        edits = (Edit(0, len(source.text), new.encode()),) if (new := of_json.text(source.text, kind)) else ()
        told = replace(first, edits=edits, safe=True)
        return [_with_line(told, _first_line(JSON_LINE, text, kind)), *found[1:]]
    if _is_yaml(text):
        return [_yaml(source, kind, first)]
    return _template(source, text, found)


def _is_yaml(text: bytes) -> bool:
    if YAML_START.match(text) or YAML_LIST.search(text):
        return True
    return b"{" not in text and YAML_NEST.search(text) is not None


def _yaml(source: Source, kind: MessageType, first: TextFault) -> TextFault:
    message, hint = "the file must be protobuf text, not YAML", "Write each block in braces, and each string in quotes."
    fault = TextFault(faults.YAML, 0, 1, 1, message, hint, first.server, *source.place(1))
    return _with_line(fault, _first_line(YAML_LINE, source.text[:LOOKED_AT], kind))


def _with_line(fault: TextFault, line: str) -> TextFault:
    return replace(fault, hint=f"{fault.hint} The first line becomes `{line}`.") if line else fault


def _first_line(pattern: re.Pattern[bytes], text: bytes, kind: MessageType) -> str:
    """Return the first field with a plain value as protobuf text; "" if there is none."""
    for found in pattern.finditer(text):
        spec = kind.fields.get(found[1].decode())
        if spec is not None and spec.message is None:
            value = found[2].decode("utf-8", "replace").strip("\"'")
            return f'{spec.name}: "{value}"' if spec.type == "string" else f"{spec.name}: {value}"
    return ""


def _template(source: Source, text: bytes, found: Sequence[TextFault]) -> Sequence[TextFault]:
    """Return one fault for all placeholders of a file, and those faults that have nothing to do with them."""
    left = list(placeholders(source, text))
    lines = {source.place(offset)[0] for offset, _ in left}
    broken = [fault for fault in found if fault.line in lines]
    if not broken or len(left) == 1:
        return found
    names = list(dict.fromkeys(name for _, name in left))
    others = [fault for fault in found if fault.line not in lines] if _keeps_its_shape(names) else []
    one = broken[0]
    server = found[0].server if one is found[0] or found[0] not in others else ""
    fault = replace(one, rule=faults.TEMPLATE, message=said(names), hint=_filling(names), server=server, edits=())
    return sorted([fault, *others], key=lambda each: (not each.server, each.offset))


def _keeps_its_shape(names: Iterable[str]) -> bool:
    """Whether the rest of a template can be judged: only `${…}` stands for a value, and for nothing else."""
    return all(name.startswith("$") for name in names)


def placeholders(source: Source, text: bytes) -> Iterable[tuple[int, str]]:
    """Yield offset and text of each placeholder that is not in a comment."""
    comments = source.comments
    starts = [start for start, _ in comments]
    for found in PLACEHOLDER.finditer(text):
        before = bisect_right(starts, found.start()) - 1
        if before < 0 or comments[before][1] <= found.start():
            yield found.start(), found[0].decode("utf-8", "replace")


def said(names: Sequence[str]) -> str:
    """Return the message that placeholders, named once each, are left."""
    count = f"{len(names)} placeholders are" if len(names) > 1 else "a placeholder is"
    return f"{count} not filled in: {some(names, NAMED)}"


def _filling(names: Sequence[str]) -> str:
    if names[0].startswith("$"):
        return "Fill in the template first, such as with tools/fill_template.py of TensorRT-LLM's backend."
    return "Render the template first, such as with `helm template`, and validate the result."
