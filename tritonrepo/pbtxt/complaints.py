"""Reports of the parser where a production cannot go on: the server's words at the current token, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from tritonrepo.pbtxt import faults, meant, notation, repairs, spelling
from tritonrepo.pbtxt.cursor import Cursor, Lost
from tritonrepo.pbtxt.edits import Edit
from tritonrepo.pbtxt.faults import Own
from tritonrepo.pbtxt.nodes import Field
from tritonrepo.pbtxt.schema import FieldType, MessageType
from tritonrepo.pbtxt.tokens import DIGIT, END, QUOTE, WORD

VALUE_KINDS = {WORD, DIGIT, QUOTE}


def no_field(cursor: Cursor, kind: MessageType, taken: Mapping[str, Field]) -> NoReturn:
    """Report a token that does not begin a field of the message."""
    if cursor.texts[cursor.at] == b"[":
        _extension(cursor, kind)
    if cursor.kinds[cursor.at] != WORD:
        cursor.fail(f"Expected identifier, got: {cursor.written()}", _no_name(cursor, kind))
    name = cursor.written()
    cursor.at += 1
    words = f'Message type "{kind.name}" has no field named "{name}".'
    own = spelling.unknown_field(_dashed(cursor, name), kind, cursor.at - 1)
    if hint := meant.entry(cursor, kind, cursor.at - 1):
        own = own._replace(hint=hint)
    elif own.write:
        own = own._replace(write="", edits=repairs.renamed(cursor, kind, own.write, taken))
    cursor.fail(words, own)


def _dashed(cursor: Cursor, name: str) -> str:
    """Return the whole name where it is written with dashes; the server reads only its first part."""
    at, parts = cursor.at, [name]
    while cursor.texts[at] == b"-" and cursor.kinds[at + 1] == WORD:
        parts.append(cursor.written(at + 1))
        at += 2
    return "-".join(parts)


def _extension(cursor: Cursor, kind: MessageType) -> NoReturn:
    """Report `[a.b.c]`, the name of an extension: the messages of ModelConfig have none."""
    start = cursor.at
    cursor.at += 1
    parts = [_identifier(cursor, kind)]
    while cursor.texts[cursor.at] == b".":
        cursor.at += 1
        parts.append(_identifier(cursor, kind))
    message = f"[ starts the name of an extension, but {spelling.short(kind)} has no extensions"
    own = Own(faults.EXTENSION, message, "Write the name of the field without brackets.", start)
    if cursor.texts[cursor.at] != b"]":
        cursor.fail(f'Expected "]", found "{cursor.written()}".', own)
    cursor.at += 1
    words = f'Extension "{".".join(parts)}" is not defined or is not an extension of "{kind.name}".'
    cursor.fail(words, own)


def _identifier(cursor: Cursor, kind: MessageType) -> str:
    if cursor.kinds[cursor.at] != WORD:
        cursor.fail(f"Expected identifier, got: {cursor.written()}", _no_name(cursor, kind))
    cursor.at += 1
    return cursor.written(cursor.at - 1)


def _no_name(cursor: Cursor, kind: MessageType) -> Own:
    written = cursor.written()
    if cursor.kinds[cursor.at] == END:
        return _never_closed(cursor, cursor.opened[-1]) if cursor.opened else _never_closed(cursor, cursor.at, "[")
    if written in {"}", ">", "]"}:
        hint = "Remove it, or check that no earlier bracket is closed too soon."
        return Own(faults.UNBALANCED, f"{written} has no matching opening bracket", hint)
    if written == "/" and cursor.texts[cursor.at + 1] in {b"/", b"*"}:
        opening = f"/{cursor.written(cursor.at + 1)}"
        hint = "Write # instead of //." if opening == "//" else "Write # at the start of each line of the comment."
        text = cursor.source.text
        edits = notation.comment(text, cursor.starts[cursor.at])
        safe = opening == "/*" or notation.is_balanced(text, edits)
        message = f"a comment must start with #, not {opening}"
        return Own(faults.COMMENT_STYLE, message, hint, edits=edits, safe=safe)
    if written == "{" and cursor.at == 0 and not _is_template(cursor):
        hint = "Remove the outer braces, and write each field as `name: value`, without quotes around the name."
        return Own(faults.JSON, "the file must be protobuf text, not JSON", hint)
    hint, message = meant.entry(cursor, kind, cursor.at), f"expected the name of a {spelling.short(kind)} field"
    message = f"an entry of {meant.map_of(kind)} must have key and value" if hint else message
    return Own(faults.UNPARSABLE, f"{message}, found {spelling.shown(written)}", hint or _no_name_hint(cursor))


def _never_closed(cursor: Cursor, token: int, opened: str = "") -> Own:
    """Return the fault for an opening bracket: the token's, or another that is reported there."""
    opened = opened or cursor.written(token)
    hint = f"Add the matching {_CLOSING[opened]} before the end of the file."
    return Own(faults.UNBALANCED, f"{opened} is never closed", hint, token)


_CLOSING = {"{": "}", "<": ">", "[": "]"}


def _no_name_hint(cursor: Cursor) -> str:
    """Return the hint for a string or a number in place of a name; the number is mostly one more value of a list."""
    if _is_template(cursor):
        return spelling.TEMPLATE
    if cursor.kinds[cursor.at] == QUOTE:
        return "Remove the quotes around the name."
    value = cursor.at + (cursor.texts[cursor.at] == b"-")
    numbers = (
        cursor.kinds[value] == DIGIT and cursor.kinds[cursor.at - (cursor.texts[cursor.at - 1] == b",") - 1] == DIGIT
    )
    return "Write several values in brackets, separated by commas." if numbers else ""


