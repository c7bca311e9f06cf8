"""Our own words for what is wrong: the value seen, the value needed, and the next step."""

from __future__ import annotations

from collections.abc import Iterable

from tritonrepo.diagnostics import nearest
from tritonrepo.pbtxt import faults, lexical
from tritonrepo.pbtxt.faults import Own
from tritonrepo.pbtxt.lexical import LexicalFault
from tritonrepo.pbtxt.schema import EnumType, FieldType, MessageType

NEEDS = {
    "int32": "a whole number",
    "int64": "a whole number",
    "uint32": "a whole number from 0 on",
    "uint64": "a whole number from 0 on",
    "float": "a number",
    "double": "a number",
    "bool": "true or false",
    "string": "a text in quotes",
}
SHOWN = 40
"""Characters of a value that a message shows."""

PLACEHOLDERS = ("$", "{", "<", "%", "@")
"""How what a template engine fills in begins: ${x}, {{ x }}, <X>, %d, @X@."""

TEMPLATE = "It looks like a template that was not filled in."


def unknown_field(name: str, kind: MessageType, token: int) -> Own:
    """A name that the message does not have, or not yet."""
    if name in kind.later:
        message = f'field "{name}" of {short(kind)} came with {kind.later[name]}, later than this server'
        return Own(faults.NEWER_FIELD, message, f"Remove it, or serve with {kind.later[name]} or newer.", token)
    message = f'{short(kind)} has no field "{shown(name)}"'
    return Own(faults.UNKNOWN_FIELD, message, _closest(name, kind.fields) or _elsewhere(name, kind), token)


def _elsewhere(name: str, kind: MessageType) -> str:
    owners = [inner.name for inner, field in _below(kind) if field == name]
    if owners:
        return f'"{name}" is a field of "{owners[0]}"; write it inside of that.'
    if not kind.fields:
        return "It takes no fields: write { }."
    return f"It has: {', '.join(kind.fields)}."


def _below(kind: MessageType) -> Iterable[tuple[FieldType, str]]:
    return [(field, name) for field in kind.fields.values() if field.message for name in field.message.fields]


def enum(name: str, kind: EnumType, token: int) -> Own:
    """A name that the enum does not have."""
    message = f"{shown(name)} is no {kind.name.rpartition('.')[2]}"
    if name in kind.later:
        return Own(faults.NEWER_FIELD, f"{message} before {kind.later[name]}", "", token)
    return Own(faults.UNKNOWN_ENUM, message, _closest_value(name, kind), token)


INVALID = "TYPE_INVALID"
"""A data type that no input or output may have."""

BY_OTHER_NAMES = {"BYTES": "TYPE_STRING", "FLOAT": "TYPE_FP32", "DOUBLE": "TYPE_FP64", "HALF": "TYPE_FP16"}
"""What other tools call the data types (Triton's own clients: BYTES)."""


def _closest_value(name: str, kind: EnumType) -> str:
    bare = name.upper().removeprefix("TYPE_")
    exact = [value for value in kind.numbers if value == name.upper() or value.partition("_")[2] == name.upper()]
    if BY_OTHER_NAMES.get(bare) in kind.numbers:
        exact.insert(0, BY_OTHER_NAMES[bare])
    if exact:
        return f"Write {exact[0]}."
    return _closest(name.upper(), kind.numbers) or _one_of(kind)


def _one_of(kind: EnumType) -> str:
    return f"It is one of {', '.join(value for value in kind.numbers if value != INVALID)}."


def not_enum(written: str, spec: FieldType) -> Own:
    """Something that is neither a name nor a number, where an enum's value is due."""
    assert spec.enum  # noqa: S101  by the production
    bare = written.strip("\"'")
    if bare in spec.enum.numbers:
        return Own(faults.QUOTED_ENUM, f"{shown(written)} is in quotes, and {spec.name} is an enum", f"Write {bare}.")
    hint = TEMPLATE if is_placeholder(written) else _closest_value(bare, spec.enum)
    rule = faults.QUOTED_ENUM if bare != written else faults.WRONG_LITERAL
    return Own(rule, f"{seen(written)}, and {spec.name} needs a name without quotes", hint)


def boolean(written: str, token: int) -> Own:
    """Something that is no bool."""
    yes = written.strip("\"'").lower() in {"true", "t", "yes", "y", "on", "1", "1.0", "enable", "enabled"}
    no = written.strip("\"'").lower() in {"false", "f", "no", "n", "off", "0", "0.0", "disable", "disabled"}
    other = TEMPLATE if is_placeholder(written) else "Write true or false."
    hint = "Write true." if yes else "Write false." if no else other
    return Own(faults.BOOL_LITERAL, f"{seen(written)}, and a bool is true or false", hint, token)


