"""Every fixed text of the pages in both languages, side by side so that neither can be forgotten."""

from __future__ import annotations

from serving.console.catalogue import decisions, frame, ledger, since, training, watching
from serving.console.catalogue.message import Message
from serving.console.reference_words import WORDS
from serving.console.texts import polished


class MessageUnknown(KeyError):
    """A key that the catalogue does not hold."""


def say(language: str, key: str, /, **values: object) -> str:
    """The text of a key in a language, filled in.

    Raises:
        MessageUnknown: no such key, or a value is missing.
    """
    try:
        message = CATALOGUE[key]
        return (message.zh if language == "zh" else message.en).format(**values)
    except KeyError as error:
        raise MessageUnknown(key) from error


def say_or(language: str, key: str, otherwise: str) -> str:
    """The text of a key, or another where the catalogue has none: for words that users bring along, such as a custom type's name."""
    message = CATALOGUE.get(key)
    if message is None:
        return otherwise
    return message.zh if language == "zh" else message.en


_REFERENCE = {key: Message(*texts) for key, texts in WORDS.items()}
_WRITTEN = {**frame.TEXTS, **decisions.TEXTS, **training.TEXTS, **watching.TEXTS, **since.TEXTS, **ledger.TEXTS, **_REFERENCE}
CATALOGUE: dict[str, Message] = {key: Message(polished(message.en), polished(message.zh)) for key, message in _WRITTEN.items()}
