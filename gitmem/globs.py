r"""Globs: which keys a pattern means, and the literal text with which all of them begin.

    *        any text within a segment         ?        one character within a segment
    **  %    any text, across segments         **/      any whole segments, also none: **/x includes x
    [ab-z]   one of these, never a slash       [!ab]    one other than these, never a slash
    {a,b/*}  one of several patterns           \*       the character itself

Case matters, `_` is itself, and the whole key has to match: `a/**` does not mean `a`. The alternatives of
braces are patterns of their own: `*{*,x}` has no `**` in it.

Knows text only. Law: a pattern means what its table above says, read token by token, and no pattern takes
more time than a low power of the key's length. Patterns with few choices become one regular expression, since
few choices bound its backtracking; all others become an automaton that follows every choice at once.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, groupby, zip_longest
from typing import NamedTuple, NoReturn, TypeAlias

from gitmem.errors import InvalidPatternError

MAX_PATTERN = 4096
MAX_NESTING = 32

_TOKEN = re.compile(
    r"""
      \\(?P<escaped>.)
    | (?P<leap>\*{2,}/) | (?P<cross>\*{2,}|%) | (?P<star>\*) | (?P<any>\?)
    | \[ (?P<negated>!|(?!!)) (?P<members>(?:\\.|[^\\])(?:\\.|[^\]\\])*) \]
    | (?P<open>\{) | (?P<separator>,) | (?P<close>\})
    | (?P<malformed>\\|\[)
    | (?P<char>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_MEMBER = re.compile(r"(\\.|[^\\])-(\\.|[^\\])|(\\.|[^\\])", re.DOTALL)
_SPECIAL = re.compile(r"[\\*?%\[\]{},]")
_MALFORMED = {"\\": "it ends with a backslash that escapes nothing", "[": "a [ is not closed"}


class _One(NamedTuple):
    """Exactly one character; `text` is the character if it is a plain one."""

    regex: str
    text: str | None = None


class _Any(NamedTuple):
    """Text of any length."""

    regex: str


class _Group(NamedTuple):
    """One of several sequences."""

    alternatives: list[_Sequence]


_Token: TypeAlias = _One | _Any | _Group
_Sequence: TypeAlias = list[_Token]

_SLASH = _One("/", "/")
_CHARACTER = _One("[^/]")
_STAR = _Any("[^/]*")
_CROSS = _Any(".*")
_LEAP = _Any("(?:.*/|(?<![^/]))")  # nothing only where a segment begins: `a**/b` does not mean `ab`


class Glob:
    """A compiled pattern; `prefix` begins every match, and if `literal` it is the only one.

    Every match contains the `needle`: looking for it first is cheaper than trying the pattern.
    """

    __slots__ = ("_accepts", "literal", "needle", "pattern", "prefix")

    def __init__(
        self, pattern: str, prefix: str, needle: str, literal: bool, accepts: Callable[[str], object]
    ) -> None:
        self.pattern = pattern
        self.prefix = prefix
        self.needle = needle
        self.literal = literal
        self._accepts = accepts

    def __repr__(self) -> str:
        return f"Glob({self.pattern!r})"

    def matches(self, key: str) -> bool:
        """Whether the whole of `key` matches."""
        return bool(self._accepts(key))

    def select(self, keys: Sequence[str]) -> Iterator[str]:
        """The matches among `keys`, in their order; `keys` must be sorted by code point."""
        size = len(self.prefix)
        first = bisect_left(keys, self.prefix)
        last = bisect_right(keys, self.prefix, lo=first, key=lambda key: key[:size])
        slices = (keys[start : min(start + 1024, last)] for start in range(first, last, 1024))
        needle = self.needle
        return chain.from_iterable(
            filter(self._accepts, [key for key in some if needle in key] if needle else some) for some in slices
        )


@lru_cache(256)
def compile_glob(pattern: str) -> Glob:
    """The matcher of `pattern`; InvalidPatternError if it is malformed."""
    tokens = _parse(pattern)
    prefix = _prefix(tokens)
    needle = _needle(tokens[len(prefix) :])
    if len(prefix) == len(tokens):
        return Glob(pattern, prefix, prefix, True, prefix.__eq__)
    if _choices(tokens) > _MANY_CHOICES:
        return Glob(pattern, prefix, needle, False, _Automaton(tokens).accepts)
    return Glob(pattern, prefix, needle, False, re.compile(_regex(tokens), re.DOTALL).fullmatch)


def escape(text: str) -> str:
    """The pattern that means `text` alone, also inside braces."""
    return _SPECIAL.sub(r"\\\g<0>", text)


# Parsing


def _parse(pattern: object) -> _Sequence:
    if not isinstance(pattern, str):
        _refuse("", f"a pattern is text, not {type(pattern).__name__}")
    if not pattern:
        _refuse(pattern, "it is empty")
    if len(pattern) > MAX_PATTERN:
        _refuse(pattern, f"it is longer than {MAX_PATTERN} characters")
    open_groups: list[list[_Sequence]] = [[[]]]
    for found in _TOKEN.finditer(pattern):
        kind = found.lastgroup
        inside = len(open_groups) > 1
        if kind == "malformed":
            _refuse(pattern, _MALFORMED[found[0]])
        elif kind == "open":
            open_groups.append([[]])
            if len(open_groups) > MAX_NESTING + 1:
                _refuse(pattern, f"more than {MAX_NESTING} braces lie inside each other")
        elif kind == "separator" and inside:
            open_groups[-1].append([])
        elif kind == "close" and inside:
            group = _Group(open_groups.pop())
            open_groups[-1][-1].append(group)
        else:
            _append(open_groups[-1][-1], _token(pattern, found))
    if len(open_groups) > 1:
        _refuse(pattern, "a { is not closed")
    return open_groups[0][0]


def _token(pattern: str, found: re.Match[str]) -> _Token:
    wildcards: dict[str | None, _Token] = {"leap": _LEAP, "cross": _CROSS, "star": _STAR, "any": _CHARACTER}
    if found.lastgroup in wildcards:
        return wildcards[found.lastgroup]
    if found.lastgroup == "members":
        return _class(pattern, found["negated"], found["members"])
    text = found["escaped"] or found[0]
    return _One(re.escape(text), text)


def _class(pattern: str, negated: str, members: str) -> _One:
    ranges = []
    for low, high, single in _MEMBER.findall(members):
        start, end = (low or single)[-1], (high or single)[-1]
        if start > end:
            _refuse(pattern, f"the range {start}-{end} is empty")
        ranges.append(f"{re.escape(start)}-{re.escape(end)}")
    return _One(f"(?!/)[{'^' if negated else ''}{''.join(ranges)}]")


def _append(sequence: _Sequence, token: _Token) -> None:
    """Neighbours of any length are one: `*%` means `%`."""
    if sequence and token in (_STAR, _CROSS) and sequence[-1] in (_STAR, _CROSS):
        sequence.pop()
        token = _CROSS
    sequence.append(token)


def _prefix(tokens: _Sequence) -> str:
    prefix = ""
    for token in tokens:
        if not isinstance(token, _One) or token.text is None:
            break
        prefix += token.text
    return prefix


def _needle(tokens: _Sequence) -> str:
    """The longest run of plain characters."""
    texts = [token.text if isinstance(token, _One) else None for token in tokens]
    runs = groupby(texts, lambda text: text is not None)
    return max(("".join(filter(None, run)) for plain, run in runs if plain), key=len, default="")


def _refuse(pattern: str, reason: str) -> NoReturn:
    shown = repr(pattern) if len(pattern) <= 60 else f"{pattern[:60]!r}…"
    hint = r"* ? stay in a segment, ** and % cross, [ab], [!a], {a,b}; \ makes a character mean itself"
    raise InvalidPatternError(
        f"invalid pattern {shown}: {reason}", hint=hint, pattern=pattern[:MAX_PATTERN], reason=reason
    )


# A regular expression, where backtracking has little to choose

_STAR_CHOICES = 64
_MANY_CHOICES = _STAR_CHOICES * _STAR_CHOICES * 2


def _choices(tokens: _Sequence, *, top: bool = True) -> int:
    """About how many ways a backtracking matcher may have to try, stopping at too many.

    A star before a slash, or anything that takes the rest, leaves no choice: only one length can succeed.
    """
    choices = 1
    for token, following in zip_longest(tokens, tokens[1:]):
        if isinstance(token, _Group):
            choices *= sum(_choices(alternative, top=False) for alternative in token.alternatives)
        elif isinstance(token, _Any) and not (token == _STAR and following == _SLASH):
            choices *= 1 if top and following is None and token != _LEAP else _STAR_CHOICES
        if choices > _MANY_CHOICES:
            break
    return choices


def _regex(tokens: _Sequence) -> str:
    return "".join(
        f"(?:{'|'.join(map(_regex, token.alternatives))})" if isinstance(token, _Group) else token.regex
        for token in tokens
    )


# An automaton, where it would have much

_LEARNED = 1 << 19


class _Automaton:
    """A nondeterministic automaton, run as the deterministic one whose rows are filled in as they are met.

    A node moves on a character that matches (`moves`), or for nothing (`jumps`; `leaps` only where a segment
    begins). A row stands for a set of nodes. When _LEARNED cells and nodes are held, all are forgotten.
    """

    def __init__(self, tokens: _Sequence) -> None:
        self.moves: list[list[tuple[Callable[[str], object], int]]] = []
        self.jumps: list[list[int]] = []
        self.leaps: dict[int, int] = {}
        start = self._node()
        self.final = self._sequence(start, tokens)
        self.learned = 0
        self.rows: dict[frozenset[int], _Row] = {}
        self.start = self._row(self.closure({start}, begins=True))

    def accepts(self, key: str) -> bool:
        row = self.start
        for character in key:
            row = row[character]
        return row.accepting

    def follow(self, nodes: frozenset[int], character: str) -> _Row:
        """The row after `character`; also where memory is kept in bounds."""
        targets = {target for node in nodes for test, target in self.moves[node] if test(character)}
        reached = self.closure(targets, begins=character == "/")
        self.learned += 1 + len(reached)
        if self.learned > _LEARNED:
            self._forget()
        return self._row(reached)

    def closure(self, nodes: set[int], *, begins: bool) -> frozenset[int]:
        reached = set(nodes)
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            onward = list(self.jumps[node])
            if begins and node in self.leaps:
                onward.append(self.leaps[node])
            fresh = [target for target in onward if target not in reached]
            reached.update(fresh)
            waiting.extend(fresh)
        return frozenset(reached)

    def _row(self, nodes: frozenset[int]) -> _Row:
        row = self.rows.get(nodes)
        if row is None:
            row = self.rows[nodes] = _Row(self, nodes)
        return row

    def _forget(self) -> None:
        for row in list(self.rows.values()):
            row.clear()
        self.rows = {self.start.nodes: self.start}
        self.learned = 0

    def _node(self) -> int:
        self.moves.append([])
        self.jumps.append([])
        return len(self.moves) - 1

    def _sequence(self, node: int, tokens: _Sequence) -> int:
        for token in tokens:
            node = self._token(node, token)
        return node

    def _token(self, node: int, token: _Token) -> int:
        following = self._node()
        if isinstance(token, _Group):
            for alternative in token.alternatives:
                begin = self._node()
                self.jumps[node].append(begin)
                self.jumps[self._sequence(begin, alternative)].append(following)
        elif isinstance(token, _One):
            self.moves[node].append((_test(token.regex), following))
        else:
            self._any(node, token, following)
        return following

    def _any(self, node: int, token: _Any, following: int) -> None:
        loop = self._node()
        self.jumps[node].append(loop)
        self.moves[loop].append((_test("[^/]" if token == _STAR else "."), loop))
        if token == _LEAP:
            self.moves[loop].append((_test("/"), following))
            self.leaps[node] = following
        else:
            self.jumps[loop].append(following)


class _Row(dict[str, "_Row"]):
    """What follows on each character; a missing cell is worked out once."""

    __slots__ = ("accepting", "automaton", "nodes")

    def __init__(self, automaton: _Automaton, nodes: frozenset[int]) -> None:
        super().__init__()
        self.automaton = automaton
        self.nodes = nodes
        self.accepting = automaton.final in nodes

    def __missing__(self, character: str) -> _Row:
        row = self.automaton.follow(self.nodes, character)
        self[character] = row
        return row


@lru_cache(1024)
def _test(regex: str) -> Callable[[str], object]:
    return re.compile(regex, re.DOTALL).fullmatch
