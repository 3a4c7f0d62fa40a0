"""The reasoning bank: what worked, kept for whoever comes later. A pattern is one key, `pattern/<domain>/<name>`.

Knows how patterns are learned, tried, related and recalled. Does not know how text is searched, which is the memory's,
nor what is worth reading first, which is `ranking`'s.
Law: every outcome that was told counts, whoever tells one at the same moment, here or on another copy; and nothing
that was learned is lost by learning more.
"""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gitmem.errors import (
    CorruptValueError,
    GitmemError,
    InvalidKeyError,
    InvalidValueError,
    MissingKeyError,
    typed,
)
from gitmem.globs import escape
from gitmem.keys import COORDINATION, REASONING_BANK, check_key
from gitmem.provenance import session_folder
from gitmem.recipes import ranking, reasoning_recall
from gitmem.recipes.reasoning_members import FOLDER, LISTS, Pattern, counted, learned, members
from gitmem.recipes.reasoning_recall import NOTE, Recalled, noted

if TYPE_CHECKING:
    from gitmem.finding import Ranked
    from gitmem.memory import Memory

__all__ = ["FOLDER", "Learned", "Pattern", "Patterns", "Recalled", "Similar", "key_of"]

LIKE = 0.5
"""From this likeness on a pattern is pointed out when another is learned."""

_ASKED = 24  # so many candidates are looked at for their outcomes, age and words
_NEARBY = 20
_POINTED_OUT = 3
_TOLD = 300  # so much of an approach is looked for elsewhere, in characters


@dataclass(frozen=True, slots=True)
class Similar:
    """A pattern that says nearly what another does. `likeness`: 1 if it says the same, in whatever order."""

    key: str
    likeness: float
    approach: str

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {"key": self.key, "likeness": round(self.likeness, 2), "approach": self.approach}


@dataclass(frozen=True, slots=True)
class Learned:
    """A pattern as it is now; `changes` say in words what became of one that was known, None for a new one."""

    pattern: Pattern
    changes: tuple[str, ...] | None
    similar: tuple[Similar, ...]

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            **self.pattern.to_json(),
            "changes": None if self.changes is None else list(self.changes),
            "similar": [one.to_json() for one in self.similar],
        }