def out_of_range(written: str, spec: FieldType, largest: int) -> Own:
    """A number that the field's type cannot hold."""
    if written.isdigit() and written[0] == "0" and written.strip("01234567"):
        hint = f"A leading 0 makes it octal: write {written.lstrip('0')}."
        return Own(faults.OUT_OF_RANGE, f"{shown(written)} is no octal number", hint)
    message = f"{shown(written)} is too large for {spec.name or 'an enum'}, which is {spec.type}"
    return Own(faults.OUT_OF_RANGE, message, f"The largest is {largest}.")


def literal(written: str, spec: FieldType) -> Own:
    """A value of another kind than the field's."""
    message = f"{seen(written)}, and {spec.name} needs {NEEDS[spec.type]}"
    return Own(faults.WRONG_LITERAL, message, _literal_hint(written, spec))


def braced(spec: FieldType) -> Own:
    """A value, or a list of them, in the brackets of a message."""
    hint = "Write several values in brackets: [ …, … ]." if spec.repeated else "Write it without the brackets."
    return Own(faults.WRONG_LITERAL, f"{seen('{')}, and {spec.name} needs {NEEDS[spec.type]}", hint)


def no_value(spec: FieldType, token: int) -> Own:
    """The next field, or the message's end, stands where a value is due."""
    hint = _one_of(spec.enum) if spec.enum else f"It needs {NEEDS[spec.type]}."
    return Own(faults.WRONG_LITERAL, f"{spec.name} has no value", hint, token)


def _literal_hint(written: str, spec: FieldType) -> str:
    bare = written.strip("\"'")
    if is_placeholder(written):
        return TEMPLATE
    if spec.type == "string":
        return f'Write "{bare}".' if bare.isalnum() else ""
    if written == "-" and spec.type.startswith("u"):
        return "It cannot be negative."
    number = bare.removeprefix("+").replace("_", "")
    if number.isdigit() and number.isascii() and number != written:
        return f"Write {number}."
    whole = number.partition(".")[0]
    return f"Write {whole}." if whole.isdigit() and not number.partition(".")[2].strip("0") and whole != written else ""


def lexical_fault(text: bytes, fault: LexicalFault) -> Own:
    """What the tokenizer complains of."""
    if text.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) and fault.offset == 0:
        return Own(faults.BYTE_ORDER_MARK, "the file begins with a byte order mark", "Save it as UTF-8 without one.")
    if fault.words.startswith("Interpreting"):
        char = text[fault.offset : fault.offset + 4].decode("utf-8", "replace")[:1]
        message = f"character {char!a} stands outside of quotes and comments"
        return Own(faults.UNPARSABLE, message, "Only ASCII may: look for odd blanks and quotes.")
    message, hint = _LEXICAL[fault.words]
    return Own(faults.UNPARSABLE, message, hint)


_LEXICAL = {
    lexical.CONTROL: ("a control character stands in the text", "Is it a binary file, or UTF-16?"),
    lexical.UNCLOSED_LINE: ("the string is not closed on its line", "Close the quotes; strings in a row are joined."),
    lexical.UNCLOSED_END: ("the string is not closed", "Close the quotes."),
    lexical.ESCAPE: ("the server knows no such escape", "A backslash itself is written twice."),
    lexical.ESCAPE_HEX: ("\\x is not followed by hex digits", "Write two, as in \\x41."),
    lexical.ESCAPE_FOUR: ("\\u is not followed by four hex digits", "Write four, as in \\u00e9."),
    lexical.ESCAPE_EIGHT: ("\\U is not followed by eight hex digits up to 0010ffff", "Write eight, as in \\U0001f600."),
    lexical.HEX: ("0x is not followed by hex digits", "Write some, or 0."),
    lexical.OCTAL: ("a leading 0 makes the number octal, and 8 and 9 are no octal digits", "Write it without the 0."),
    lexical.EXPONENT: ("the exponent has no digits", "Write some, as in 1e3."),
    lexical.SPACE_AFTER: ("a letter follows the number", "Remove it, or put a blank between."),
    lexical.SPACE_BEFORE: ("a number follows the name", "Put a colon or a blank between."),
    lexical.SECOND_POINT: ("the number has a second point", "Remove one."),
    lexical.POINT: ("a hex or octal number has a point", "Write it as a decimal number."),
}


def is_placeholder(written: str) -> bool:
    """Tell whether a value, in quotes or not, is one that a template engine should have filled in."""
    return written.strip("\"'").startswith(PLACEHOLDERS)


def short(kind: MessageType) -> str:
    """Return a message's name without its package."""
    return kind.name.removeprefix("inference.")


def shown(written: str) -> str:
    """Return a value as messages show it, short."""
    return written if len(written) <= SHOWN else written[: SHOWN - 1] + "…"


def seen(written: str) -> str:
    """Return what stands there, also where that is the end."""
    return f"{shown(written)} stands here" if written else "the file ends here"


def _closest(name: str, known: Iterable[str]) -> str:
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    names = list(known)
    for tried in (name, snake, name.lower(), name.removesuffix("s")):
        if found := nearest(tried, names, 0.75):
            return f'Did you mean "{found}"?'
    return ""
