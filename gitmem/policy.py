"""gitmem.toml: what all who share a memory agreed on.

Knows the settings of format 1, merge rules and contracts among them, and where they stand in the file. Does not know
where the file lies, how values are merged, nor whether a contract's schema makes sense. What it has not heard of stays
in `document`, but for the tables of rules and contracts: a misspelt word there would settle nothing, silently.

Law: `parse_policy(dump_policy(document)).document == document`; nothing is dumped that could not be parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from gitmem.codec import MAX_VALUE_BYTES
from gitmem.errors import FormatError, GitmemError, InvalidPolicyError, InvalidValueError
from gitmem.keys import REASONING_BANK

if TYPE_CHECKING:
    from gitmem.merge import Rule

FORMAT = 1
PATH = "gitmem.toml"
ROOT_BYTES = b"format = 1\n"
MAX_BYTES = 1 << 20
"""A longer gitmem.toml is not read, hence none is dumped."""

GOOD_ONE = "`gitmem doctor --repair` brings the last good gitmem.toml of the history back"
"""The last line of the hint for a malformed file: true of the memory at hand, not of another copy."""
_UNWRITTEN = "nothing was written; `gitmem rules list` and `gitmem contract list` show what is there"
_SIDED = ("ours", "theirs")
_MOST_SECONDS = 10**9


class MergeRule(NamedTuple):
    """How a conflict is settled: in which keys (a glob), at which place in them (a JSON pointer pattern)."""

    keys: str
    namespace: str | None
    at: str
    rule: str


class Contract(NamedTuple):
    """What the values of some keys (a glob) look like: the JSON text of a JSON Schema."""

    keys: str
    namespace: str | None
    schema: str


BUILT_IN = tuple(
    MergeRule("pattern/**", REASONING_BANK, f"/{member}", rule)
    for member, rule in {
        "successes": "total",
        "failures": "total",
        "sessions_used": "union",
        "lessons_learned": "union",
        "anti_patterns": "union",
        "related": "union",
        "success_rate": "smallest",
    }.items()
)
"""What holds behind every gitmem.toml, so that copies which count apart lose nothing when they meet. Part of how
merges are made (`Merge-Algorithm: 1`): copies that disagree here would never agree on a head.

