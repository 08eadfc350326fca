import re
import string

import pytest

from serving.console.catalogue import decisions, frame, since, training, watching
from serving.console.messages import CATALOGUE, MessageUnknown, say, say_or
from serving.console.reference_words import WORDS
from serving.console.rendering import HERE

LITERAL = re.compile(r"""["']([a-z][a-z_]*(?:\.[A-Za-z0-9_-]+)+)["']""")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
SAME_IN_BOTH = {"brand", "nav.language", "order.sku", "dataset.sha", "decision.ms", "decision.policy_hint"}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_text_is_there_in_both_languages_with_the_same_values() -> None:
    for key, message in CATALOGUE.items():
        assert message.en.strip(), key
        assert fields(message.en) == fields(message.zh), key
        assert not CHINESE.search(message.en) or key == "nav.language", key
        words = re.sub(r"\{.*?\}|SHA-256|SHAP|AUC|CSV|v\{", "", message.zh)
        assert CHINESE.search(words) or key in SAME_IN_BOTH or not re.search(r"[A-Za-z]", words), key


def test_no_key_is_written_twice() -> None:
    written = [*frame.TEXTS, *decisions.TEXTS, *training.TEXTS, *watching.TEXTS, *since.TEXTS, *WORDS]
    assert len(written) == len(set(written))
    for part in (frame, decisions, training, watching, since):
        groups = [value for name, value in vars(part).items() if name.isupper() and name != "TEXTS"]
        assert sum(len(group) for group in groups) == len(part.TEXTS)


def test_templates_ask_only_for_keys_that_exist() -> None:
    asked = re.compile(r"""\bt\(\s*["']([^"']+)["']""")
    for template in (HERE / "templates").glob("*.html"):
        for key in asked.findall(template.read_text()):
            assert key in CATALOGUE, f"{template.name}: {key}"


def test_every_key_is_used() -> None:
    """A key is used when a template or a view writes it, or the beginning of it before a name that is filled in."""
    sources = [path.read_text() for path in HERE.rglob("*") if path.suffix in {".py", ".html"} and path.parent.name != "catalogue"]
    whole = "\n".join(sources)
    built = tuple(re.findall(r"""f["']([a-z_]+(?:\.[a-z_]*)*[._])\{""", whole))
    unused = [key for key in CATALOGUE if f'"{key}"' not in whole and f"'{key}'" not in whole and not key.startswith(built)]
    assert unused == []


def test_only_what_we_wrote_is_set_as_a_sentence_of_ours() -> None:
    assert say("zh", "decision.short", label="Lead 7 days", value="-5") == "Lead 7 days -5"
    assert say("en", "decision.order", order="-5 h") == "Order -5 h"
    assert say("en", "decision.ms", ms=3) == "3\u00a0ms", "a unit stays on the line of the number that is filled in"


def test_an_unknown_key_is_an_error_and_not_an_empty_text() -> None:
    with pytest.raises(MessageUnknown, match=r"no\.such"):
        say("en", "no.such")
    with pytest.raises(MessageUnknown):
        say("en", "decision.order")
    assert say_or("zh", "type.scms-late", "scms-late") == "scms-late"
    assert say("zh", "decision.order", order="SO-1") == "订单 SO-1"
