"""Every rule's page is run: Bad says what Says says and no other rule speaks up, Good is clean."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from tests.pages import NEEDED, OPTIONAL, REST, files, judged, loud, normal, said, sections
from tests.tabled import tabled
from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt.schema import messages, model_config
from tritonrepo.report.pages import title
from tritonrepo.repository.model import BROKEN
from tritonrepo.repository.paths import is_config
from tritonrepo.rules import RULES, Rule
from tritonrepo.rules.families import FAMILIES
from tritonrepo.rules.order import turns
from tritonrepo.rules.registry import Scope
from tritonrepo.tree import File, of_bytes

INDEX = Path(__file__).parents[1] / "docs" / "rules.md"


@tabled("rule", RULES.values(), ids=RULES)
def test_page(rule: Rule) -> None:
    page = sections(rule.page)
    found = tuple(name for name in page if name not in OPTIONAL)
    assert found == NEEDED, "the page must have exactly these sections, in this order; see NEEDED in tests/pages.py"
    options = page.get("Run with", "")
    bad, good = files(page["Bad"]), files(page["Good"])
    assert said(bad, options, only=rule) == page["Says"]
    assert loud(bad, options, rule) - {rule.name} == set(page.get("Also", "").replace(",", " ").split())
    assert not loud(good, options, rule)
    assert not said(good, options, only=rule)


QUOTING = [name for name, rule in RULES.items() if "Server says" in sections(rule.page)]


def test_the_verdict_on_a_bad_page_has_the_servers_words() -> None:
    other: dict[str, list[str]] = {}
    for name in QUOTING:
        page = sections(RULES[name].page)
        found = judged(files(page["Bad"]), page.get("Run with", ""))
        said_by = found.diagnostics if RULES[name].scope is Scope.MANIFEST else found.verdicts
        reasons = [normal(each.server_reason) for each in said_by if each.rule == name]
        if not any(normal(page["Server says"]) in reason for reason in reasons):
            other[name] = reasons
    assert other == {}


NEED_NO_CONFIG = [
    "bool-literal",
    "byte-order-mark",
    "config-is-directory",
    "config-is-fifo",
    "config-symbolic-link",
    "config-unparsable",
    "dangling-link-in-model-directory",
    "enum-quoted",
    "field-newer-than-server",
    "integer-out-of-range",
    "json-config",
    "message-field-twice",
    "missing-colon",
    "model-name-unusual",
    "parameter-value-not-message",
    "scalar-field-twice",
    "trailing-comma-in-list",
    "two-schedulers",
    "unknown-enum-value",
    "unknown-extension",
    "unknown-field",
    "unreadable-file-or-directory",
    "version-leading-zero",
    "version-negative",
    "version-not-a-number",
    "version-number-collision",
    "version-overflow",
    "version-partial-number",
    "version-zero",
    "wrong-comment-style",
    "wrong-literal-type",
]


@tabled("name", NEED_NO_CONFIG)
def test_what_needs_no_config_is_found_beside_a_broken_one(name: str) -> None:
    rule = RULES[name]
    page = sections(rule.page)
    bad, options = files(page["Bad"]), page.get("Run with", "")
    broken = {
        path: of_bytes(entry.content() + b"\n}") if is_config(path) and isinstance(entry, File) else entry
        for path, entry in bad.items()
    }
    assert said(broken, options, only=rule) == page["Says"]


def test_no_name_is_lost_which_somebody_ignores_or_selects() -> None:
    listed = re.findall(r"^\| \[([a-z0-9-]+)\]\(../tritonrepo/rules/", INDEX.read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(RULES), "run python -m scripts.docs for a new rule; never remove or rename one"


def test_every_page_is_of_a_rule() -> None:
    pages = resources.files("tritonrepo.rules").joinpath("pages")
    wrong = {file.name.removesuffix(".md") for file in pages.iterdir()} ^ RULES.keys()
    assert not wrong, "a page without a rule, or a rule without a page: check the name and the family's MODULES"


def test_every_trait_is_one_that_a_model_can_have() -> None:
    """A rule with a misspelt trait is never called."""
    known, anywhere = model_config().fields.keys(), {f"*.{name}" for name in field_names()}
    of_models = (rule for rule in RULES.values() if rule.scope is not Scope.MANIFEST)
    named = {trait for rule in of_models for trait in rule.when if not trait.startswith("backend=")}
    assert named - known - anywhere - {BROKEN} == set()


def field_names() -> set[str]:
    """The fields of all messages of ModelConfig."""
    return {name for kind in messages(None).values() for name in kind.fields}


def test_a_family_has_every_module_with_rules_among_its_modules() -> None:
    """The rules of one that is not imported are not there, and nothing else would say so."""
    families = (family for family in FAMILIES if hasattr(family, "__path__"))
    for family in families:
        listed = {module.__name__ for module in family.MODULES}
        for path in sorted(Path(*family.__path__).glob("*.py")):
            if re.search(r"^@(\w+_)?rules?\(", path.read_text("utf-8"), re.MULTILINE):
                assert f"{family.__name__}.{path.stem}" in listed, f"list {path.stem} in {family.__name__}.MODULES"


def test_every_error_has_its_place_in_the_servers_order() -> None:
    of_models = {name: rule for name, rule in RULES.items() if rule.scope is not Scope.MANIFEST}
    errors = {name for name, rule in of_models.items() if rule.severity is Severity.ERROR}
    missing = errors - turns(auto_complete=True).keys()
    assert not missing


def test_a_rules_docstring_is_the_title_of_its_page() -> None:
    heads = {name: title(rule.page) for name, rule in RULES.items()}
    assert [head for head in heads.values() if len(head) > 120] == []
    assert [name for name, head in heads.items() if RULES[name].check.__doc__ not in {f"{head}.", None}] == []


def test_dots_in_a_page_stand_for_the_rest_of_a_model() -> None:
    found = files(
        '-- a/config.pbtxt --\nbackend: "x"\n...\n-- b/config.pbtxt --\n-- c/config.pbtxt --\n...\n-- c/2/w --'
    )
    assert sorted(found) == ["a/1/weights", "a/config.pbtxt", "b/config.pbtxt", "c/2/w", "c/config.pbtxt"]
    first = found["a/config.pbtxt"]
    assert isinstance(first, File)
    assert first.content().decode() == f'backend: "x"\n{REST}'
