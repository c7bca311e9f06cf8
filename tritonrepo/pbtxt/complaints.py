"""What the parser says where a production cannot go on: the server's words at the current token, and ours."""

from __future__ import annotations

from typing import NoReturn

from tritonrepo.pbtxt import faults, spelling
from tritonrepo.pbtxt.cursor import Cursor, Lost
from tritonrepo.pbtxt.faults import Own
from tritonrepo.pbtxt.nodes import Field
from tritonrepo.pbtxt.schema import FieldType, MessageType
from tritonrepo.pbtxt.tokens import DIGIT, END, QUOTE, WORD

VALUE_KINDS = {WORD, DIGIT, QUOTE}


def no_field(cursor: Cursor, kind: MessageType) -> NoReturn:
    """No field of the message begins here."""
    if cursor.texts[cursor.at] == b"[":
        _extension(cursor, kind)
    if cursor.kinds[cursor.at] != WORD:
        cursor.fail(f"Expected identifier, got: {cursor.written()}", _no_name(cursor, kind))
    name = cursor.written()
    cursor.at += 1
    words = f'Message type "{kind.name}" has no field named "{name}".'
    cursor.fail(words, spelling.unknown_field(_dashed(cursor, name), kind, cursor.at - 1))


def _dashed(cursor: Cursor, name: str) -> str:
    """Return a name that was written with dashes as a whole; the server reads only its first part."""
    at, parts = cursor.at, [name]
    while cursor.texts[at] == b"-" and cursor.kinds[at + 1] == WORD:
        parts.append(cursor.written(at + 1))
        at += 2
    return "-".join(parts)


def _extension(cursor: Cursor, kind: MessageType) -> NoReturn:
    """`[a.b.c]` is an extension's name, and no message has extensions."""
    start = cursor.at
    cursor.at += 1
    parts = [_identifier(cursor, kind)]
    while cursor.texts[cursor.at] == b".":
        cursor.at += 1
        parts.append(_identifier(cursor, kind))
    own = Own(faults.EXTENSION, f"{spelling.short(kind)} has no extensions, and [ begins the name of one", "", start)
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
        opened = cursor.opened[-1] if cursor.opened else cursor.at
        return Own(faults.UNBALANCED, f"{cursor.written(opened)} is never closed", "The file ends before.", opened)
    if written in {"}", ">", "]"}:
        return Own(faults.UNBALANCED, f"{written} closes nothing", "Remove it, or look for a bracket closed too early.")
    if written == "/" and cursor.texts[cursor.at + 1] in {b"/", b"*"}:
        opening = f"/{cursor.written(cursor.at + 1)}"
        message = f"{opening} stands here, and a comment begins with #"
        return Own(faults.COMMENT_STYLE, message, f"Write # for {opening}.")
    if written == "{" and cursor.at == 0 and not _is_template(cursor):
        return Own(faults.JSON, "the file is JSON", "Write protobuf text: name: value, without quotes around names.")
    message = f"{spelling.seen(written)}, and {spelling.short(kind)} needs the name of a field"
    return Own(faults.UNPARSABLE, message, _no_name_hint(cursor))


def _no_name_hint(cursor: Cursor) -> str:
    """Tell what was meant by a text or a number where a name is due, the number mostly by one more value."""
    if _is_template(cursor):
        return spelling.TEMPLATE
    if cursor.kinds[cursor.at] == QUOTE:
        return "Names are written without quotes."
    value = cursor.at + (cursor.texts[cursor.at] == b"-")
    numbers = (
        cursor.kinds[value] == DIGIT and cursor.kinds[cursor.at - (cursor.texts[cursor.at - 1] == b",") - 1] == DIGIT
    )
    return "Write several values in brackets, with commas between them." if numbers else ""


def _is_template(cursor: Cursor) -> bool:
    """Tell whether ${…}, @…@, {{ … }} or {% … %} stands where a name is due."""
    text = cursor.texts[cursor.at]
    return text in {b"$", b"%", b"@"} or (text == b"{" and cursor.texts[cursor.at + 1] in {b"{", b"%"})


def taken(cursor: Cursor, spec: FieldType, before: Field) -> NoReturn:
    """A singular field a second time, or a second member of a oneof."""
    hint = f"The first one is on line {before.line}; remove one of the two."
    if before.spec is spec:
        rule = faults.SCALAR_TWICE if spec.message is None else faults.MESSAGE_TWICE
        own = Own(rule, f"{spec.name} is written a second time", hint, cursor.at - 1)
        cursor.fail(f'Non-repeated field "{spec.name}" is specified multiple times.', own)
    also = f'is specified along with field "{before.name}", another member of oneof "{spec.oneof}".'
    own = Own(faults.TWO_OF_ONEOF, f"{spec.name} and {before.name} exclude each other", hint, cursor.at - 1)
    cursor.fail(f'Field "{spec.name}" {also}', own)


def no_colon(cursor: Cursor, spec: FieldType) -> None:
    """No colon between a scalar field and its value; read on if a value follows."""
    written = cursor.written()
    hint = "A colon is due, not =." if written == "=" else f"Write {spec.name}: and the value."
    own = Own(faults.MISSING_COLON, f'no colon follows "{spec.name}"', hint)
    cursor.complain(f'Expected ":", found "{written}".', own)
    cursor.at += written == "="
    if cursor.kinds[cursor.at] not in VALUE_KINDS and cursor.texts[cursor.at] not in {b"-", b"["}:
        raise Lost


def no_block(cursor: Cursor, spec: FieldType) -> NoReturn:
    """No message begins where one is due."""
    written = cursor.written()
    rule = faults.VALUE_NOT_MESSAGE if spec.name == "value" else faults.WRONG_LITERAL
    hint = spelling.TEMPLATE if spelling.is_placeholder(written) else ""
    if _is_parameter(spec) and cursor.kinds[cursor.at] == QUOTE:
        hint = f"Write {{ string_value: {written} }}."
    own = Own(rule, f"{spelling.seen(written)}, and {spec.name} needs a message: {{ … }}", hint)
    cursor.fail(f'Expected "{{", found "{written}".', own)


def _is_parameter(spec: FieldType) -> bool:
    return spec.message is not None and "string_value" in spec.message.fields


def other_bracket(cursor: Cursor, close: bytes) -> None:
    """A message is closed by the bracket of the other kind; read on as if it were the right one."""
    written = cursor.written()
    opened = cursor.written(cursor.opened[-1])
    own = Own(faults.UNBALANCED, f"{written} closes what {opened} opened", f"Write {close.decode()}.")
    cursor.complain(f'Expected "{close.decode()}", found "{written}".', own)


def trailing_comma(cursor: Cursor, spec: FieldType) -> None:
    """A list ends with a comma; read on as if it were not there."""
    own = Own(faults.TRAILING_COMMA, "a comma stands before the list's end", "Remove it.", cursor.at - 1)
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
    """No comma between two values of a list; read on if a value follows."""
    written = cursor.written()
    if cursor.kinds[cursor.at] == END:
        own = Own(faults.UNBALANCED, "[ is never closed", "The file ends before.", cursor.opened[-1])
    else:
        own = Own(faults.UNPARSABLE, f"{spelling.seen(written)}, and a list needs a comma or ]", f"In {spec.name}.")
    cursor.complain(f'Expected ",", found "{written}".', own)
    follows = cursor.texts[cursor.at] in {b"{", b"<"} if spec.message else cursor.kinds[cursor.at] in {DIGIT, QUOTE}
    if not follows:
        raise Lost
