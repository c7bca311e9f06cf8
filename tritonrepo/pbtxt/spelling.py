"""Messages and hints for faults: the value needed, the value found, and the next step."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tritonrepo.diagnostics import either, nearest
from tritonrepo.pbtxt import durations, faults, lexical, notation
from tritonrepo.pbtxt.faults import Own
from tritonrepo.pbtxt.lexical import LexicalFault
from tritonrepo.pbtxt.schema import EnumType, FieldType, MessageType

NEEDS = {
    "int32": "an integer",
    "int64": "an integer",
    "uint32": "a non-negative integer",
    "uint64": "a non-negative integer",
    "float": "a number",
    "double": "a number",
    "bool": "true or false",
    "string": "a string in quotes",
    "enum": "a name without quotes",
    "message": "a message in braces",
}
"""What a value must be, by the type of its field."""

SHOWN = 40
"""Maximum number of characters of a value that a message shows."""

UNQUOTED = re.compile(r"/?\w[\w./-]*", re.ASCII)
"""What becomes a string if it is put in quotes: a name or a path."""

PLACEHOLDERS = ("$", "{", "<", "%", "@")
"""First characters of what a template engine replaces: ${x}, {{ x }}, <X>, %d, @X@."""

TEMPLATE = "Replace the placeholder with a value. The file looks like an unrendered template."


def unknown_field(name: str, kind: MessageType, token: int) -> Own:
    """Return the fault for a name that the message lacks, or lacks in this release."""
    if name in kind.later:
        message = f'field "{name}" of {short(kind)} requires Triton {kind.later[name]} or later'
        return Own(faults.NEWER_FIELD, message, f"Remove it, or use Triton {kind.later[name]} or later.", token)
    message = f'unknown field "{shown(name)}" in {short(kind)}'
    near = _closest(name, kind.fields)
    hint, safe = _did_you_mean(near) or _elsewhere(name, kind), near in {_snake(name), name.lower()}
    return Own(faults.UNKNOWN_FIELD, message, hint, token, write=near, safe=safe)


def _elsewhere(name: str, kind: MessageType) -> str:
    owners = [inner.name for inner, field in _below(kind) if field == name]
    if owners:
        return f'Move it into "{owners[0]}", which has this field.'
    if not kind.fields:
        return f"Remove it. {short(kind)} has no fields."
    return f"Use a field of {short(kind)}: {either(kind.fields)}."


def _below(kind: MessageType) -> Iterable[tuple[FieldType, str]]:
    return [(field, name) for field in kind.fields.values() if field.message for name in field.message.fields]


def enum(name: str, kind: EnumType, token: int) -> Own:
    """Return the fault for a name that the enum lacks, or lacks in this release."""
    bare = kind.name.rpartition(".")[2]
    if name in kind.later:
        message = f"{bare} {name} requires Triton {kind.later[name]} or later"
        return Own(faults.NEWER_FIELD, message, f"Use another value, or Triton {kind.later[name]} or later.", token)
    hint, write, safe = _closest_value(name, kind)
    return Own(faults.UNKNOWN_ENUM, f"unknown {bare} {shown(name)}", hint, token, write=write, safe=safe)


INVALID = "TYPE_INVALID"
"""The data type that no input or output can have."""

BY_OTHER_NAMES = {"BYTES": "TYPE_STRING", "FLOAT": "TYPE_FP32", "DOUBLE": "TYPE_FP64", "HALF": "TYPE_FP16"}
"""Names that other tools use for the data types (Triton's own clients: BYTES)."""


def _closest_value(name: str, kind: EnumType) -> tuple[str, str, bool]:
    """Return the hint for a name that the enum lacks, the value that is meant, and whether no other can be."""
    if not name:
        return f"Use {_values(kind)}.", "", False
    bare = name.upper().removeprefix("TYPE_")
    exact = [value for value in kind.numbers if value == name.upper() or value.partition("_")[2] == name.upper()]
    guessed = BY_OTHER_NAMES.get(bare) in kind.numbers
    if guessed:
        exact.insert(0, BY_OTHER_NAMES[bare])
    if exact:
        return f"Use {exact[0]}.", exact[0], len(exact) == 1 and (not guessed or bare == "BYTES")
    near = _closest(name.upper(), kind.numbers)
    return _did_you_mean(near) or f"Use {_values(kind)}.", near, False


def _values(kind: EnumType) -> str:
    return either(value for value in kind.numbers if value != INVALID)


def not_enum(written: str, spec: FieldType) -> Own:
    """Return the fault for something that is neither a name nor a number where an enum needs its value."""
    assert spec.enum  # noqa: S101  by the production
    bare = written.strip("\"'")
    if bare in spec.enum.numbers:
        return Own(faults.QUOTED_ENUM, must_be(written, spec), f"Write {bare}.", write=bare, safe=True)
    hint, write, safe = (TEMPLATE, "", False) if is_placeholder(written) else _closest_value(bare, spec.enum)
    rule = faults.QUOTED_ENUM if bare != written else faults.WRONG_LITERAL
    return Own(rule, must_be(written, spec), hint, write=write, safe=safe)


def boolean(written: str, spec: FieldType, token: int) -> Own:
    """Return the fault for a value that is not a bool."""
    yes = written.strip("\"'").lower() in {"true", "t", "yes", "y", "on", "1", "1.0", "enable", "enabled"}
    no = written.strip("\"'").lower() in {"false", "f", "no", "n", "off", "0", "0.0", "disable", "disabled"}
    other = TEMPLATE if is_placeholder(written) else "Write true or false."
    write = "true" if yes else "false" if no else ""
    hint = f"Write {write}." if write else other
    return Own(faults.BOOL_LITERAL, must_be(written, spec), hint, token, write=write, safe=True)


def out_of_range(written: str, spec: FieldType, limit: int) -> Own:
    """Return the fault for a number that the field's type cannot hold; `limit` is negative for a negative number."""
    if written.isdigit() and written[0] == "0" and written.strip("01234567"):
        hint = f"Write {written.lstrip('0')}. A leading 0 makes a number octal."
        return Own(faults.OUT_OF_RANGE, f"{shown(written)} is not a valid octal number", hint)
    field = f"{spec.name or 'an enum'} ({spec.type})"
    if limit < 0:
        message, hint = f"-{shown(written)} is too small for {field}", f"Use a value of at least {limit}."
    else:
        message, hint = f"{shown(written)} is too large for {field}", f"Use a value up to {limit}."
    return Own(faults.OUT_OF_RANGE, message, hint)


def literal(written: str, spec: FieldType) -> Own:
    """Return the fault for a value whose type is not the field's."""
    if written == "-" and spec.type.startswith("u"):
        return Own(faults.WRONG_LITERAL, f"{_subject(spec)} cannot be negative", "Set it to 0 or a positive integer.")
    hint, write = _literal_hint(written, spec) if written else (f"Set it to {NEEDS[spec.type]}.", "")
    safe = written not in NO_STRINGS
    return Own(faults.WRONG_LITERAL, must_be(written, spec), hint, write=write, safe=safe)


def braced(spec: FieldType) -> Own:
    """Return the fault for a value, or a list of values, in the braces of a message."""
    hint = "Use square brackets for a list: `[ …, … ]`." if spec.repeated else "Remove the braces."
    return Own(faults.WRONG_LITERAL, must_be("{ … }", spec), hint)


def no_value(spec: FieldType, token: int) -> Own:
    """Return the fault for a field that is followed by the next field or the message's end instead of a value."""
    hint = f"Set it to {_values(spec.enum) if spec.enum else NEEDS[spec.type]}."
    return Own(faults.WRONG_LITERAL, f"{spec.name or 'an enum'} has no value", hint, token)


NO_STRINGS = frozenset({"null", "None", "nil", "true", "false", "True", "False"})
"""Words of other languages that may stand for a value that is no string."""


def _literal_hint(written: str, spec: FieldType) -> tuple[str, str]:
    """Return the hint for a value of another type, and what to write if it says that."""
    bare = written.strip("\"'")
    if is_placeholder(written):
        return TEMPLATE, ""
    if spec.type == "string":
        return (f'Write "{bare}".', f'"{bare}"') if UNQUOTED.fullmatch(bare) else ("", "")
    return ("Remove the plus sign.", "") if written == "+" else _number_hint(written, bare, spec)


def _number_hint(written: str, bare: str, spec: FieldType) -> tuple[str, str]:
    if spec.name.endswith("_microseconds") and (scaled := durations.microseconds(bare)):
        return f"Write {scaled}. The unit is microseconds.", scaled
    number = bare.removeprefix("+").replace("_", "")
    if number.isdigit() and number.isascii() and number != written:
        return f"Write {number}.", _decimal(number)
    whole = number.partition(".")[0]
    is_whole = whole.isdigit() and whole.isascii() and not number.partition(".")[2].strip("0")
    return (f"Write {whole}.", _decimal(whole)) if is_whole and whole != written else ("", "")


def _decimal(number: str) -> str:
    """Return a number if it is not octal in protobuf text."""
    return "" if number.startswith("0") and number != "0" else number


def lexical_fault(text: bytes, fault: LexicalFault) -> Own:
    """Return the fault for what the tokenizer reports."""
    if text.startswith(notation.MARKS) and fault.offset == 0:
        hint, edits = "Save the file as UTF-8 without a byte order mark.", notation.unmarked(text)
        return Own(faults.BYTE_ORDER_MARK, "the file starts with a byte order mark", hint, edits=edits, safe=True)
    char = text[fault.offset : fault.offset + 4].decode("utf-8", "replace")[:1]
    if fault.words == lexical.ESCAPE:
        message = f"unknown escape sequence \\{char if char.isprintable() else ''} in the string"
        return Own(faults.UNPARSABLE, message, "Write \\\\ for a backslash.")
    if fault.words.startswith("Interpreting"):
        message = f"a character outside quotes and comments must be ASCII, not {char!a}"
        return Own(faults.UNPARSABLE, message, "Replace it. Look for non-breaking spaces and curly quotes.")
    field, written = durations.duration(text, fault.offset) if fault.words == lexical.SPACE_AFTER else ("", "")
    if field:
        message = f"{field} must be a number of microseconds without a unit, not {written}"
        return Own(faults.UNPARSABLE, message, f"Write {durations.microseconds(written)}.")
    message, hint = _LEXICAL[fault.words]
    return Own(faults.UNPARSABLE, message, hint)


_LEXICAL = {
    lexical.CONTROL: ("the text contains a control character", "Remove it, or save the file as UTF-8 text."),
    lexical.UNCLOSED_LINE: (
        "the string is not closed on its line",
        "Close the quotes on this line. Adjacent strings are joined.",
    ),
    lexical.UNCLOSED_END: ("the string is never closed", "Close the quotes."),
    lexical.ESCAPE_HEX: ("\\x must be followed by hex digits", "Write two hex digits, such as \\x41."),
    lexical.ESCAPE_FOUR: ("\\u must be followed by four hex digits", "Write four hex digits, such as \\u00e9."),
    lexical.ESCAPE_EIGHT: (
        "\\U must be followed by eight hex digits up to 0010ffff",
        "Write eight hex digits, such as \\U0001f600.",
    ),
    lexical.HEX: ("0x must be followed by hex digits", "Add hex digits, or write 0."),
    lexical.OCTAL: ("a number with a leading 0 is octal and cannot contain 8 or 9", "Remove the leading 0."),
    lexical.EXPONENT: ("the exponent has no digits", "Add digits, such as 1e3."),
    lexical.SPACE_AFTER: ("a letter directly follows the number", "Remove the letter, or add a space before it."),
    lexical.SPACE_BEFORE: ("a number directly follows the name", "Add a colon or a space between them."),
    lexical.SECOND_POINT: ("the number has an extra decimal point", "Remove the extra decimal point."),
    lexical.POINT: ("a hex or octal number cannot have a decimal point", "Write it as a decimal number."),
}


def is_placeholder(written: str) -> bool:
    """Return whether a value, in quotes or not, is a placeholder that a template engine should have replaced."""
    return written.strip("\"'").startswith(PLACEHOLDERS)


def short(kind: MessageType) -> str:
    """Return a message's name without its package."""
    return kind.name.removeprefix("inference.")


def shown(written: str) -> str:
    """Return a value as messages show it, shortened."""
    return written if len(written) <= SHOWN else written[: SHOWN - 1] + "…"


def must_be(written: str, spec: FieldType) -> str:
    """Return the message that a field's value must be of its type; "" is the end of the file in its place."""
    if not written:
        return f"the file ends before the value of {spec.name or 'an enum'}"
    return f"{_subject(spec)} must be {NEEDS[spec.type]}, not {shown(written)}"


def _subject(spec: FieldType) -> str:
    """Return what a message is about: the field, each value of a list, or "an enum" for the number of one."""
    is_list = spec.repeated and spec.name and not spec.message
    return f"each value in {spec.name}" if is_list else spec.name or "an enum"


def _did_you_mean(near: str) -> str:
    return f'Did you mean "{near}"?' if near else ""


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name.replace("-", "_")).lstrip("_")


def _closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most similar; "" if none is."""
    names = list(known)
    tries = (name, _snake(name), name.lower(), name.removesuffix("s"))
    return next((found for tried in tries if (found := nearest(tried, names, 0.75))), "")