class Patterns:
    """The patterns of a memory, in the namespace `reasoning-bank`, wherever the memory is bound to.

    A name is `DOMAIN/NAME`, or the whole key. With a session, the memory notes in it what was recalled, and how that
    went. Errors of writing verbs: as everywhere; InvalidKeyError for what names no pattern.
    """

    def __init__(self, memory: Memory, *, namespace: str | None = None) -> None:
        """InvalidValueError for any namespace but `reasoning-bank`: patterns elsewhere could not be recalled."""
        if namespace not in (None, REASONING_BANK):
            reason = f"patterns lie in the namespace {REASONING_BANK!r}, not in {namespace!r}"
            raise InvalidValueError(
                reason, hint="leave the namespace out; the domain tells a project's patterns apart", pointer="",
                reason=reason,
            )  # fmt: skip
        self._memory = memory.bind(namespace=REASONING_BANK)

    # --- writes

    def learn(
        self,
        name: str,
        approach: str | None = None,
        *,
        pattern_type: str | None = None,
        lessons: Iterable[str] = (),
        anti_patterns: Iterable[str] = (),
        snippets: Mapping[str, Any] | None = None,
        related: Iterable[str] = (),
    ) -> Learned:
        """Keep a pattern, or learn more about one that is known: its approach is replaced, its lessons are united.

        A new one needs an approach. `snippets` are by name; each of `related` is related both ways, and has to be
        there (MissingKeyError). What is told afterwards of patterns that say nearly the same changes nothing.
        """
        key, memory = key_of(name), self._memory
        others = [_other(key, one) for one in related]
        news: dict[str, Any] = {
            "lessons_learned": _texts("a lesson", lessons),
            "anti_patterns": _texts("an anti-pattern", anti_patterns),
            "code_snippets": dict(snippets or {}),
            "related": others,
            "sessions_used": [] if memory.session is None else [memory.session],
        }
        for member, text in (("approach", approach), ("pattern_type", pattern_type)):
            if text is not None:
                (news[member],) = _texts(member, [text])
        before: Any = None

        def learn(value: Any) -> Any:
            nonlocal before
            before = value
            if value is None and approach is None:
                raise self._unknown(key)
            return learned(value, news if value is not None else {"pattern_type": key.split("/")[1], **news})

        with memory.transaction(f"learn {key}") as tx:
            with _about(key):
                tx.update(key, learn, default=None)
            for other in others:
                with _about(other):
                    tx.update(other, _related_to(key))
        pattern = self.show(key)
        changes = None if before is None else _changes(members(before) or {}, pattern.members)
        return Learned(pattern, changes, self.similar(pattern))

    def outcome(self, name: str, success: bool, *, lesson: str | Iterable[str] | None = None) -> Pattern:
        """Count one success or failure, perhaps with what it taught; the pattern as it is now.

        MissingKeyError if there is no such pattern. A success rate that somebody only stated gives way to the counts.
        """
        memory, key = self._memory, self._known(name)
        lessons = _texts("a lesson", [lesson] if isinstance(lesson, str) else lesson or ())

        def count(value: Any) -> Any:
            return counted(value, success=success, lessons=lessons, session=memory.session)

        word, note = "success" if success else "failure", self._note
        recalled = self._is_noted(key)
        with memory.transaction(f"{word} of {key}") as tx:
            with _about(key):
                tx.update(key, count)
            if note is not None and recalled:
                tx.update(note, reasoning_recall.with_outcome(key, word), default={}, namespace=COORDINATION)
        return self.show(key)

    def relate(self, name: str, *others: str) -> Pattern:
        """Relate a pattern to others, both ways, in one commit; all of them have to be there (MissingKeyError)."""
        key = self._known(name)
        keys = [_other(key, one) for one in others]
        with self._memory.transaction(f"relate {key}") as tx:
            for other in keys:
                with _about(key):
                    tx.update(key, _related_to(other))
                with _about(other):
                    tx.update(other, _related_to(key))
        return self.show(key)

    # --- reads

    def show(self, name: str) -> Pattern:
        """One pattern. MissingKeyError if there is none of this name."""
        return Pattern(self._memory.entry(self._known(name)))

    def list(self, domain: str | None = None) -> builtins.list[Pattern]:
        """The patterns of a domain, or all of them, in code-point order of their keys."""
        return [Pattern(entry) for entry in self._memory.search(_glob(domain))]

    def domains(self) -> builtins.list[str]:
        """The domains that have a pattern, sorted; no value is read."""
        return sorted({key.split("/")[1] for key in self._memory.list(FOLDER)})

    def similar(self, pattern: Pattern) -> tuple[Similar, ...]:
        """The patterns that say nearly what this one says, the most alike first."""
        question = f"{' '.join(pattern.name)} {pattern.approach[:_TOLD]}"
        found = self._ranked(question, None, _NEARBY)
        others = [Pattern(one.entry) for one in found if one.entry.key != pattern.key]
        alike = [Similar(one.key, ranking.likeness(pattern.words, one.words), one.approach) for one in others]
        near = [one for one in alike if one.likeness >= LIKE]
        return tuple(sorted(near, key=lambda one: (-one.likeness, one.key))[:_POINTED_OUT])

    def recall(
        self, question: str, *, domain: str | None = None, limit: int = 5, note: bool = True
    ) -> builtins.list[Recalled]:
        """The patterns that answer a question best, the best first; each says why it was chosen.

        Any word of the question counts, in whatever form. With a session, what is recalled is noted in it at
        `session/<id>/recalled` (unless `note` is false), so that its outcome can be asked for at the end.
        A question without a word, and one of which no pattern speaks, has no answer.
        """
        if type(limit) is not int or limit < 0:
            reason = f"limit={limit!r} is no number of patterns"
            raise InvalidValueError(reason, hint="from 0 on", pointer="", reason=reason)
        now = self._memory.clock()
        ranked = self._ranked(question, domain, max(_ASKED, 2 * limit))
        found = {one.entry.key: (one, Pattern(one.entry)) for one in ranked}
        asked = ranking.words(question)
        candidates = [reasoning_recall.candidate(pattern, one.score, asked, now) for one, pattern in found.values()]
        chosen = []
        for choice in ranking.choose(candidates, limit):
            one, pattern = found[choice.candidate.name]
            spoken = one.words
            why = reasoning_recall.reasons(pattern, spoken, choice, now)
            chosen.append(Recalled(pattern, choice.score, spoken, why))
        self._memory.show(one.entry for one in chosen)
        if note and chosen:
            self._remember(question, chosen)
        return chosen

    # --- inside

    def _ranked(self, question: str, domain: str | None, limit: int) -> builtins.list[Ranked]:
        """The patterns with a word of the question. A question to all of them is asked without a glob, which would be
        tried on every key that has a word of it; what is no pattern in this namespace is then left out.
        """
        asked = ranking.telling(question)
        if domain is None:
            found = self._memory.rank(asked, limit=limit)
            if all(one.entry.key.startswith(FOLDER) for one in found):
                return found
        return self._memory.rank(asked, glob=_glob(domain), limit=limit)

    @property
    def _note(self) -> str | None:
        session = self._memory.session
        return None if session is None else session_folder(session) + NOTE

    def _is_noted(self, key: str) -> bool:
        """Whether the session has a note of a pattern; where that is no value, the outcome counts all the same."""
        note = self._note
        if note is None:
            return False
        try:
            return key in noted(self._memory.retrieve(note, None, namespace=COORDINATION))
        except CorruptValueError as error:
            told = f"the outcome is not noted in session {self._memory.session}: {error}"
            warnings.warn(told, stacklevel=3)
            return False

    def _remember(self, question: str, chosen: builtins.list[Recalled]) -> None:
        """Note in the session what was recalled; where that cannot be written, the answer stands all the same."""
        memory, note = self._memory, self._note
        if note is None:
            return
        change = reasoning_recall.with_recalled(question, chosen, memory.clock())
        message = f"recall {', '.join(one.entry.key for one in chosen)}"
        try:
            memory.update(note, change, default={}, message=message, namespace=COORDINATION)
        except GitmemError as error:
            warnings.warn(f"what was recalled is not noted in session {memory.session}: {error}", stacklevel=3)

    def _known(self, name: str) -> str:
        """The key of a pattern that is there already: for a name without its domain, the error says what was meant."""
        try:
            return key_of(name)
        except InvalidKeyError as error:
            found = [] if "/" in name else self._memory.search_keys(f"{FOLDER}**/{escape(name)}")
            if found:
                error.hint = f"did you mean {' or '.join(typed(key) for key in found[:_POINTED_OUT])}?"
            raise

    def _unknown(self, key: str) -> MissingKeyError:
        return MissingKeyError(
            f"there is no pattern {key!r} yet, and a new one needs an approach: what to do",
            hint=f"gitmem pattern learn {typed(key)} APPROACH; `gitmem pattern list` lists those that are there",
            namespace=REASONING_BANK,
            key=key,
        )