def _is_template(cursor: Cursor) -> bool:
    """Return whether ${…}, @…@, {{ … }} or {% … %} is found in place of a name."""
    text = cursor.texts[cursor.at]
    return text in {b"$", b"%", b"@"} or (text == b"{" and cursor.texts[cursor.at + 1] in {b"{", b"%"})


def taken(cursor: Cursor, spec: FieldType, before: Field) -> NoReturn:
    """Report a singular field that is set again, or a second member of a oneof."""
    if before.spec is spec:
        rule = faults.SCALAR_TWICE if spec.message is None else faults.MESSAGE_TWICE
        merge = f"Merge it into the one on line {before.line}."
        hint = merge if spec.message else f"Remove this one or the one on line {before.line}."
        edits = () if spec.message else repairs.again(cursor, spec, before)
        own = Own(rule, f"{spec.name} is set twice", hint, cursor.at - 1, edits=edits, safe=True)
        cursor.fail(f'Non-repeated field "{spec.name}" is specified multiple times.', own)
    also = f'is specified along with field "{before.name}", another member of oneof "{spec.oneof}".'
    hint = f"Remove {spec.name}, or remove {before.name} on line {before.line}."
    own = Own(faults.TWO_OF_ONEOF, f"{spec.name} cannot be combined with {before.name}", hint, cursor.at - 1)
    cursor.fail(f'Field "{spec.name}" {also}', own)


def no_colon(cursor: Cursor, spec: FieldType) -> None:
    """Report a missing colon between a scalar field and its value; read on if a value follows."""
    written = cursor.written()
    hint = "Write a colon instead of =." if written == "=" else f"Write `{spec.name}:` before the value."
    edits = repairs.colon(cursor, spec)
    own = Own(faults.MISSING_COLON, f'expected a colon after "{spec.name}"', hint, edits=edits, safe=True)
    cursor.complain(f'Expected ":", found "{written}".', own)
    cursor.at += written == "="
    if cursor.kinds[cursor.at] not in VALUE_KINDS and cursor.texts[cursor.at] not in {b"-", b"["}:
        raise Lost


def no_block(cursor: Cursor, spec: FieldType) -> NoReturn:
    """Report a value that is not a message where the field needs one."""
    written = cursor.written()
    rule = faults.VALUE_NOT_MESSAGE if spec.name == "value" else faults.WRONG_LITERAL
    hint = spelling.TEMPLATE if spelling.is_placeholder(written) else meant.block(cursor, spec)
    hint = hint or f"Write `{spec.name} {{ … }}`."
    edits: tuple[Edit, ...] = ()
    if _is_parameter(spec) and cursor.kinds[cursor.at] == QUOTE:
        hint = f"Write `{{ string_value: {written} }}`."
        edits = () if spelling.is_placeholder(written) else repairs.string_value(cursor)
    own = Own(rule, spelling.must_be(written, spec), hint, edits=edits, safe=True)
    cursor.fail(f'Expected "{{", found "{written}".', own)


def _is_parameter(spec: FieldType) -> bool:
    return spec.message is not None and "string_value" in spec.message.fields


def other_bracket(cursor: Cursor, close: bytes) -> None:
    """Report a message that is closed by a bracket of the other kind; read on as if it were the right one."""
    written = cursor.written()
    opened = cursor.written(cursor.opened[-1])
    message = f"{opened} must be closed by {close.decode()}, not {written}"
    own = Own(faults.UNBALANCED, message, f"Write {close.decode()}.")
    cursor.complain(f'Expected "{close.decode()}", found "{written}".', own)


def trailing_comma(cursor: Cursor, spec: FieldType) -> None:
    """Report a comma at the end of a list; read on as if it were not there."""
    comma = cursor.at - 1
    edits = (Edit(cursor.starts[comma], cursor.ends[comma], b""),)
    own = Own(faults.TRAILING_COMMA, "the list ends with a comma", "Remove the comma.", comma, edits=edits, safe=True)
    cursor.complain(_EXPECTED.get(spec.type, "Expected integer, got: ]"), own)


_EXPECTED = {
    "message": 'Expected "{", found "]".',
    "string": "Expected string, got: ]",
    "bool": "Expected identifier, got: ]",
    "enum": "Expected integer or identifier, got: ]",
    "float": "Expected double, got: ]",
    "double": "Expected double, got: ]",
}


def no_comma(cursor: Cursor, spec: FieldType) -> None:
    """Report a missing comma between two values of a list; read on if a value follows."""
    written = cursor.written()
    if cursor.kinds[cursor.at] == END:
        own = _never_closed(cursor, cursor.opened[-1])
    else:
        message = f"expected a comma or ] in the list {spec.name}, found {spelling.shown(written)}"
        at = cursor.ends[cursor.at - 1]
        edits = (Edit(at, at, b","),) if repairs.fits(cursor, cursor.at, spec) and written != "[" else ()
        own = Own(faults.UNPARSABLE, message, "Add the missing comma or bracket.", edits=edits, safe=True)
    cursor.complain(f'Expected ",", found "{written}".', own)
    follows = cursor.texts[cursor.at] in {b"{", b"<"} if spec.message else cursor.kinds[cursor.at] in {DIGIT, QUOTE}
    if not follows:
        raise Lost
