"""What can be counted of how our texts read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tests.texts import Text, texts, titles
from tritonrepo.rules import RULES

MODAL = {"error": r"\b(must|cannot)\b", "warning": r"\bshould\b", "info": r"^(?!.*\b(must|cannot|should)\b)"}
VERBS = (
    "is|are|was|were|has|have|had|does|do|did|can|cannot be|could|must|needs|would|will|should|may|asks|names|gives|"
    "holds|takes|leads|lies|stands|comes|came|goes|went|reads|writes|calls|ends|leaves|counts|uses|wants|"
    "contains|differs|exists|says|gave|lacks|reaches|refuses|refused|serves|stays|waits|belongs|broke|"
    "begins|began"
)
VERB_FIRST = re.compile(rf"(?:{VERBS})\b")
BANNED = re.compile(
    r"\bis no (?!longer)|\bthere (?:is|are) (?:no|none)\b|\bnone of the\b|\bis none\b|\bmend|\bgive (?:it|each|the)\b|"
    r"\bfor ever\b|\bgoes? with\b|\bstands here, and\b|\bends the whole server\b|\b(?:came|went) with\b|"
    r"\bof one's own\b|\bdrop (?:it|the|one|this)\b",
    re.IGNORECASE,
)
BARE = re.compile(
    r"\b(?:(?<!allows )only|loaded is|there is|there are|serves) \d+(?=[.,;]| is\b| are\b| alone\b| while\b|$)",
    re.IGNORECASE,
)
CODE = re.compile(r"\b[a-z_]+: ?(?:\[|\"|\{(?!\})|KIND_|TYPE_|true\b|false\b)|\b\w+_\w+: \d")
NAME_MEANT = re.compile(r"Did you mean [^?]*\?")


def wrong(given: Iterable[Text], holds: Callable[[str], object]) -> list[str]:
    return [f"{text.place}: {text.text}" for text in given if not holds(text.text)]


def prose(text: str) -> str:
    """Return a text without what is in backticks or double quotes."""
    return re.sub(r"`[^`]*`|\"[^\"]*\"", "{}", text)


def test_there_is_much_to_read() -> None:
    counts = [len(texts(kind)) for kind in ("title", "message", "hint", "usage", "help")]
    assert all(count > least for count, least in zip(counts, (400, 700, 700, 5, 60), strict=True)), counts


def test_the_title_of_an_error_says_what_must_be_of_a_warning_what_should() -> None:
    rules = [text for text in titles() if text.place in RULES]
    assert [f"{text.place}: {text.text}" for text in rules if not re.search(MODAL[text.kind], text.text)] == []


def test_a_title_is_a_line_without_a_period() -> None:
    assert wrong(texts("title"), lambda text: re.fullmatch(r".{10,119}[^.]", text)) == []


def test_a_message_names_what_it_is_about_before_its_verb() -> None:
    assert wrong(texts("message", "usage"), lambda text: not VERB_FIRST.match(text)) == []


def test_a_message_has_no_period() -> None:
    assert wrong(texts("message"), lambda text: not text.endswith(".")) == []


def test_a_hint_is_a_sentence() -> None:
    assert wrong(texts("hint"), lambda text: re.match(r"[A-Z{`\"]", text) and re.search(r"(?:[.?]|\{\})$", text)) == []


def test_a_hint_asks_only_whether_a_name_was_meant() -> None:
    assert wrong(texts("hint"), lambda text: "?" not in NAME_MEANT.sub("", text)) == []


def test_no_text_has_a_turn_that_no_writer_would_use() -> None:
    assert wrong(texts("title", "message", "hint", "usage", "help"), lambda text: not BANNED.search(prose(text))) == []


def test_a_number_has_its_noun() -> None:
    assert wrong(texts("message", "hint"), lambda text: not BARE.search(text)) == []


def test_code_with_a_colon_is_in_backticks() -> None:
    assert wrong(texts("hint", "help"), lambda text: not CODE.search(re.sub(r"`[^`]*`", "", text))) == []


def test_a_docstring_opens_as_those_of_the_field_do() -> None:
    assert wrong(texts("docstring"), lambda text: not re.match(r"(?:Give|Tell)s?\b", text)) == []
