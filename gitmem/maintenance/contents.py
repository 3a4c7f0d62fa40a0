"""The files of one tree: whether each value is a value, each expiry an instant, and gitmem.toml a policy.

Knows what format 1 asks of a file at a key's path; does not change anything: `mending` does.
Law: what is told names the key, and whatever has a remedy can be put right by a commit that loses nothing.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import datetime

from gitmem import codec, trees
from gitmem.errors import FormatError, GitmemError, InvalidPolicyError, InvalidValueError, StorageError
from gitmem.maintenance.findings import Severity
from gitmem.maintenance.survey import File, Sight, Survey
from gitmem.objects import Commit, Objects, Oid, TooBig
from gitmem.place import POLICY_FILE
from gitmem.policy import DEFAULT_POLICY, MAX_BYTES, Policy, parse_policy, too_long
from gitmem.trees import EXPIRES, SYSTEM, KeyId

_EXPIRY_LIMIT = 100
_MEND = "`gitmem doctor --repair` writes those directories anew"

_SIGHTS: dict[str, tuple[Severity, str]] = {
    "foreign": ("note", "it stays where it is; gitmem does not look at it"),
    "foreign-form": ("warning", "give it its proper name with git, or store the key and remove this file"),
    "out-of-shape": ("warning", _MEND),
    "key-twice": ("warning", f"one of them counts; {_MEND}"),
    "case": ("warning", "Windows and macOS cannot check both out together; rename one of them"),
    "not-nfc": ("note", "store its value under the normal form, and delete this one with git"),
}


@dataclass(frozen=True, slots=True)
class Ailment:
    """Something that is wrong in a tree; `curable` by a commit of `mending`."""

    severity: Severity
    code: str
    message: str
    hint: str
    curable: bool = False


@dataclass(slots=True)
class Cure:
    """What one commit could put right: keys whose directories to touch, values to print anew, expiries to drop."""

    values: set[KeyId] = field(default_factory=set)
    expiries: set[KeyId] = field(default_factory=set)
    reprint: dict[KeyId, Oid] = field(default_factory=dict)
    drop: dict[KeyId, Oid] = field(default_factory=dict)
    policy: bytes | None = None

    def __bool__(self) -> bool:
        return bool(self.values or self.expiries or self.reprint or self.drop or self.policy)


class Examination:
    """One tree, looked through when this is made: `ailments`, and the `cure` of the curable ones."""

    def __init__(self, objects: Objects, head: Commit) -> None:
        """`head` is the commit whose tree it is."""
        self.ailments: list[Ailment] = []
        self.cure = Cure()
        self._objects = objects
        self._root = head.tree
        self._keys: set[KeyId] = set()
        self._sound: set[Oid] = set()
        self._limit = codec.MAX_VALUE_BYTES
        try:
            if self._policy(head):
                self._values()
                self._expiries()
        except GitmemError as error:
            self._add("error", "tree-unreadable", str(error), error.hint)
        self._keys.clear()

    def _add(self, severity: Severity, code: str, message: str, hint: str, *, curable: bool = False) -> None:
        self.ailments.append(Ailment(severity, code, message, hint, curable))

    # --- gitmem.toml ---

    def _policy(self, head: Commit) -> bool:
        """Whether the rest may be looked at: not if a newer gitmem wrote it."""
        try:
            self._limit = read_policy(self._objects, head.tree).max_value_bytes
        except FormatError as error:
            self._add("error", "newer-format", error.message, error.hint)
            return False
        except InvalidPolicyError as error:
            earlier = _earlier_policy(self._objects, head)
            hint = "no commit before it has a good one: commit one with git; the line `format = 1` is enough"
            if earlier is not None:
                self.cure.policy = earlier
                hint = error.hint
            self._add("error", "policy", error.message, hint, curable=earlier is not None)
        return True

    # --- values ---

    def _values(self) -> None:
        survey = Survey(self._objects, lambda sight: self._sight(sight, self.cure.values))
        for file in survey.files(self._root):
            self._keys.add((file.namespace, file.key))
            if file.oid not in self._sound:
                self._value(file)

    def _value(self, file: File) -> None:
        where = f"the file of key {file.key!r} in namespace {file.namespace!r}"
        command = f"gitmem history {shlex.quote(file.key)} -n {shlex.quote(file.namespace)}"
        hint = f"`{command}` shows the versions before; restore one, or store the key anew"
        try:
            body = self._objects.read_blob(file.oid, limit=self._limit)
            printed = codec.encode(codec.decode(body, max_bytes=self._limit), max_bytes=self._limit)
        except TooBig:
            self._add("error", "value-too-big", f"{where} is larger than {self._limit} bytes", hint)
        except InvalidValueError as error:
            self._add("error", "value-invalid", f"{where} is no value: {error.reason}", hint)
        except GitmemError:
            return  # told as a damaged object
        else:
            if printed == body:
                self._sound.add(file.oid)
                return
            self.cure.reprint[file.namespace, file.key] = file.oid
            message = f"{where} is valid, but not printed as gitmem prints it: equal values should be equal files"
            self._add("note", "value-not-canonical", message, "`gitmem doctor --repair` prints it anew", curable=True)

    def _sight(self, sight: Sight, touched: set[KeyId]) -> None:
        severity, hint = _SIGHTS[sight.code]
        if sight.touch is not None:
            touched.add(sight.touch)
        path = sight.path.decode("utf-8", "backslashreplace")
        self._add(severity, sight.code, f"{path}: {sight.words}", hint, curable=hint.endswith(_MEND))

    # --- expiries ---

    def _expiries(self) -> None:
        system = self._objects.tree(self._root).get(SYSTEM)
        area = trees.expires_root(self._objects, self._root)
        if system is not None and (area is None or len(self._objects.tree(system[1])) > 1):
            self._strangers(system[1])
        if area is None:
            return
        survey = Survey(self._objects, lambda sight: self._sight(sight, self.cure.expiries))
        for file in survey.files(area, SYSTEM + b"/" + EXPIRES + b"/"):
            self._expiry(file)

    def _strangers(self, system: Oid) -> None:
        for name in self._objects.tree(system).keys() - {EXPIRES}:
            self._sight(Sight("foreign", SYSTEM + b"/" + name, "format 1 knows no such file"), set())

    def _expiry(self, file: File) -> None:
        whose = f"key {file.key!r} in namespace {file.namespace!r}"
        if (file.namespace, file.key) not in self._keys:
            code, message = "expiry-orphaned", f"{whose} is gone, but its expiry is still there"
        elif not self._instant(file.oid):
            code, message = "expiry-malformed", f"the expiry of {whose} is no instant: it counts as never"
        else:
            return
        self.cure.drop[file.namespace, file.key] = file.oid
        self._add("warning", code, message, "`gitmem doctor --repair` drops the expiry", curable=True)

    def _instant(self, oid: Oid) -> bool:
        if oid in self._sound:
            return True
        try:
            text = codec.decode(self._objects.read_blob(oid, limit=_EXPIRY_LIMIT))
            if datetime.fromisoformat(str(text)).tzinfo is None:
                return False
        except (InvalidValueError, TooBig, ValueError):
            return False
        except GitmemError:
            return True  # told as a damaged object
        self._sound.add(oid)
        return True


def read_policy(objects: Objects, root: Oid) -> Policy:
    """What gitmem.toml in this tree says. InvalidPolicyError, where it is missing too; FormatError."""
    found = objects.tree(root).get(POLICY_FILE)
    if found is None:
        raise InvalidPolicyError(
            "gitmem.toml is missing: without it this is no memory",
            hint="`gitmem doctor --repair` brings the last good one of the history back",
            line=None,
            reason="missing",
        )
    try:
        return parse_policy(objects.read_blob(found[1], limit=MAX_BYTES))
    except TooBig:
        raise too_long() from None
    except StorageError:
        return DEFAULT_POLICY  # told as a damaged object


def _earlier_policy(objects: Objects, head: Commit) -> bytes | None:
    """The newest gitmem.toml, along first parents, that says something."""
    commit, seen = head, set[Oid]()
    while commit.parents:
        try:
            commit = objects.commit(commit.parents[0])
            found = objects.tree(commit.tree).get(POLICY_FILE)
            if found is not None and found[1] not in seen:
                seen.add(found[1])
                body = objects.read_blob(found[1], limit=MAX_BYTES)
                parse_policy(body)
                return body
        except FormatError:
            return None
        except (InvalidPolicyError, TooBig):
            continue
        except GitmemError:
            return None
    return None
