"""The text of a stack file parsed into nodes with positions: YAML by the rules of version 1.2.

`on`, `yes` and `26.07` keep the text as typed; a duplicate key, a tab, a loop or an alias bomb is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.reader import ReaderError

from tritonrepo.diagnostics import Span, Stop, fatal, line_and_column

MAX_BYTES = 4 << 20
MAX_NODES = 50_000
BYTES_PER_NODE = 8
"""A larger file can have more values, one for so many bytes. PyYAML needs up to a kilobyte of memory for each."""

MAX_DEPTH = 60
RULE = "stack-syntax"
REMOVE = "!remove"
TAGS = "Remove the tag. The only tags are !append, on a list, and !remove, in place of a value."


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value: the text as typed, and whether YAML 1.2 reads it as str, int, float, bool or null.

    The kind `!remove` is that of a value with this tag, which removes the key that an earlier file set.
    """

    at: Span
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list; `append` if it was tagged `!append`, to extend an earlier file's list instead of replacing it."""

    at: Span
    items: tuple[Node, ...]
    append: bool = False


@dataclass(frozen=True, slots=True)
class Keys:
    """A mapping in the order typed: key → (place of the key, value)."""

    at: Span
    keys: dict[str, tuple[Span, Node]]


Node = Scalar | Items | Keys


def paths(node: Node) -> set[str]:
    """Return the files that a node comes from."""
    inner: list[Node] = [value for _, value in node.keys.values()] if isinstance(node, Keys) else []
    inner += node.items if isinstance(node, Items) else ()
    return {node.at.path}.union(*map(paths, inner))


class _Many(yaml.MarkedYAMLError):
    """More keys and values than a file can have."""


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars by the core schema of YAML 1.2, not of 1.1; counts keys and values as it reads them."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML reads it there

    def __init__(self, text: str, most: int) -> None:
        super().__init__(text)
        self.left = most

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node; raise _Many if there are too many."""
        self.left -= 1
        if self.left < 0:
            raise _Many(problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def scan_tag(self) -> Any:
        """Return the token of a tag; `}`, `]` and `,` end ours, as in YAML 1.2 (5.6), where PyYAML wants a space."""
        if self.prefix(len(REMOVE)) != REMOVE or self.peek(len(REMOVE)) not in ",]}":
            return super().scan_tag()
        start = self.get_mark()
        self.forward(len(REMOVE))
        return yaml.TagToken(("!", REMOVE[1:]), start, self.get_mark())


BEFORE = yaml.StreamStartToken, yaml.DirectiveToken, yaml.DocumentStartToken, yaml.BlockMappingStartToken
"""Tokens of what is before the first key."""

KINDS = (
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), [*"tTfF"]),
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), [*"~nN", ""]),
    ("int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), [*"-+0123456789"]),
    ("float", re.compile(r"^(?:[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)$"), [*"-+.0123456789"]),
)
"""Kinds of plain scalars besides str, with their patterns and first characters (YAML 1.2, 10.3.2)."""

for _kind, _pattern, _first in KINDS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _pattern, _first)


def is_text(text: str) -> bool:
    """Return whether a plain scalar of this text is a string."""
    return not any(pattern.match(text) for _, pattern, _ in KINDS)


def parse(content: bytes, path: str) -> Keys:
    """Return the mapping at the top of a stack file; raise Stop with the place of what cannot be parsed."""
    text = _decoded(content, path)
    most = max(MAX_NODES, len(content) // BYTES_PER_NODE)
    try:
        root = _Loader(text, 2 * most).get_single_node()
    except _Many as error:
        message = f"the file has more than {2 * most:,} keys and values"
        raise fatal(RULE, _at(error, path), message, "Check that this is the right file.") from None
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, path) from None
    except ReaderError as error:
        raise _unprintable(text, error.position, path) from None
    except RecursionError:
        raise fatal(RULE, path, f"the file is nested deeper than {MAX_DEPTH} levels") from None
    if root is None:
        raise fatal(RULE, path, "the stack file is empty", "Add at least name and models.")
    node = _Converter(path, most, marked=text.startswith("\ufeff")).convert(root, 0)
    if not isinstance(node, Keys):
        message = "the stack file must be a mapping of keys to values"
        raise fatal(RULE, node.at, message, "Start it with a key, such as `name: my-stack`.")
    return node


def gaps(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield where what is between two tokens begins and ends, and whether the first key is before it.

    White space and comments are there, and nothing else.
    """
    end, begun = 0, False
    loader: Any = _Loader(text, 0)
    while loader.check_token():
        token = loader.get_token()
        yield end, token.start_mark.index, begun
        end = max(end, token.end_mark.index)
        begun |= not isinstance(token, BEFORE)


def _decoded(content: bytes, path: str) -> str:
    if len(content) > MAX_BYTES:
        message = f"the stack file has more than {MAX_BYTES:,} bytes"
        raise fatal(RULE, path, message, "Check that this is the right file.")
    try:
        return content.decode("utf-8")  # PyYAML skips a byte order mark and does not count it in columns
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        message = f"the stack file is not valid UTF-8 at byte {error.start}"
        raise fatal(
            RULE, Span(path, *line_and_column(before, len(before))), message, "Save it as UTF-8 text."
        ) from None


