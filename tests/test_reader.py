"""Reading one snapshot: the order of keys, what a glob and a condition select, what has expired."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from gitmem import ABSENT, InvalidPatternError, Memory, MissingKeyError
from gitmem.vault import Unreadable
from tests.conftest import Clock, Git


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Memory:
    return Memory.open(tmp_path, agent="tester", durability="fast", clock=clock)


def fill(memory: Memory, **values: object) -> None:
    with memory.transaction() as tx:
        for key, value in values.items():
            tx.store(key.replace("__", "/"), value)


def test_keys_come_in_code_point_order(memory: Memory) -> None:
    """Whatever buckets and directories they lie in: "a" < "a/b" < "a0", capitals first, astral signs last."""
    keys = ["a", "a0", "a/b", "B", "é", "𝄞", "～", *(f"k{n}" for n in range(300))]
    with memory.transaction() as tx:
        for key in keys:
            tx.store(key, 1)
    assert memory.list() == sorted(keys)
    assert [entry.key for entry in memory.search("**")] == sorted(keys)
    memory.delete("k7", "𝄞")
    memory.store("k70/x", 1)
    assert memory.list() == sorted({*keys, "k70/x"} - {"k7", "𝄞"})


def test_a_prefix_is_plain_text(memory: Memory) -> None:
    """No segment border, no wildcard: `swarm/re` takes `swarm/researcher/…`, `*` takes only itself."""
    fill(memory, swarm__researcher__a=1, swarm__reviewer=2, swarm__coder=3)
    memory.store("*x", 1)
    memory.store("swarm/re\U0010ffff\U0010ffff", 4)
    assert memory.list("swarm/re") == ["swarm/researcher/a", "swarm/reviewer", "swarm/re\U0010ffff\U0010ffff"]
    assert memory.list("*") == ["*x"]
    assert memory.list("nothing") == []


def test_search_pages_through_one_order(memory: Memory) -> None:
    """`offset` and `limit` cut the same sequence, with a condition and without."""
    with memory.transaction() as tx:
        for number in range(1200):
            tx.store(f"k{number:04}", {"n": number})
    whole = [entry.value["n"] for entry in memory.search("k*", where="n >= `100`")]
    assert whole == list(range(100, 1200))
    page = memory.search("k*", where="n >= `100`", offset=550, limit=3)
    assert [entry.value["n"] for entry in page] == [650, 651, 652]
    assert [entry.value["n"] for entry in memory.search("k*", offset=1198, limit=9)] == [1198, 1199]
    assert memory.search("k*", limit=0) == []


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("state == 'done'", ["a"]),
        ("n > `1`", ["a"]),
        ("length(n) > `1`", ["b"]),
        ("contains(tags, 'x')", ["d"]),
        ("state", ["a"]),
        ("@ == `7`", ["c"]),
        ("missing", []),
    ],
)
def test_a_type_error_in_a_condition_is_no_match(memory: Memory, where: str, keys: list[str]) -> None:
    """Values of one namespace differ in shape; a condition must not fail on the first that has another."""
    fill(memory, a={"state": "done", "n": 2}, b={"n": [1, 2]}, c=7, d={"tags": ["x"]}, e=None)
    assert [entry.key for entry in memory.search("*", where=where)] == keys


@pytest.mark.parametrize("where", ["n >", "", "`", "unknown(", "a b"])
def test_a_malformed_condition_is_refused(memory: Memory, where: str) -> None:
    """Even where no key matches: a mistake must not look like an empty result."""
    with pytest.raises(InvalidPatternError):
        memory.search("nothing", where=where)


def test_an_unknown_function_in_a_condition_is_refused(memory: Memory) -> None:
    """It would match nothing, whatever the values: that is a mistake, not a type error."""
    fill(memory, a=1)
    with pytest.raises(InvalidPatternError, match="nosuch"):
        memory.search("*", where="nosuch(@)")


def test_an_expired_key_is_absent_to_every_verb(memory: Memory, clock: Clock) -> None:
    """The reader's clock judges: nothing has to be swept first."""
    memory.store("keep", 1)
    memory.store("lock", "ci", ttl=60)
    only = memory.bind(namespace="only")
    only.store("lock", "ci", ttl=60)
    entry = memory.entry("lock")
    assert entry.expires is not None
    assert (entry.expires - clock.now).total_seconds() == 60
    clock.advance(59)
    assert memory.list() == ["keep", "lock"]
    assert memory.namespaces() == ["default", "only"]
    clock.advance(1)
    with pytest.raises(MissingKeyError):
        memory.retrieve("lock")
    assert memory.retrieve("lock", None) is None
    assert memory.entry("lock", ABSENT) is ABSENT
    assert memory.list() == memory.search_keys("*") == [one.key for one in memory.search("*")] == ["keep"]
    assert memory.namespaces() == ["default"]
    assert memory.delete_matching("**") != []
    assert memory.create("lock", "again").version == 3


def test_values_are_never_shared_with_a_cache(memory: Memory) -> None:
    """Changing what was read changes nothing else."""
    fill(memory, a={"list": [1]})
    memory.retrieve("a")["list"].append(2)
    memory.entry("a").value["list"].append(3)
    memory.search("*")[0].value["list"].append(4)
    assert memory.retrieve("a") == {"list": [1]}


