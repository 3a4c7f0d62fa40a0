"""Claims: one holder at a time, and a fence that keeps out whoever was one before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitmem import (
    ABSENT,
    ConflictError,
    InvalidKeyError,
    InvalidValueError,
    KeyExistsError,
    Memory,
    MissingKeyError,
    StaleError,
    UnknownRevisionError,
)
from gitmem.recipes import Claims
from gitmem.recipes.claim import Claim, fence, holder
from tests.conftest import Clock


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Memory:
    return Memory.open(tmp_path, durability="fast", agent="ann", clock=clock)


@pytest.fixture
def ann(memory: Memory) -> Claims:
    return Claims(memory)


@pytest.fixture
def bob(memory: Memory) -> Claims:
    return Claims(memory.bind(agent="bob"))


# --- taking


def test_a_bare_task_lies_below_claims_and_a_path_where_it_says(ann: Claims) -> None:
    """Both in `coordination`, where everybody meets who named no namespace."""
    first, second = ann.take("auth"), ann.take("services/user/claim")
    assert (first.key, first.task, first.entry.namespace) == ("claims/auth", "auth", "coordination")
    assert (second.key, second.task) == ("services/user/claim", "services/user/claim")
    assert first.entry.value == {"by": "ann"}
    assert [one.key for one in ann.held()] == ["claims/auth"]
    assert [one.key for one in ann.held("**")] == ["claims/auth", "services/user/claim"]


def test_a_named_namespace_is_another_list_of_tasks(memory: Memory, ann: Claims) -> None:
    """Two teams of one memory do not take each other's tasks; a bound memory's own namespace counts as named."""
    ann.take("auth")
    assert Claims(memory, namespace="team").take("auth").entry.namespace == "team"
    with pytest.raises(KeyExistsError):
        Claims(memory.bind(namespace="team")).take("auth")
    assert Claims(memory, namespace="default").take("auth").entry.namespace == "default"


def test_who_comes_second_is_told_who_holds_it_until_when(ann: Claims, bob: Claims) -> None:
    """And goes on to another task; asking twice does not give the first holder two claims either."""
    held = ann.take("auth", ttl=60).entry
    for other in (bob, ann):
        with pytest.raises(KeyExistsError, match=r"'auth' .* held by ann until 2026-02-02T12:01:00Z") as caught:
            other.take("auth")
        assert (caught.value.current, caught.value.key) == (held, "claims/auth")
    assert ann.take("auth2", ttl=None).entry.expires is None
    with pytest.raises(KeyExistsError, match="until it is released"):
        bob.take("auth2")


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5", True])
def test_a_timeout_is_a_number_of_seconds(ann: Claims, bob: Claims, timeout: Any) -> None:
    """Also for who need not wait: the mistake would be found on the day when somebody else was quicker."""
    with pytest.raises(InvalidValueError):
        ann.take("auth", timeout=timeout)
    assert bob.take("auth", timeout=10**400).entry.agent == "bob"


def test_a_claim_ends_by_itself(ann: Claims, bob: Claims, clock: Clock) -> None:
    """Who dies with a task in his hands blocks it for no longer than its ttl."""
    ann.take("auth", ttl=60)
    clock.advance(59)
    with pytest.raises(KeyExistsError):
        bob.take("auth")
    clock.advance(1)
    assert bob.held() == []
    assert bob.take("auth").entry.value == {"by": "bob"}


def test_a_ttl_or_a_task_that_is_none_is_refused(ann: Claims) -> None:
    """At once, and nothing is held then."""
    with pytest.raises(InvalidValueError):
        ann.take("auth", ttl=0)
    with pytest.raises(InvalidValueError):
        ann.take("auth", ttl=-1)
    with pytest.raises(InvalidKeyError):
        ann.take("")
    assert ann.held("**") == []


# --- waiting


def in_a_thread(job: Callable[[], object]) -> Callable[[], object]:
    """Begin a job; the result, when it is asked for."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(job()), daemon=True)
    thread.start()

    def result() -> object:
        thread.join(30)
        return found[0]

    return result


def test_who_waits_gets_the_task_when_it_is_released(ann: Claims, bob: Claims) -> None:
    """Also if its name looks like a glob."""
    task = "a[b{c}*"
    mine = ann.take(task)
    with pytest.raises(KeyExistsError):
        bob.take(task, timeout=0.01)
    waiting = in_a_thread(lambda: bob.take(task, timeout=None).entry.value)
    mine.release()
    assert waiting() == {"by": "bob"}


