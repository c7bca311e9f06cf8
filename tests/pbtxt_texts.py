"""Texts for the reader of config.pbtxt: built from the schema in every style, then damaged, reproducibly.

`text(number)` is a member of an endless sequence. It draws only from `random()`, whose numbers are the same in every
version of Python.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tritonrepo.pbtxt.schema import FieldType, MessageType, model_config

T = TypeVar("T")
RELEASE = "24.10"

INTEGERS = "0|1|2|8|32|-1|- 1|010|0x4|0X1f|2147483647|2147483648|-2147483648|-2147483649|4294967295|4294967296"
INTEGERS += "|9223372036854775807|9223372036854775808|-9223372036854775808|18446744073709551615|18446744073709551616"
INTEGERS += '|00|08|1.0|+1|1e3|1_0|8u|0x|"1"|one|0777777777777777777777|-\n1|- # c\n1|--1|${n}|{{ n }}|1f|[1]|'
FLOATS = "0|1|0.5|5e-1|.5|1.|1.5f|nan|inf|-inf|-Infinity|NAN|infinity|1e400|1e-400|-0.0|3.4028235e38|0x1|01|08|1e|1.2.3"
FLOATS += '|a|"1"|+1|- 1|18446744073709551616|1F|1e+5|1E5f|0f|.|..5|-|'
BOOLS = 'true|false|True|False|t|f|0|1|00|01|0x1|0x0|TRUE|yes|2|-1|"true"|1.0|on|T|08|'
STRINGS = '""|\'\'|"a"|\'b\'|"a" "b"|"a"\'b\'|"a\\n\\t\\\\\\"\\\'\\?"|"\\101\\x41\\xff\\400\\377"|"\\u00e9\\U0001f600"'
STRINGS += '|"\\ud83d\\ude00"|"\\ud83d"|"\\U00110000"|"\\U0000d83d\\ude00"|"é"|"a#b"|"a\nb"|"a|"\\q"|"\\x"|"\\u12"'
STRINGS += '|"\\U0011"|"\\"|\'a"|a|1|“a”|"\\X41"|"a\tb"|"\x01"|"\\8"|"\\0"|"\\xg"|"\\u123g"|"\\U00200000"|'
ENUMS = '0|1|11|99|-1|2147483648|"TYPE_FP32"|FP32|type_fp32|1.5|KIND_CPU|TYPE_FP32|-5|08|0x1|[|'
BLANKS = [" "] * 12 + ["", "  ", "\n", "\n  ", "\t", " \t", "\r\n", "\r", "\v", "\f", " # c\n", "#\n", '\n# é "x\n']
NAMES = (
    'name|foo|backend|max_batch_size|maxBatchSize|Name|max-batch-size|model_metrics|1|"name"|[a.b]|[a|[a/b]|[1]|dims'
)
ODD = "{|}|<|>|[|]|:|;|,|=|-|+|.|/|//|/*|#|\"|'|\\|$|(|)|@|\x00|\x01|\x1a|\x7f|\xa0|\ufeff|\u3000|é|0x|08|1e|8u"
ODD += '|.5|a.5|1.2.3|\t|\n|\r|name|key|value|input|true|TYPE_FP32|1|"a"|input { }|max_batch_size: 1'
ODD += '|dims: [ 1, 2 ]|name: ""'


@dataclass(slots=True)
class _Author:
    """Writes one text; `wildness` is how often a value or a word is one that the server might refuse."""

    dice: random.Random
    wildness: float

    def chance(self, of: float) -> bool:
        return self.dice.random() < of

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.dice.random() * len(items))]

    def blank(self) -> str:
        return self.pick(BLANKS)

    def message(self, kind: MessageType, depth: int) -> str:
        taken: set[str] = set()
        specs = [
            self.pick(list(kind.fields.values()))
            for _ in range(int(self.dice.random() * (5 if depth else 8)))
            if kind.fields
        ]
        fields = []
        for spec in specs:
            if spec.slot not in taken or self.chance(self.wildness):
                fields.append(self.field(spec, depth))
            taken |= {spec.slot} - {""}
        return "".join(fields)

    def field(self, spec: FieldType, depth: int) -> str:
        if self.chance(self.wildness / 4):
            return (
                f"{self.pick(NAMES.split('|'))}{self.blank()}{self.pick((':', '', '='))}{self.blank()}1{self.blank()} "
            )
        colon = ":" if not spec.message or self.chance(0.5) else ""
        colon = self.pick(("", "=", "::")) if self.chance(self.wildness / 4) else colon
        end = self.pick((",", ";", " ,", "\n;", ",,")) if self.chance(0.1) else ""
        return f"{spec.name}{self.blank()}{colon}{self.blank()}{self.values(spec, depth)}{end}{self.blank() or ' '}"

    def values(self, spec: FieldType, depth: int) -> str:
        if not self.chance(0.4 if spec.repeated else self.wildness / 8):
            return self.value(spec, depth)
        items = [self.value(spec, depth) for _ in range(int(self.dice.random() * 4))]
        comma = self.pick((" ", ";", ",,")) if self.chance(self.wildness / 4) else ","
        last = self.pick((",", "", "")) if self.chance(self.wildness) else ""
        return f"[{self.blank()}{f'{self.blank()}{comma}{self.blank()}'.join(items)}{last}{self.blank()}]"

    def value(self, spec: FieldType, depth: int) -> str:
        if spec.message:
            brackets = self.pick(("{}", "{}", "<>", "{>")) if self.chance(0.2) else "{}"
            return f"{brackets[0]}{self.blank()}{self.message(spec.message, depth + 1)}{self.blank()}{brackets[1]}"
        if spec.enum:
            names = list(spec.enum.numbers)
            return self.pick(ENUMS.split("|")) if self.chance(self.wildness) else self.pick(names)
        choices = {"string": STRINGS, "bool": BOOLS, "float": FLOATS, "double": FLOATS}.get(spec.type, INTEGERS)
        return self.pick(choices.split("|")[: None if self.chance(self.wildness) else 4])


def text(number: int, others: Sequence[bytes] = ()) -> bytes:
    """Return text `number`: built from the schema, or one of `others`; two of three are damaged in a few places."""
    dice = random.Random(f"config.pbtxt {number}")
    author = _Author(dice, author_wildness(dice))
    if others and author.chance(0.5):
        made = author.pick(others)
    else:
        made = author.message(model_config(RELEASE), 0).encode("utf-8", "surrogatepass")
    for _ in range(int(dice.random() * 3)):
        made = author.pick(DAMAGES)(author, made)
    return made


def author_wildness(dice: random.Random) -> float:
    """Return how wild a text is: a third is tame, so that some whole configs are accepted."""
    return max(0.0, dice.random() - 1 / 3) / 3


def _cut(author: _Author, made: bytes) -> bytes:
    at, length = _span(author, made)
    return made[:at] + made[at + length :]


def _double(author: _Author, made: bytes) -> bytes:
    at, length = _span(author, made)
    return made[: at + length] + made[at:]


def _move(author: _Author, made: bytes) -> bytes:
    at, length = _span(author, made)
    rest = made[:at] + made[at + length :]
    to = int(author.dice.random() * (len(rest) + 1))
    return rest[:to] + made[at : at + length] + rest[to:]


def _put_in(author: _Author, made: bytes) -> bytes:
    at = int(author.dice.random() * (len(made) + 1))
    odd = author.pick(ODD.split("|")).encode()
    return made[:at] + odd + made[at:]


def _byte(author: _Author, made: bytes) -> bytes:
    at, length = _span(author, made)
    return made[:at] + bytes([int(author.dice.random() * 256)]) * min(length, 2) + made[at + 1 :]


def _break_off(author: _Author, made: bytes) -> bytes:
    return made[: int(author.dice.random() * (len(made) + 1))]


def _span(author: _Author, made: bytes) -> tuple[int, int]:
    return int(author.dice.random() * (len(made) + 1)), 1 + int(author.dice.random() ** 4 * 40)


DAMAGES: Sequence[Callable[[_Author, bytes], bytes]] = (_cut, _double, _move, _put_in, _put_in, _byte, _break_off)