def test_a_missing_key_says_where_it_may_be(memory: Memory) -> None:
    """The commonest mistakes: another namespace, a slip of the pen."""
    memory.store("swarm/coder/status", 1, namespace="coordination")
    memory.store("swarm/tester/status", 1)
    with pytest.raises(MissingKeyError) as caught:
        memory.retrieve("swarm/coder/status")
    assert "-n coordination" in caught.value.hint
    with pytest.raises(MissingKeyError) as caught:
        memory.retrieve("swarm/tester/statos")
    assert "swarm/tester/status" in caught.value.hint


def test_a_file_that_is_no_value_hurts_its_own_key_alone(memory: Memory, git: Git, tmp_path: Path) -> None:
    """Another tool wrote nonsense, or JSON in its own layout: the first is named, the second read as it is."""
    from gitmem import CorruptValueError

    memory.store("good", 1)
    work = tmp_path / "work"
    git(tmp_path, "clone", "-q", str(memory.path / ".git"), str(work))
    (work / "default" / "bad.json").write_text("{nonsense")
    (work / "default" / "other.json").write_text('{"b":1,   "a":2}')
    git(work, "add", ".")
    git(work, "commit", "-qm", "by hand")
    git(work, "push", "-q", "origin", "HEAD:main")
    assert memory.list() == ["bad", "good", "other"]
    assert memory.retrieve("other") == {"a": 2, "b": 1}
    with pytest.raises(CorruptValueError) as caught:
        memory.retrieve("bad")
    assert (caught.value.namespace, caught.value.key) == ("default", "bad")
    assert memory.log()[0].message == "by hand"
    assert memory.store("bad", 2).version == 2


def test_guessing_what_was_meant_stays_cheap(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key is what agents poll for, and some writes are refused under the lock: few keys are compared."""
    with memory.transaction() as tx:
        for number in range(3000):
            tx.store(f"swarm/agent-{number:04}/status", number)
    compared = []
    real = difflib.get_close_matches

    def counted(word: str, possibilities: list[str], **options: float) -> list[str]:
        compared.append(len(possibilities))
        return real(word, possibilities, **options)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    with pytest.raises(MissingKeyError) as caught:
        memory.retrieve("swarm/agent-2999/sttus")
    assert caught.value.hint == "did you mean 'swarm/agent-2999/status'?"
    assert 0 < sum(compared) <= 100


def test_one_bad_file_does_not_hide_the_others_from_a_search(memory: Memory, git: Git, tmp_path: Path) -> None:
    """It is left out, and a warning names it: neither a failure nor a silent gap."""
    memory.store("good", 1)
    work = tmp_path / "work"
    git(tmp_path, "clone", "-q", str(memory.path / ".git"), str(work))
    (work / "default" / "bad.json").write_text("{nonsense")
    git(work, "add", ".")
    git(work, "commit", "-qm", "by hand")
    git(work, "push", "-q", "origin", "HEAD:main")
    with pytest.warns(Unreadable, match="'bad'"):
        assert [entry.key for entry in memory.search("**")] == ["good"]


def test_a_missing_key_says_what_became_of_it(memory: Memory, clock: Clock) -> None:
    """Deleted, by whom and when; expired; never there, but the namespace has another name."""
    memory.store("gone", 1)
    memory.bind(agent="ada").delete("gone")
    memory.store("lock", 1, ttl=5)
    memory.store("coder/status", 1, namespace="swarm")
    clock.advance(10)
    for key, told in (
        ("gone", "deleted at 2026-02-02T12:00:00Z by ada"),
        ("lock", "expired at 2026-02-02T12:00:05Z"),
        ("swarm/coder/status", "-n swarm"),
    ):
        with pytest.raises(MissingKeyError) as caught:
            memory.retrieve(key)
        assert told in caught.value.hint
    with pytest.raises(MissingKeyError) as caught:
        memory.retrieve("x", namespace="nowhere")
    assert "there are: swarm" in caught.value.hint or "default" in caught.value.hint


def test_a_prefix_needs_only_its_own_directory(tmp_path: Path, clock: Clock) -> None:
    """A cold list, search or diff of a part gives what the whole would, expiry and splits included."""
    memory = Memory.open(tmp_path, durability="fast", clock=clock)
    with memory.transaction() as tx:
        for number in range(600):
            tx.store(f"team{number % 5}/agent{number % 7}/k{number}", number)
        tx.store("team1", 1)
        tx.store("team1/agent1/lock", 1, ttl=1)
    before = memory.snapshot
    memory.store("team1/agent1/k1", -1)
    memory.store("team2/agent1/k1", -1)
    clock.advance(2)
    whole = memory.list()
    for prefix in ("team1/", "team1/agent1/", "team1/agent1/k1", "team1/agent", "none/", "team1/agent1/k1/"):
        cold = Memory.open(tmp_path, clock=clock)
        assert cold.list(prefix) == [key for key in whole if key.startswith(prefix)]
        assert cold.search_keys(f"{prefix}**") == [key for key in whole if key.startswith(prefix)]
    assert [change.key for change in memory.diff(before, None, "team1/agent1/k*")] == ["team1/agent1/k1"]
