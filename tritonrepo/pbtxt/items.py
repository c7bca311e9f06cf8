"""Edits of a hand-written text that change what a field is, or the numbers of a repeated one, however it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.pbtxt.editor import Edit, change, delete, delete_items, insert
from tritonrepo.pbtxt.nodes import Data, Field, Message, Scalar, Value
from tritonrepo.pbtxt.printer import field_lines


def become(field: Field, message: Message, name: str, value: Data) -> Edit:
    """Replace a field by another one of its message, which is a scalar; comments stay."""
    text, end = field.source.text, field.end
    (line,) = field_lines(message.kind.fields[name], value, "")
    gone = delete(field)
    if gone.text:
        return gone._replace(text=f"{line} ".encode() + gone.text)
    end -= text[end - 1 : end] in {b",", b";"}
    apart = b" " if text[end : end + 1].isalnum() else b""
    return Edit(field.start, end, line.encode() + apart)


def places(message: Message, name: str) -> Iterator[tuple[Field, int, Value]]:
    """Yield the values of a repeated field, each with the field as it is written and its position there."""
    for field in message.fields:
        if field.name == name:
            yield from ((field, place, value) for place, value in enumerate(field.values))


def number(message: Message, name: str, to: Sequence[int]) -> list[Edit]:
    """Set a repeated field to these numbers, at least one; of values too many or too few, the first are meant.

    What stays as it is, is not touched.
    """
    fields = [field for field in message.fields if field.name == name and field.values]
    values = [(field, value) for field in fields for value in field.values]
    if not values:
        return [insert(message, name, list(to))]
    over, new = max(0, len(values) - len(to)), max(0, len(to) - len(values))
    edits, left = list[Edit](), over
    for field in fields:
        gone = range(min(left, len(field.values)))
        left -= len(gone)
        edits += delete_items(field, gone) if gone else ()
    kept = values[over:]
    if new:
        field, first = kept.pop(0)
        written = ", ".join(map(str, to[: new + 1]))
        edits.append(Edit(first.start, first.end, (written if _is_list(field) else f"[ {written} ]").encode()))
    pairs = zip(kept, to[len(to) - len(kept) :], strict=True)
    return [*edits, *(change(value, fields[0].spec, to) for (_, value), to in pairs if _differs(value, to))]


def _is_list(field: Field) -> bool:
    """Return whether a field's values are in brackets: a single one may be."""
    source, at = field.source, field.start + len(field.name)
    between = source.text[at : field.values[0].start]
    return b"[" in b"".join(line.partition(b"#")[0] for line in between.split(b"\n"))


def _differs(value: Value, number: int) -> bool:
    return isinstance(value, Scalar) and value.data != number