A success rate is only the printed figure of the two counts, and is right again with the next outcome.
"""

_Bound = TypeVar("_Bound", MergeRule, Contract)


class Setting(NamedTuple):
    """One that stands by itself: what holds where gitmem.toml leaves it out, what it takes, and what it is for."""

    default: Any
    takes: str
    fits: Callable[[object], bool]
    meaning: str


def _whole(value: object) -> bool:
    return type(value) is int and value > 0


def _seconds(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and 0 < value <= _MOST_SECONDS


SETTINGS: Mapping[str, Setting] = {
    "abandoned_after": Setting(
        86_400,
        f"a number of seconds above 0, at most {_MOST_SECONDS}",
        _seconds,
        "seconds without a write until a session without an end is shown as abandoned",
    ),
    "audit_reads": Setting(
        False,
        "true or false",
        lambda value: type(value) is bool,
        "whether each machine notes who reads what there under a session: `gitmem trace`",
    ),
    "max_value_bytes": Setting(
        MAX_VALUE_BYTES,
        "a positive whole number",
        _whole,
        "the size of the largest value that can be stored, in bytes",
    ),
}  # each has a field of this name in Policy


class Policy(NamedTuple):
    """The settings, and the whole `document` from which they come (not to be changed)."""

    format: int
    max_value_bytes: int
    audit_reads: bool
    document: dict[str, Any]
    merge_rules: tuple[MergeRule, ...] = ()
    contracts: tuple[Contract, ...] = ()
    abandoned_after: float = SETTINGS["abandoned_after"].default

    def rules_for(self, namespace: str, key: str) -> tuple[Rule, ...]:
        """The merge rules for one key, as `merge` takes them: the first that fits a place settles it."""
        rules = self.merge_rules + BUILT_IN if namespace == REASONING_BANK else self.merge_rules
        if not rules:
            return ()
        from gitmem.merge import Rule

        return tuple(Rule(one.at, one.rule) for one in _binding(rules, namespace, key))

    def contracts_for(self, namespace: str, key: str) -> tuple[Contract, ...]:
        """The contracts that the value of one key has to keep, all of them. Namespace `conflicts` is never bound."""
        if not self.contracts:
            return ()
        from gitmem.keys import CONFLICTS

        if namespace == CONFLICTS:  # what gitmem itself writes there has its own form
            return ()
        return tuple(_binding(self.contracts, namespace, key))


DEFAULT_POLICY = Policy(FORMAT, MAX_VALUE_BYTES, False, {"format": FORMAT})


def parse_policy(data: bytes) -> Policy:
    """The settings in `data`; InvalidPolicyError with the line, or FormatError if it takes a newer gitmem."""
    if data == ROOT_BYTES:
        return DEFAULT_POLICY
    text, document = _read(data)
    _check_format(document, text)
    said = {name: _said(name, document, text) for name in SETTINGS}
    rules = tuple(MergeRule(**row) for row in _tables("merge", document, text))
    contracts = tuple(Contract(**row) for row in _tables("contract", document, text))
    return Policy(format=FORMAT, document=document, merge_rules=rules, contracts=contracts, **said)


def dump_policy(document: Mapping[str, Any]) -> bytes:
    """The bytes of gitmem.toml for `document`; InvalidPolicyError if they could not be read again."""
    import tomli_w

    tables = {name: document[name] for name in _TABLES if _are_texts(document.get(name))}
    try:
        text = tomli_w.dumps({name: value for name, value in document.items() if name not in tables})
        for name, rows in tables.items():
            for row in rows:
                text += f"\n[[{name}]]\n" + "".join(_printed(setting, value) for setting, value in row.items())
        data = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _invalid(f"it cannot be written as TOML: {error}", None, _UNWRITTEN) from error
    if len(data) > MAX_BYTES:
        raise _invalid(f"it would be longer than {MAX_BYTES} bytes", None, _UNWRITTEN)
    try:
        parse_policy(data)
    except InvalidPolicyError as error:
        raise _invalid(error.reason, error.line, error.hint.replace(GOOD_ONE, _UNWRITTEN)) from None
    return data


def too_long() -> InvalidPolicyError:
    """The error for a gitmem.toml that is longer than MAX_BYTES, and was therefore not read."""
    return _invalid(f"it is longer than {MAX_BYTES} bytes", None)


def check_rule(rule: object) -> str:
    """`rule` itself, if gitmem.toml may name it; InvalidValueError otherwise."""
    from gitmem.merge import RULES

    if isinstance(rule, str) and rule in RULES:
        return rule
    reason = f"there is no rule {_short(rule)}"
    if rule in _SIDED:
        reason = f"rule {rule!r} depends on the side that merges, so two copies would not come to one value"
    hint = f"the rules are {', '.join(RULES)}"
    raise InvalidValueError(reason, hint=hint, pointer="", reason=reason)


# --- the tables


def _binding(bound: tuple[_Bound, ...], namespace: str, key: str) -> Iterator[_Bound]:
    """Those whose namespace and glob this key fits."""
    from gitmem.globs import compile_glob

    for one in bound:
        if one.namespace in (None, namespace) and compile_glob(one.keys).matches(key):
            yield one


def _check_glob(text: str) -> object:
    from gitmem.globs import compile_glob

    return compile_glob(text)


def _check_namespace(text: str) -> object:
    from gitmem.keys import check_namespace

    return check_namespace(text, writing=False)


def _check_pointer(text: str) -> object:
    from gitmem.pointers import parse

    return parse(text)


def _check_schema(text: str) -> object:
    from gitmem.codec import decode

    schema = decode(text, max_bytes=MAX_BYTES)
    if not isinstance(schema, dict | bool):
        reason = "a JSON Schema is an object, or true or false"
        raise InvalidValueError(reason, hint="", pointer="", reason=reason)
    return schema


class _Table(NamedTuple):
    needed: Mapping[str, Callable[[str], object]]  # setting -> its check, which raises
    optional: Mapping[str, Callable[[str], object]]
    absent: Mapping[str, str | None]  # what stands for an optional setting that is left out


_TABLES = {
    "merge": _Table(
        {"keys": _check_glob, "rule": check_rule},
        {"namespace": _check_namespace, "at": _check_pointer},
        {"namespace": None, "at": ""},
    ),
    "contract": _Table(
        {"keys": _check_glob, "schema": _check_schema},
        {"namespace": _check_namespace},
        {"namespace": None},
    ),
}


def _tables(name: str, document: dict[str, Any], text: str) -> Iterator[dict[str, Any]]:
    """The rows of `[[name]]`, checked, with what is left out filled in."""
    rows = document.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _invalid(f"{name} has to be tables, each beginning with [[{name}]]", _line_of(text, name))
    for number, row in enumerate(rows):
        fault = _fault(name, row)
        if fault is not None:
            setting, reason, hint = fault
            raise _invalid(reason, _line_of(text, name, number, setting), f"{hint}\n{GOOD_ONE}".lstrip())
        yield {**_TABLES[name].absent, **row}


def _fault(name: str, row: dict[str, Any]) -> tuple[str, str, str] | None:
    """The first setting of a row that is wrong ("" for one that is missing), why, and what would be right."""
    needed, optional, _ = _TABLES[name]
    known = {**needed, **optional}
    for setting, value in row.items():
        if setting not in known:
            return setting, f"[[{name}]] has no setting {_short(setting)}: it has {', '.join(known)}", ""
        if not isinstance(value, str):
            return setting, f"{setting} has to be text", ""
        try:
            known[setting](value)
        except GitmemError as error:
            return setting, f"{setting}: {error.message}", error.hint
    missing = [setting for setting in needed if setting not in row]
    return ("", f"[[{name}]] needs {' and '.join(missing)}", "") if missing else None


def _are_texts(rows: object) -> bool:
    """Whether these are rows that can be printed as tables, setting by setting."""
    return (
        isinstance(rows, list)
        and bool(rows)
        and all(isinstance(row, dict) and all(isinstance(value, str) for value in row.values()) for row in rows)
    )


def _printed(setting: str, text: str) -> str:
    """One line; a schema, which is full of double quotes, in single ones where that is possible."""
    import tomli_w

    if setting == "schema" and "'" not in text and text.isprintable():
        return f"schema = '{text}'\n"
    return tomli_w.dumps({setting: text})


# --- the text


def _read(data: bytes) -> tuple[str, dict[str, Any]]:
    """The text and the document in it."""
    from gitmem import toml

    try:
        text = toml.decode(data)
        return text, toml.parse(text)
    except toml.Malformed as error:
        raise _invalid(error.reason, error.line) from error


def _check_format(document: dict[str, Any], text: str) -> None:
    number = document.get("format")
    if type(number) is int and number > FORMAT:
        message = f"{PATH} has format {number}; this gitmem reads format {FORMAT}"
        raise FormatError(message, hint="install a newer gitmem: pip install -U gitmem-store", path=PATH)
    if type(number) is not int or number != FORMAT:
        raise _invalid(f"format has to be {FORMAT}", _line_of(text, "format"))


def _line_of(text: str, *place: str | int) -> int | None:
    """The line of a place in the document, or of the nearest around it."""
    from gitmem import toml

    return toml.Lines(text).of(*place)


def _said(name: str, document: dict[str, Any], text: str) -> Any:
    """What a setting is: as the document says, or as it is where nothing is said."""
    setting = SETTINGS[name]
    value = document.get(name, setting.default)
    if not setting.fits(value):
        raise _invalid(f"{name} has to be {setting.takes}", _line_of(text, name))
    return value


def _short(text: object) -> str:
    return repr(text) if len(repr(text)) <= 60 else f"{repr(text)[:60]}…"


def _invalid(reason: str, line: int | None, hint: str = GOOD_ONE) -> InvalidPolicyError:
    place = f"{PATH}, line {line}" if line else PATH
    return InvalidPolicyError(f"{place}: {reason}", hint=hint, line=line, reason=reason)
