"""gitmem.toml: what it says, and where it is wrong."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem.codec import MAX_VALUE_BYTES
from gitmem.errors import FormatError, InvalidPolicyError
from gitmem.policy import DEFAULT_POLICY, ROOT_BYTES, dump_policy, parse_policy

WHOLE = b"""\
format = 1
max_value_bytes = 1024
audit_reads = true
colour = "blue"
[[merge]]
keys = "shared/**"
at = "/test_coverage"
rule = "largest"
"""


def test_the_root_commit_says_only_the_format() -> None:
    """Every memory begins with these bytes; a quick read must not import a TOML parser for them."""
    assert parse_policy(ROOT_BYTES) is DEFAULT_POLICY
    assert dump_policy(DEFAULT_POLICY.document) == ROOT_BYTES == b"format = 1\n"
    assert DEFAULT_POLICY == parse_policy(b"format=1") == (1, MAX_VALUE_BYTES, False, {"format": 1})
    program = "import sys, gitmem.policy as policy; policy.parse_policy(policy.ROOT_BYTES)\n"
    program += "print({'tomllib', 'tomli_w'} & {*sys.modules})"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_settings_are_read_and_what_is_not_known_is_kept() -> None:
    """Merge rules belong to others, and a setting of tomorrow must survive a gitmem of today."""
    policy = parse_policy(WHOLE)
    assert (policy.format, policy.max_value_bytes, policy.audit_reads) == (1, 1024, True)
    assert policy.document["colour"] == "blue"
    assert policy.document["merge"] == [{"keys": "shared/**", "at": "/test_coverage", "rule": "largest"}]


VALUES = st.recursive(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab. \"'é\n", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["merge", "contract", "a b", "", "é"]), VALUES))
def test_what_is_dumped_is_parsed_back(settings: dict[str, Any]) -> None:
    """The law."""
    document = {"format": 1, **settings}
    assert parse_policy(dump_policy(document)).document == document


@pytest.mark.parametrize(
    ("data", "line", "word"),
    [
        (b"format = 1\nx = \n", 2, "Invalid value"),
        (b"format = 1\n\n[merge\n", 3, "Expected"),
        (b"format = 1\nformat = 1\n", 2, "overwrite"),
        (b'format = 1\nx = "a', 2, ""),
        (b'format = 1\nx = """a\n', 2, ""),
        (b"format = 1\n# caf\xe9\n", 2, "UTF-8"),
        (b"\xef\xbb\xbfformat = 1\n", 1, ""),
        (b"", None, "format"),
        (b"x = 1\n", None, "format"),
        (b"[a]\nformat = 1\n", None, "format"),
        (b"# first\nformat = true\n", 2, "format"),
        (b"format = 1.0\n", 1, "format"),
        (b"format = '1'\n", 1, "format"),
        (b"format = 0\n", 1, "format"),
        (b"format = -1\n", 1, "format"),
        (b"format = 1\nmax_value_bytes = 0\n", 2, "max_value_bytes"),
        (b"format = 1\n  max_value_bytes = true\n", 2, "max_value_bytes"),
        (b'format = 1\n\n"max_value_bytes" = 1.5\n', 3, "max_value_bytes"),
        (b"format = 1\nmax_value_bytes_x = 1\nmax_value_bytes = 'a'\n", 3, "max_value_bytes"),
        (b"format = 1\naudit_reads = 1\n", 2, "audit_reads"),
        (b"format = 1\naudit_reads.x = true\n", 2, "audit_reads"),
        (b"format = 1\n[max_value_bytes]\n[a]\nmax_value_bytes = 3\n", None, "max_value_bytes"),
        (b"format = 1\nx = " + b"[" * 100_000, None, "nested"),
        (b"format = 1\nx = " + b"9" * 10_000, None, "digit"),
    ],
)
def test_a_fault_is_told_with_its_line(data: bytes, line: int | None, word: str) -> None:
    """The file is edited by hand, in a memory that then refuses to work."""
    with pytest.raises(InvalidPolicyError) as caught:
        parse_policy(data)
    assert caught.value.line == line
    assert word in caught.value.reason
    assert caught.value.reason in str(caught.value)
    assert line is None or f"line {line}:" in str(caught.value)
    assert caught.value.hint


def test_a_newer_format_asks_for_a_newer_gitmem() -> None:
    """Whatever else it may say, for a newer format may mean other things by it."""
    with pytest.raises(FormatError) as caught:
        parse_policy(b"format = 2\nmax_value_bytes = 'a lot'\n")
    assert caught.value.path == "gitmem.toml"
    assert "2" in str(caught.value)
    assert "newer" in caught.value.hint


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"format": True},
        {"format": 1, "audit_reads": "yes"},
        {"format": 1, "x": None},
        {"format": 1, "x": "\ud800"},
    ],
)
def test_nothing_is_dumped_that_could_not_be_parsed(document: dict[str, Any]) -> None:
    """One bad write would shut everybody out."""
    with pytest.raises(InvalidPolicyError):
        dump_policy(document)