def _at(error: yaml.MarkedYAMLError, path: str) -> Span:
    mark = error.problem_mark or error.context_mark
    return Span(path, mark.line + 1, mark.column + 1) if mark else Span(path)


def _syntax(error: yaml.MarkedYAMLError, path: str) -> Stop:
    at, problem = _at(error, path), error.problem or "syntax error"
    if str(error.context).startswith("found duplicate anchor"):
        return fatal(RULE, at, "the anchor is set twice", "Give one of them another name.")
    if "unexpected end of stream" in problem and error.context_mark:
        at = Span(path, error.context_mark.line + 1, error.context_mark.column + 1)
        return fatal(RULE, at, "the quote is never closed", "Close it where the text ends.")
    if "'\\t'" in problem:
        return fatal(RULE, at, "YAML cannot be indented with a tab", "Use spaces.")
    return fatal(RULE, at, f"the file is not valid YAML: {' '.join(filter(None, (error.context, problem)))}")


def _unprintable(text: str, index: int, path: str) -> Stop:
    mark = len(text) - len(text.removeprefix("\ufeff"))
    at = Span(path, *line_and_column(text[mark:], index - mark))
    message = f"the text contains U+{ord(text[index]):04X}, which YAML does not allow"
    binary = "Save the file as UTF-8 text." if text[index] == "\0" else "Remove the character."
    return fatal(RULE, at, message, binary)


def refuse_unwritable(text: str, at: Span) -> None:
    """Raise Stop for what escapes can name but paths and UTF-8 cannot hold: NUL, and halves of surrogate pairs."""
    wrong = next((c for c in text if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    if wrong is not None:
        raise fatal(
            RULE,
            at,
            f"the text contains U+{ord(wrong):04X}, which cannot be written to a file",
            "Remove the character.",
        )


class _Converter:
    """Converts PyYAML's nodes to ours and counts them, so that aliases cannot multiply without limit."""

    def __init__(self, path: str, most: int, *, marked: bool) -> None:
        """`marked`: the first line begins with a byte order mark, which its columns do not count."""
        self.path = path
        self.marked = marked
        self.most = most
        self.left = most

    def convert(self, node: Any, depth: int) -> Node:
        at = self.span(node)
        self.left -= 1
        if self.left < 0:
            message = f"the file expands to more than {self.most:,} values"
            raise fatal(RULE, at, message, "Check for aliases (`*name`) that multiply.")
        if depth > MAX_DEPTH:
            message = f"the file is nested deeper than {MAX_DEPTH} levels"
            raise fatal(RULE, at, message, "Check that no alias contains itself.")
        if node.tag == REMOVE:
            return self.removed(node, at)
        if isinstance(node, yaml.ScalarNode):
            refuse_unwritable(node.value, at)
            return Scalar(at, node.value, self.kind(node))
        if isinstance(node, yaml.SequenceNode):
            items = tuple(self.item(item, depth + 1) for item in node.value)
            return Items(at, items, append=self.tag(node, {"!append"}) == "!append")
        self.tag(node, set())
        return Keys(at, dict(self.pairs(node, depth)))

    def item(self, node: Any, depth: int) -> Node:
        if node.tag == REMOVE:
            hint = "Write the list without the item; a later list replaces an earlier one."
            raise fatal(RULE, self.span(node), f"the tag {REMOVE} removes a key, not an item of a list", hint)
        return self.convert(node, depth)

    def removed(self, node: Any, at: Span) -> Scalar:
        if node.value:
            raise fatal(RULE, at, f"the tag {REMOVE} cannot be combined with a value", "Remove the tag or the value.")
        return Scalar(at, "", REMOVE)

    def pairs(self, node: Any, depth: int) -> Iterator[tuple[str, tuple[Span, Node]]]:
        seen: dict[str, Span] = {}
        for key, value in node.value:
            at = self.span(key)
            if not isinstance(key, yaml.ScalarNode):
                raise fatal(RULE, at, "a key must be a plain name, not a list or a mapping")
            refuse_unwritable(key.value, at)
            if key.value in seen:
                hint = f"Remove this one or the one on line {seen[key.value].line}."
                raise fatal(RULE, at, f'key "{key.value}" is set twice', hint)
            seen[key.value] = at
            yield key.value, (at, self.convert(value, depth + 1))

    def kind(self, node: Any) -> str:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind not in {"str", "int", "float", "bool", "null"}:
            raise fatal(RULE, self.span(node), f"the tag {node.tag} is not supported here", TAGS)
        return str(kind)

    def tag(self, node: Any, known: set[str]) -> str:
        tag = str(node.tag)
        if tag.startswith("!") and tag not in known:
            raise fatal(RULE, self.span(node), f"the tag {tag} is not supported here", TAGS)
        return tag

    def span(self, node: Any) -> Span:
        start, end = node.start_mark, _end(node)
        marked = start.line == 0 and self.marked
        known = (end.line + 1, end.column + 1) if end.index > start.index and not marked else (0, 0)
        return Span(self.path, start.line + 1, start.column + 1, *known)


def _end(node: Any) -> Any:
    """Return where a node ends; PyYAML's own end mark of a block is where the next thing begins, maybe lines below.

    An alias has the position of its anchor, so a node that ends in one has no known end: before its start, or short.
    """
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        inner = last[1] if isinstance(last, tuple) else last
        if inner.start_mark.index <= node.start_mark.index:
            return inner.start_mark
        node = inner
    return node.end_mark
