"""gitmem.toml: what it says, and where it is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem.codec import MAX_VALUE_BYTES, place
from gitmem.errors import FormatError, InvalidPolicyError, InvalidValueError
from gitmem.globs import escape
from gitmem.merge import RULES, Rule
from gitmem.policy import (
    DEFAULT_POLICY,
    MAX_BYTES,
    ROOT_BYTES,
    Contract,
    MergeRule,
    check_rule,
    dump_policy,
    parse_policy,
)
from tests.house.blueprint import PACKAGE, TOP

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
    assert DEFAULT_POLICY == parse_policy(b"format=1") == (1, MAX_VALUE_BYTES, False, {"format": 1}, (), (), 86_400)
    assert loaded_by("policy.parse_policy(policy.ROOT_BYTES)", "tomllib", "tomli_w", "gitmem.globs") == set()


def loaded_by(program: str, *names: str) -> set[str]:
    """Which of these modules are there after a program that knows `policy`."""
    program = f"import sys, gitmem.policy as policy; {program}; print(*{{*{names}}} & {{*sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=TOP)
    return set(ran.stdout.split())


def test_settings_are_read_and_what_is_not_known_is_kept() -> None:
    """A setting of tomorrow must survive a gitmem of today."""
    policy = parse_policy(WHOLE)
    assert (policy.format, policy.max_value_bytes, policy.audit_reads) == (1, 1024, True)
    assert policy.document["colour"] == "blue"
    assert policy.document["merge"] == [{"keys": "shared/**", "at": "/test_coverage", "rule": "largest"}]


BINDING = b"""\
format = 1
[[merge]]
keys = "shared/**"
at = "/metrics/*"
rule = "largest"
[[merge]]
keys = "**"
namespace = "team"
rule = "latest"
[[contract]]
keys = "handoff/step1/*"
schema = '{"type": "object"}'
[[contract]]
keys = "handoff/**"
namespace = "team"
schema = "false"
"""


def test_the_tables_of_rules_and_contracts_are_read() -> None:
    """What is left out means: in every namespace, for the whole value."""
    policy = parse_policy(BINDING)
    assert policy.merge_rules == (
        MergeRule("shared/**", None, "/metrics/*", "largest"),
        MergeRule("**", "team", "", "latest"),
    )
    assert policy.contracts == (
        Contract("handoff/step1/*", None, '{"type": "object"}'),
        Contract("handoff/**", "team", "false"),
    )


def test_the_tables_are_those_of_the_format() -> None:
    """A second implementation is made from FORMAT.md: the same settings, the same rules, an example that holds."""
    section = (PACKAGE / "FORMAT.md").read_text("utf-8").split("## 9. ")[1].split("\n## ")[0]
    (example,) = re.findall(r"^```toml\n(.*?)^```$", section, re.M | re.S)
    parsed = parse_policy(example.encode())
    assert (len(parsed.merge_rules), len(parsed.contracts)) == (1, 1)
    assert dump_policy(parsed.document).decode() == example
    for name, kind in (("merge", MergeRule), ("contract", Contract)):
        described = section.split(f"**`[[{name}]]`**")[1].split("|\n\n")[0]
        assert sorted(re.findall(r"^\| `(\w+)` \|", described, re.M)) == sorted(kind._fields)
        for setting in re.findall(r"^\| `(\w+)` \| required", described, re.M):
            rest = {one: text for one, text in parsed.document[name][0].items() if one != setting}
            with pytest.raises(InvalidPolicyError, match=f"needs {setting}"):
                dump_policy({"format": 1, name: [rest]})
    rules = re.findall(r"^\| (`.*`) \|", section.split("| rule | gives |")[1].split("\n\n")[0], re.M)
    assert re.findall(r"`(\w+)`", " ".join(rules)) == list(RULES)


def test_rules_and_contracts_are_read_without_what_applies_them() -> None:
    """`gitmem retrieve` reads them at every start; it neither merges nor judges."""
    program = f"policy.parse_policy({BINDING!r})"
    assert loaded_by(program, "gitmem.globs", "jsonschema", "dulwich", "difflib") == {"gitmem.globs"}
    asking = "read = policy.parse_policy(b'format=1'); read.rules_for('a', 'b'); read.contracts_for('a', 'b')"
    assert loaded_by(asking, "gitmem.globs", "gitmem.merge") == set()


def test_a_key_has_the_rules_that_its_namespace_and_glob_say_in_their_order() -> None:
    """`merge` takes the first that names a place, so their order counts."""
    policy = parse_policy(BINDING)
    assert policy.rules_for("team", "shared/state") == (Rule("/metrics/*", "largest"), Rule("", "latest"))
    assert policy.rules_for("other", "shared/state") == (Rule("/metrics/*", "largest"),)
    assert policy.rules_for("other", "state") == ()
    assert DEFAULT_POLICY.rules_for("team", "shared/state") == ()


def test_a_key_has_to_keep_every_contract_that_binds_it() -> None:
    """Unlike rules: the second does not stand back behind the first."""
    policy = parse_policy(BINDING)
    assert policy.contracts_for("team", "handoff/step1/x") == policy.contracts
    assert policy.contracts_for("other", "handoff/step1/x") == policy.contracts[:1]
    assert policy.contracts_for("team", "other") == DEFAULT_POLICY.contracts_for("team", "handoff/x") == ()


def test_records_of_conflicts_are_never_bound() -> None:
    """A contract on `**` would otherwise stop the merge that has to write one."""
    policy = parse_policy(b"format = 1\n[[contract]]\nkeys = '**'\nschema = 'false'\n")
    assert policy.contracts_for("conflicts", "0123456789abcdef") == ()
    assert policy.contracts_for("default", "0123456789abcdef") == policy.contracts


VALUES = st.recursive(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab. \"'é\n", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


RULE = b"format = 1\n[[merge]]\n"
TRICKY = b"format = 1 # [[merge]]\nx = ['''\n[[merge]]''']\n[[merge]]\n"
CONTRACT = b"format = 1\n[[contract]]\n"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCHEMAS = st.builds(json.dumps, st.dictionaries(TEXTS, TEXTS, max_size=2) | st.booleans(), ensure_ascii=st.booleans())
SPACED = st.builds("{}{}{}".format, st.sampled_from(["", "\n", " "]), SCHEMAS, st.sampled_from(["", "\n\t", " "]))
GLOBS = st.builds(escape, TEXTS.filter(bool))
NAMESPACES = st.sampled_from(["team", "é", "a b"])
POINTERS = st.builds(place, st.lists(TEXTS | st.just("*"), max_size=3))
TABLES = {
    "merge": st.lists(
        st.fixed_dictionaries(
            {"keys": GLOBS, "rule": st.sampled_from(RULES)}, optional={"namespace": NAMESPACES, "at": POINTERS}
        ),
        max_size=3,
    ),
    "contract": st.lists(
        st.fixed_dictionaries({"keys": GLOBS, "schema": SPACED}, optional={"namespace": NAMESPACES}), max_size=3
    ),
}


@given(
    st.dictionaries(st.sampled_from(["a b", "", "é", "merge_"]), VALUES),
    st.fixed_dictionaries({}, optional=TABLES),
)
def test_what_is_dumped_is_parsed_back(settings: dict[str, Any], tables: dict[str, Any]) -> None:
    """The law."""
    document = {"format": 1, **settings, **tables}
    assert parse_policy(dump_policy(document)).document == document


@given(st.dictionaries(st.sampled_from(["merge", "contract"]), VALUES))
def test_what_is_no_table_of_rules_is_refused_or_parsed_back(settings: dict[str, Any]) -> None:
    """Whatever stands there: nothing may be dumped that says something else, or shuts everybody out."""
    document = {"format": 1, **settings}
    try:
        data = dump_policy(document)
    except InvalidPolicyError:
        return
    assert parse_policy(data).document == document


def test_tables_are_dumped_as_a_person_would_write_them() -> None:
    """gitmem.toml is read in `git show` and edited in clones."""
    document = parse_policy(BINDING).document
    assert dump_policy({**document, "other": {"x": 1}, "audit_reads": True}).decode() == (
        "format = 1\naudit_reads = true\n\n[other]\nx = 1\n"
        '\n[[merge]]\nkeys = "shared/**"\nat = "/metrics/*"\nrule = "largest"\n'
        '\n[[merge]]\nkeys = "**"\nnamespace = "team"\nrule = "latest"\n'
        """\n[[contract]]\nkeys = "handoff/step1/*"\nschema = '{"type": "object"}'\n"""
        """\n[[contract]]\nkeys = "handoff/**"\nnamespace = "team"\nschema = 'false'\n"""
    )


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
        (b"format = 1\nabandoned_after = 0\n", 2, "abandoned_after"),
        (b"format = 1\nabandoned_after = true\n", 2, "abandoned_after"),
        (b"format = 1\nabandoned_after = inf\n", 2, "abandoned_after"),
        (b"format = 1\nabandoned_after = nan\n", 2, "abandoned_after"),
        (b"format = 1\n[max_value_bytes]\n[a]\nmax_value_bytes = 3\n", 2, "max_value_bytes"),
        (b"format = 1\nx = " + b"[" * 100_000, None, "nested"),
        (b"format = 1\nx = " + b"9" * 10_000, None, "digit"),
        # the tables
        (b"format = 1\nmerge = 1\n", 2, "[[merge]]"),
        (b"format = 1\nmerge.keys = 'a'\n", 2, "[[merge]]"),
        (b"format = 1\n[merge]\nkeys = 'a'\n", 2, "[[merge]]"),
        (b"format = 1\n[x]\n[ 'contract' . x]\nkeys = 'a'\n", 3, "[[contract]]"),
        (b"format = 1\n\nmerge = [1]\n", 3, "[[merge]]"),
        (b"format = 1\nmerge = [{ keys = 'a', rule = 'largest' }, { keys = 'a' }]\n", 2, "rule"),
        (RULE, 2, "keys and rule"),
        (RULE + b"keys = 'a'\n", 2, "needs rule"),
        (RULE + b"rule = 'largest'\n", 2, "needs keys"),
        (RULE + b"keys = 'a'\nrule = 'biggest'\n", 4, "there is no rule 'biggest'"),
        (RULE + b"keys = 'a'\nrule = 'ours'\n", 4, "side"),
        (RULE + b"keys = 'a'\nrule = 'theirs'\n", 4, "side"),
        (RULE + b"keys = 'a'\nrule = ''\n", 4, "there is no rule"),
        (RULE + b"rule = ['largest']\nkeys = 'a'\n", 3, "rule has to be text"),
        (RULE + b"keys = 'a['\nrule = 'largest'\n", 3, "a [ is not closed"),
        (RULE + b"keys = ''\nrule = 'largest'\n", 3, "empty"),
        (RULE + b"keys = 'a'\nrule = 'largest'\nnamespace = 'a/b'\n", 5, "namespace"),
        (RULE + b"keys = 'a'\nrule = 'largest'\nnamespace = ''\n", 5, "namespace"),
        (RULE + b"keys = 'a'\nrule = 'largest'\nat = 'a'\n", 5, "JSON pointer"),
        (RULE + b"keys = 'a'\nrule = 'largest'\nat = '/~2'\n", 5, "JSON pointer"),
        (RULE + b"keys = 'a'\nrul = 'largest'\n", 4, "no setting 'rul'"),
        (RULE + b"keys = 'a'\nrule = 'largest'\n'a.(b' = 1\n", 5, "no setting"),
        (RULE + b"keys = 'a'\nrule = 'largest'\nschema = 'true'\n", 5, "no setting 'schema'"),
        (RULE + b"keys = 'a'\n[merge.rule]\nx = 1\n", 4, "rule has to be text"),
        (RULE + b"keys = 'a'\nrule = 'largest'\n[[contract]]\nkeys = 'a'\n", 5, "schema"),
        (RULE + b"keys = 'a'\nrule = 'largest'\n [[ \"merge\" ]] # third\nkeys = 3\n", 6, "keys has to be text"),
        (RULE + b'keys = """\n[[merge]]\nrule = x"""\nrule = 7\n', 6, "rule has to be text"),
        (TRICKY + b"keys = '''\n[[merge]]\n\"\"\"'''\nrule = 7\n", 8, "rule has to be text"),
        (RULE + b"keys = 'a' # '''\n# rule = 1\n\"rule\" = 7 # '''\n", 5, "rule has to be text"),
        (CONTRACT + b"keys = 'a'\nschema = ''\n", 4, "schema"),
        (CONTRACT + b"keys = 'a'\nschema = '{\"a\": }'\n", 4, "line 1 column 7"),
        (CONTRACT + b"keys = 'a'\nschema = '[]'\n", 4, "object"),
        (CONTRACT + b"keys = 'a'\nschema = 'null'\n", 4, "object"),
        (CONTRACT + b"keys = 'a'\nschema = true\n", 4, "schema has to be text"),
        (CONTRACT + b"keys = 'a'\nschema = 'true'\nat = ''\n", 5, "no setting 'at'"),
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
    assert caught.value.hint.splitlines()[-1].startswith("`gitmem doctor --repair` brings the last good gitmem.toml")


@pytest.mark.parametrize(
    ("setting", "word"),
    [("rule = 'biggest'", "latest, largest, smallest, total, union"), ("rule = 'ours'", "latest"), ("at = 'a'", "/")],
)
def test_a_wrong_setting_is_told_with_what_would_be_right(setting: str, word: str) -> None:
    """Who wrote `biggest` wants to know which rules there are, before anything else."""
    with pytest.raises(InvalidPolicyError) as caught:
        parse_policy(RULE + f"keys = 'a'\n{setting}\n".encode())
    assert word in caught.value.hint.splitlines()[0]


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
        {"format": 1, "x": "a" * MAX_BYTES},
        {"format": 1, "merge": [{"keys": "a", "rule": "ours"}]},
        {"format": 1, "merge": [{"keys": "a", "rule": "latest", "x": {}}]},
        {"format": 1, "merge": [{"keys": "a", "rule": "latest"}, 5]},
        {"format": 1, "contract": [{"keys": "a", "schema": {}}]},
        {"format": 1, "contract": {}},
    ],
)
def test_nothing_is_dumped_that_could_not_be_parsed(document: dict[str, Any]) -> None:
    """One bad write would shut everybody out."""
    with pytest.raises(InvalidPolicyError) as caught:
        dump_policy(document)
    assert "doctor" not in caught.value.hint, "nothing is broken yet"
    assert "nothing was written" in caught.value.hint


def test_a_rule_is_one_that_does_not_ask_who_merges() -> None:
    """Two copies that merge the same commits must come to one value."""
    assert [check_rule(rule) for rule in RULES] == list(RULES)
    for rule in ("ours", "theirs", "", "Largest", None, 5, ["largest"], "x" * 1000):
        with pytest.raises(InvalidValueError, match=r"side|there is no rule") as caught:
            check_rule(rule)
        assert "largest" in caught.value.hint
        assert len(caught.value.message) < 100