def key_of(name: str) -> str:
    """Where a pattern lies, from its whole key or `DOMAIN/NAME`; InvalidKeyError for what names none."""
    key = name if name.startswith(FOLDER) else FOLDER + name
    check_key(key, writing=False)
    if key.count("/") > 1:
        return key
    reason = "it names no domain"
    raise InvalidKeyError(
        f"{name!r} is no name of a pattern: {reason}",
        hint=f"a pattern is called DOMAIN/NAME, such as authentication/jwt; its key is {FOLDER}DOMAIN/NAME",
        key=name,
        segment=name,
        reason=reason,
    )


def _other(key: str, name: str) -> str:
    """The key of another pattern; InvalidKeyError if it is the same one."""
    other = key_of(name)
    if other != key:
        return other
    reason = "a pattern is not related to itself"
    raise InvalidKeyError(f"{name!r}: {reason}", hint="name another one", key=name, segment=name, reason=reason)


@contextmanager
def _about(key: str) -> Iterator[None]:
    """For a change of one pattern: where its value is none, or cannot be stored again, the error names the key."""
    try:
        yield
    except InvalidValueError as error:
        error.message = f"{key}: {error.message}"
        error.hint = error.hint.replace("patch KEY", f"patch {typed(key)}")
        raise


def _related_to(key: str) -> Callable[[Any], Any]:
    return lambda value: learned(value, {"related": [key]})


def _glob(domain: str | None = None) -> str:
    inside = "" if domain is None else domain.removeprefix(FOLDER).strip("/")
    return f"{FOLDER}{escape(inside)}/**" if inside else f"{FOLDER}**"


def _texts(what: str, given: Iterable[str]) -> list[str]:
    """Each of them without white space around it; InvalidValueError for one that says nothing."""
    texts = [given] if isinstance(given, str) else list(given)
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            reason = f"{what} is a text that says something, not {text!r}"
            raise InvalidValueError(reason, hint="leave it out if there is none", pointer="", reason=reason)
    return [text.strip() for text in texts]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """What is another now, in words."""
    told = [f"{name} replaced" for name in ("approach", "pattern_type") if before.get(name) != after.get(name)]
    for name in (*LISTS, "code_snippets"):
        old, new = (side.get(name) for side in (before, after))
        if old != new and isinstance(new, list | dict):
            number = len([one for one in new if not isinstance(old, list | dict) or one not in old])
            told.append(f"{number} new in {name}" if number else f"{name} changed")
    return tuple(told)
