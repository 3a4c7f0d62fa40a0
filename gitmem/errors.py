"""Every error that gitmem raises, and whose doing each is.

    GitmemError
    ├── InvalidKeyError          the caller named something that cannot be a key or namespace   (ValueError)
    ├── InvalidValueError        the caller passed something that is not a JSON value, or a bad name  (ValueError)
    ├── InvalidPatternError      the caller's glob, JMESPath or JSON pointer is malformed        (ValueError)
    ├── InvalidPolicyError       gitmem.toml is malformed; says the line                         (ValueError)
    ├── InvalidPlanError         a plan is malformed; all problems at once                       (ValueError)
    ├── ContractError            the value breaks a contract of gitmem.toml                      (ValueError)
    ├── MissingKeyError          there is no such key in this snapshot                           (KeyError)
    ├── UnknownRevisionError     there is no such revision, session or time in the history
    ├── CorruptValueError        the file at a key's path is no value; other keys are not touched
    ├── NotAMemoryError          there is no memory at this place
    ├── FormatError              the memory needs another gitmem, or git features that we refuse
    ├── StorageError             the disk, the permissions, or a damaged object
    ├── ConflictError            somebody else was quicker, nothing was written
    │   ├── KeyExistsError       create() found the key present
    │   ├── StaleError           expect= no longer holds
    │   ├── MergeConflictError   base= met a change that no rule settles
    │   └── WriteIdError         a write id was used before for something else
    ├── ContentionError          a lock could not be had in time
    ├── WaitTimeoutError         what was waited for did not come                                (TimeoutError)
    ├── GateRejectedError        a gate was rejected
    ├── WorkerFailedError        a worker of a fan-out says that it has failed
    └── RemoteError              another copy could not be reached or refused

Law: an error has fields for programs, a message that names the culprit, and a `hint` that names the next step.
An error that is raised means that nothing was written.
"""

from __future__ import annotations

from typing import Any


class GitmemError(Exception):
    """The root of all errors of gitmem; `hint` is the next thing to try, or empty."""

    def __init__(self, message: str, *, hint: str = "", **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = fields
        for name, value in fields.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.hint, self.fields))


def _rebuild(kind: type[GitmemError], message: str, hint: str, fields: dict[str, Any]) -> GitmemError:
    return kind(message, hint=hint, **fields)


class InvalidKeyError(GitmemError, ValueError):
    """A key or a namespace breaks the rules; fields: `key`, `segment`, `reason`."""

    key: str
    segment: str
    reason: str


class InvalidValueError(GitmemError, ValueError):
    """Not a JSON value, or not a legal name; fields: `pointer` (the place in the value), `reason`."""

    pointer: str
    reason: str


class InvalidPatternError(GitmemError, ValueError):
    """A malformed glob, JMESPath expression or JSON pointer; fields: `pattern`, `reason`."""

    pattern: str
    reason: str


class InvalidPolicyError(GitmemError, ValueError):
    """`gitmem.toml` is malformed; fields: `line` (1-based, or None), `reason`."""

    line: int | None
    reason: str


class InvalidPlanError(GitmemError, ValueError):
    """A plan is malformed; field: `problems`, all of them."""

    problems: list[str]


class ContractError(GitmemError, ValueError):
    """A value breaks a contract; fields: `key`, `problems`."""

    key: str
    problems: list[str]


class MissingKeyError(GitmemError, KeyError):
    """The key is absent in this snapshot; fields: `namespace`, `key`."""

    namespace: str
    key: str


class UnknownRevisionError(GitmemError):
    """No such revision, session or time, or an ambiguous one; field: `revision`."""

    revision: str


class CorruptValueError(GitmemError):
    """The file at this key's path is not a value; fields: `namespace`, `key`, `reason`."""

    namespace: str
    key: str
    reason: str


class NotAMemoryError(GitmemError):
    """There is no memory at `path`."""

    path: str


class FormatError(GitmemError):
    """The memory at `path` needs another gitmem, or uses a feature of git that gitmem refuses."""

    path: str


class StorageError(GitmemError):
    """The disk, its permissions, or a damaged object; fields: `path` or `oid` where known."""


class ConflictError(GitmemError):
    """Somebody else was quicker, or a test of a patch failed; nothing was written."""

    namespace: str
    key: str


class KeyExistsError(ConflictError):
    """`create` found the key present; field: `current`, its entry."""

    current: Any


class StaleError(ConflictError):
    """`expect=` no longer holds; fields: `expected`, `current` (an entry or ABSENT)."""

    expected: Any
    current: Any


class MergeConflictError(ConflictError):
    """`base=` met a change that no rule settles; field: `conflicts`."""

    conflicts: list[Any]


class WriteIdError(ConflictError):
    """The write id was used before for another key, value or verb; fields: `write_id`, `revision`."""

    write_id: str
    revision: str


class ContentionError(GitmemError):
    """A lock could not be had in time; fields: `path`, `age` in seconds where known."""


class WaitTimeoutError(GitmemError, TimeoutError):
    """What was waited for did not come; fields: `missing`, `revision` to resume from."""

    missing: list[str]
    revision: str


class GateRejectedError(GitmemError):
    """A gate was rejected; fields: `gate` (its key), `feedback`, `by` (who rejected it)."""

    gate: str
    feedback: Any
    by: str


class WorkerFailedError(GitmemError):
    """A worker of a fan-out says that it has failed; fields: `key`, `reason`, `by`."""

    key: str
    reason: Any
    by: str


class RemoteError(GitmemError):
    """Another copy could not be reached, or refused; fields: `remote`, `lasting` (waiting does not mend it)."""

    remote: str
    lasting: bool = False


def typed(text: str) -> str:
    """A word as a person types it into a shell, for hints: whoever named a key must not name a command."""
    if text and all(one.isalnum() or one in "/._-+:,@%" for one in text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"
