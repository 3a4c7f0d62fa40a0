"""The merge rules that gitmem brings along for patterns: what copies counted apart is added up, lists are united."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import gitmem
from gitmem import Memory
from gitmem.merge import merge
from gitmem.policy import BUILT_IN, DEFAULT_POLICY, parse_policy

KEY = "pattern/authentication/jwt"
RULES = DEFAULT_POLICY.rules_for("reasoning-bank", KEY)
LISTS = ("sessions_used", "lessons_learned", "anti_patterns", "related")

texts = st.lists(st.sampled_from("abcdef"), unique=True, max_size=4)
patterns = st.fixed_dictionaries(
    {"successes": st.integers(0, 9), "failures": st.integers(0, 9), "success_rate": st.integers(0, 100)}
    | dict.fromkeys(LISTS, texts)
)


@given(patterns, patterns, patterns)
def test_two_copies_never_disagree_about_what_they_counted(base: Any, ours: Any, theirs: Any) -> None:
    """Nobody is there to settle a conflict at night; and an outcome that was told to either side counts."""
    value, conflicts = merge(base, ours, theirs, RULES)
    assert conflicts == ()
    for count in ("successes", "failures"):
        assert value[count] - base[count] == (ours[count] - base[count]) + (theirs[count] - base[count])
    for members in LISTS:
        added = {*ours[members], *theirs[members]} - {*base[members]}
        assert added <= {*value[members]} <= {*ours[members], *theirs[members]}
    assert value["success_rate"] in (ours["success_rate"], theirs["success_rate"])


def test_the_rules_are_those_of_the_format() -> None:
    """Another implementation that merges otherwise would never agree with ours on a head."""
    text = (Path(gitmem.__file__).parent / "FORMAT.md").read_text("utf-8")
    rows = text.split("| at | built-in rule |\n| --- | --- |\n")[1].split("\n\n")[0].splitlines()
    told = [(at, rule) for row in rows for *places, rule in [re.findall(r"`([^`]+)`", row)] for at in places]
    assert told == [(one.at, one.rule) for one in BUILT_IN]
    assert {(one.namespace, one.keys) for one in BUILT_IN} == {("reasoning-bank", "pattern/**")}
    assert all(f"`{one.keys}`" in text and f"`{one.namespace}`" in text for one in BUILT_IN)


def test_a_rule_of_gitmem_toml_comes_first() -> None:
    """Who shares a memory may know better; what they did not speak of stays as it was."""
    policy = parse_policy(b'format = 1\n[[merge]]\nkeys = "pattern/**"\nat = "/success_rate"\nrule = "latest"\n')
    value, conflicts = merge(
        {"success_rate": 50, "failures": 1},
        {"success_rate": 90, "failures": 2},
        {"success_rate": 40, "failures": 3},
        policy.rules_for("reasoning-bank", KEY),
        (2, 1),
    )
    assert (value, conflicts) == ({"success_rate": 90, "failures": 4}, ())


def test_only_patterns_have_them() -> None:
    """A key that happens to hold `failures` elsewhere is the business of whoever wrote it."""
    assert RULES
    assert DEFAULT_POLICY.rules_for("reasoning-bank", "notes/authentication/jwt") == ()
    assert DEFAULT_POLICY.rules_for("coordination", KEY) == ()


def test_branches_that_count_alike_count_twice(tmp_path: Path) -> None:
    """Both wrote the very same bytes: equal values are no sign that one outcome was told twice."""
    memory = Memory.open(tmp_path, agent="ann", namespace="reasoning-bank", durability="fast")
    memory.store(KEY, {"successes": 1, "failures": 0})
    other = memory.branch("other").bind(agent="bob")
    for one in (memory, other):
        one.patch(KEY, {"successes": 2})
    memory.merge("other")
    assert memory.retrieve(KEY) == {"successes": 3, "failures": 0}