def test_of_many_who_wait_each_gets_his_turn(memory: Memory, ann: Claims) -> None:
    """Who is woken and finds the task taken again waits on: being woken is no claim."""
    first = ann.take("auth")
    order: list[str] = []

    def work(name: str) -> None:
        with Claims(memory.bind(agent=name)).take("auth", timeout=60):
            order.append(name)
            memory.store("turn", name)
            order.append(name)

    waiting = [in_a_thread(lambda name=name: work(name)) for name in ("bob", "cec", "dan", "eve")]
    first.release()
    for one in waiting:
        one()
    assert order[::2] == order[1::2]
    assert sorted(order[::2]) == ["bob", "cec", "dan", "eve"]


def test_who_waits_gets_the_task_when_it_expires(tmp_path: Path) -> None:
    """Nobody writes anything then: the waiter's own clock wakes it."""
    start = datetime(2026, 2, 2, 12, 0, 0, 900_000, tzinfo=UTC)
    asked = iter(range(10**9))
    memory = Memory.open(tmp_path, durability="fast", clock=lambda: start + timedelta(milliseconds=next(asked)))
    Claims(memory.bind(agent="ann")).take("auth", ttl=0.001)  # until 12:00:01, some ninety questions later
    assert Claims(memory.bind(agent="bob")).take("auth", timeout=None).entry.value == {"by": "bob"}
    assert [one.agent for one in memory.history("claims/auth", namespace="coordination")] == ["bob", "gitmem", "ann"]


def test_who_has_waited_long_enough_is_told_as_who_did_not_wait(ann: Claims, bob: Claims) -> None:
    """One error to catch before going on to another task."""
    ann.take("auth")
    with pytest.raises(KeyExistsError, match="held by ann"):
        bob.take("auth", timeout=0.01)


# --- renewing and the fence


def test_renewing_keeps_the_token_and_makes_no_version(ann: Claims, memory: Memory, clock: Clock) -> None:
    """Otherwise every renewal would shut its own holder out."""
    mine = ann.take("auth", ttl=60)
    token, first = mine.token, mine.entry
    for _ in range(3):
        clock.advance(50)
        assert mine.renew().revision == token
    assert mine.entry.expires == clock.now + timedelta(seconds=60)
    assert mine.renew(600).expires == clock.now + timedelta(seconds=600)
    assert len(memory.history("claims/auth", namespace="coordination")) == 1
    memory.store("result", 1, guard=first)
    memory.store("result", 2, guard=mine.entry)
    memory.store("result", 3, guard=("coordination", "claims/auth", token))
    assert [one.message for one in memory.log()][4:] == ["renew coordination claims/auth"] * 3 + [
        "claim coordination claims/auth",
        "gitmem format 1",
    ]


@pytest.mark.parametrize("taken", [True, False], ids=["taken", "free"])
def test_a_late_write_is_refused(ann: Claims, bob: Claims, memory: Memory, clock: Clock, taken: bool) -> None:
    """Whether somebody has the task by now, or nobody yet: it is over for its holder either way."""
    mine = ann.take("auth", ttl=60)
    memory.store("result", "early", guard=mine.entry)
    clock.advance(60)
    if taken:
        bob.take("auth")
    for guard in (mine.entry, [mine.entry], ("coordination", "claims/auth", mine.token)):
        for verb in (
            lambda guard: memory.store("result", "late", guard=guard),
            lambda guard: memory.create("other", "late", guard=guard),
            lambda guard: memory.update("result", str.upper, guard=guard),
            lambda guard: memory.patch("result", {"late": 1}, guard=guard),
            lambda guard: memory.append("list", "late", guard=guard),
            lambda guard: memory.delete("result", guard=guard),
            lambda guard: memory.delete_matching("**", guard=guard),
        ):
            with pytest.raises(StaleError):
                verb(guard)
    with memory.transaction() as tx, pytest.raises(StaleError):
        tx.expect(mine.key, mine.entry, namespace="coordination")
    assert memory.retrieve("result") == "early"
    assert memory.list() == ["result"]


@pytest.mark.parametrize("move", [Claim.renew, Claim.release], ids=["renew", "release"])
def test_a_claim_that_is_over_is_neither_renewed_nor_released(
    ann: Claims, bob: Claims, clock: Clock, move: Callable[[Claim], object]
) -> None:
    """The next holder keeps the task, and the former one is told whose it is."""
    mine = ann.take("auth", ttl=60)
    clock.advance(60)
    with pytest.raises(StaleError, match="is over: nobody holds it now") as caught:
        move(mine)
    assert caught.value.current is ABSENT
    theirs = bob.take("auth")
    with pytest.raises(StaleError, match=r"is over: .* held by bob until") as caught:
        move(mine)
    assert (caught.value.current, caught.value.expected, caught.value.key) == (theirs.entry, mine.entry, "claims/auth")
    assert bob.held() == [theirs.entry]


