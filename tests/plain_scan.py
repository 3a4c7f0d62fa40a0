"""The slow reference for full-text search: every value of a memory, read and looked through word by word.

Law: a word is letters, digits and marks, without case and without accents; a CJK character is one by itself.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from gitmem.view import View

_TERM = re.compile(r'"([^"]*)"?(\*?)|([^\s"]+)')


def scan(memory: View, text: str, *, namespace: str | None = None) -> set[tuple[str, str]]:
    """The (namespace, key) of all entries that hold what the text asks for."""
    names = memory.namespaces() if namespace is None else [namespace]
    return {
        (entry.namespace, entry.key)
        for name in names
        for entry in memory.search("**", namespace=name)
        if answers(text, entry.key, entry.value)
    }


def answers(text: str, key: str, value: Any) -> bool:
    """Whether each word, phrase and beginning stands in the key or in the value."""
    places = [words(key), [word for piece in pieces(value) for word in words(piece)]]
    terms = [(words(phrase or word), bool(star) or word.endswith("*")) for phrase, star, word in _TERM.findall(text)]
    return all(any(_stands(wanted, place, begun) for place in places) for wanted, begun in terms if wanted)


def words(text: str) -> list[str]:
    """The words of a text, as they are compared."""
    found, word = [], ""
    for each in text:
        if _alone(each) or unicodedata.category(each)[0] not in "LNM":
            found += [word, each] if _alone(each) else [word]
            word = ""
        else:
            word += each
    return [_folded(word) for word in [*found, word] if word]


def pieces(value: Any) -> list[str]:
    """Every name, text and number in a value, in its order."""
    if isinstance(value, dict):
        return [piece for name in value for piece in [name, *pieces(value[name])]]
    if isinstance(value, list):
        return [piece for one in value for piece in pieces(one)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def _stands(wanted: list[str], place: list[str], begun: bool) -> bool:
    for start in range(len(place) - len(wanted) + 1):
        *whole, last = place[start : start + len(wanted)]
        if whole == wanted[:-1] and (last == wanted[-1] or (begun and last.startswith(wanted[-1]))):
            return True
    return False


def _alone(character: str) -> bool:
    return "\u3040" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7af"


def _folded(word: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFD", word.lower()) if not unicodedata.combining(one))