def test_who_is_told_to_take_it_again_is_told_where(memory: Memory) -> None:
    """The command, copied, means this task, not one of its name elsewhere."""
    claim = Claims(memory.branch("trial"), namespace="team").take("auth")
    claim.release()
    with pytest.raises(StaleError) as caught:
        claim.renew()
    assert caught.value.hint.endswith("`gitmem claim take auth -n team --branch trial`")


def test_taking_a_task_again_gives_another_token(ann: Claims, memory: Memory, clock: Clock) -> None:
    """The value is the same to the byte; a holder that slept through it all is still refused."""
    first = ann.take("auth", ttl=60)
    clock.advance(60)
    second = ann.take("auth", ttl=60)
    second.release()
    third = ann.take("auth", ttl=60)
    assert len({first.token, second.token, third.token}) == 3
    for old in (first, second):
        with pytest.raises(StaleError):
            memory.store("result", 1, guard=old.entry)
    memory.store("result", 1, guard=third.entry)


# --- with


def test_a_claim_is_released_at_the_end_of_its_block(ann: Claims, bob: Claims) -> None:
    """Also when the work fails; released in between, it is not released again."""
    with ann.take("auth") as mine:
        assert [one.key for one in bob.held()] == [mine.key]
    with pytest.raises(ZeroDivisionError), bob.take("auth"):
        raise ZeroDivisionError
    with ann.take("auth") as mine:
        mine.release()
    assert ann.held() == []


def test_a_claim_that_was_lost_in_its_block_is_told(ann: Claims, bob: Claims, clock: Clock) -> None:
    """Somebody may have worked at the same time; but an error of the work itself is the one to be told."""
    with pytest.raises(StaleError, match="is over"), ann.take("auth", ttl=60):
        clock.advance(60)

    def fail() -> None:
        clock.advance(60)
        bob.take("auth")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), ann.take("auth", ttl=60):
        fail()
    assert [holder(one) for one in bob.held()] == ["bob"]


# --- from another process


def test_a_holder_finds_its_claim_again(ann: Claims, bob: Claims, memory: Memory, clock: Clock) -> None:
    """After a restart an agent goes on with what it had; nobody else does, without the token."""
    token = ann.take("auth", ttl=60).token
    clock.advance(30)
    again = Claims(memory).mine("auth", ttl=60)
    assert (again.token, again.renew().expires) == (token, clock.now + timedelta(seconds=60))
    with pytest.raises(ConflictError, match=r"held by ann until .*, not by bob"):
        bob.mine("auth")
    assert bob.mine("auth", token=token[:12]).renew(90).expires == clock.now + timedelta(seconds=90)
    bob.mine("auth", token=token).release()
    with pytest.raises(MissingKeyError):
        ann.mine("auth")
    with pytest.raises(StaleError, match="nobody holds it"):
        bob.mine("auth", token=token)
    bob.take("auth")
    with pytest.raises(StaleError, match="held by bob"):
        ann.mine("auth", token=token)


def test_a_claim_that_somebody_stored_by_hand_has_its_author_as_holder(memory: Memory, ann: Claims) -> None:
    """An agent that only knows create and delete takes part."""
    memory.bind(agent="tester").create("claims/auth", "mine", ttl=60, namespace="coordination")
    with pytest.raises(KeyExistsError, match="held by tester"):
        ann.take("auth")
    Claims(memory.bind(agent="tester")).mine("auth").release()
    ann.take("auth")


def test_only_the_very_revision_is_a_token(ann: Claims, memory: Memory) -> None:
    """HEAD and a session name whatever is there now: such a fence would let everybody through."""
    mine = ann.take("auth")
    space = mine.entry.namespace
    assert fence(memory, mine.key, mine.token[:8], namespace=space).revision == mine.token
    for text in ("HEAD", "main", 1, memory.store("x", 1).revision, memory.log()[-1].revision, "0" * 40):
        with pytest.raises(UnknownRevisionError):
            fence(memory, mine.key, text, namespace=space)
    with pytest.raises(UnknownRevisionError):
        fence(memory, mine.key, mine.token, namespace="default")
