"""`gitmem claim`, and `--guard` of the commands that write."""

from __future__ import annotations

import json

import pytest

from gitmem import Memory
from tests.commands import gitmem

pytestmark = pytest.mark.usefixtures("empty_folder")

WRITES = [
    ("store", "result", "2"),
    ("create", "other", "2"),
    ("patch", "result", '{"n": 2}'),
    ("append", "list", "2"),
    ("delete", "result"),
    ("delete", "--matching", "**"),
]


@pytest.fixture(autouse=True)
def _as_ann(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITMEM_AGENT", "ann")


def taken(*argv: str) -> str:
    done = gitmem("claim", "take", *argv)
    assert done.exit_code == 0, done.stderr
    return done.stdout.removesuffix("\n")


# --- claim


def test_take_prints_the_token_and_nothing_else() -> None:
    """`TOKEN=$(gitmem claim take auth)`; the words for people go to stderr, with what to type next."""
    done = gitmem("claim", "take", "auth")
    with Memory.open(create=False) as memory:
        entry = memory.entry("claims/auth", namespace="coordination")
    assert done.stdout == f"{entry.revision}\n"
    assert done.stderr.splitlines()[-1].endswith(f"--guard claims/auth@{entry.revision}")
    assert (entry.value, (entry.expires - entry.time).total_seconds() // 10) == ({"by": "ann"}, 30)
    as_json = json.loads(gitmem("claim", "take", "other", "--json").stdout)
    assert (as_json["key"], as_json["value"], as_json["namespace"]) == ("claims/other", {"by": "ann"}, "coordination")


def test_who_comes_second_gets_exit_code_4() -> None:
    """And the name of the holder; also after having waited."""
    taken("auth", "--ttl", "600")
    for wait in ((), ("--timeout", "0.01")):
        done = gitmem("claim", "take", "auth", "--agent", "bob", *wait)
        assert (done.exit_code, done.stdout) == (4, "")
        assert done.stderr.startswith("error: task 'auth' in namespace 'coordination' is held by ann until ")
        assert "\nhint: " in done.stderr


def test_renew_and_release_are_for_the_holder_or_the_token() -> None:
    """Without --token this agent's own claim is meant; with it, whoever has it may."""
    token = taken("auth", "--ttl", "60")
    before = json.loads(gitmem("claim", "list", "--json").stdout)[0]["expires"]
    assert gitmem("claim", "renew", "auth", "--agent", "bob").exit_code == 4
    assert gitmem("claim", "release", "auth", "--agent", "bob").exit_code == 4
    assert gitmem("claim", "renew", "auth", "--ttl", "900").stdout.startswith("renewed claims/auth until ")
    after = json.loads(gitmem("claim", "renew", "auth", "--agent", "bob", "--token", token, "--json").stdout)
    assert after["revision"] == token
    assert after["expires"] > before
    assert gitmem("claim", "release", "auth", "--agent", "bob", "--token", token).stdout == "released claims/auth\n"
    assert gitmem("claim", "release", "auth").exit_code == 3
    taken("auth")
    assert gitmem("claim", "release", "auth", "--token", token).exit_code == 4
    assert gitmem("claim", "release", "auth", "--token", "HEAD").exit_code == 3
    assert gitmem("claim", "release", "auth").exit_code == 0


def test_list_shows_who_holds_what_until_when() -> None:
    """With the beginning of the token; --json gives the entries."""
    assert gitmem("init").exit_code == 0
    nothing = gitmem("claim", "list")
    assert (nothing.stdout, nothing.stderr.startswith("hint: nobody holds a claim")) == ("", True)
    tokens = [taken(task) for task in ("auth", "ui", "x/y")]
    listed = json.loads(gitmem("claim", "list", "--json").stdout)
    assert [one["revision"] for one in listed] == tokens[:2]
    lines = [f"{one['key']}\tann\t{one['expires']}\t{one['revision'][:12]}" for one in listed]
    assert gitmem("claim", "list").stdout.splitlines() == lines
    assert gitmem("claim", "list", "x/*").stdout.startswith("x/y\tann\t")


def test_a_namespace_may_be_named_or_come_from_the_environment() -> None:
    """A plan's agents are told theirs by GITMEM_NAMESPACE; nobody's claims are another team's."""
    taken("auth", "-n", "team")
    assert gitmem("claim", "list").stdout == ""
    env = {"GITMEM_NAMESPACE": "team"}
    assert gitmem("claim", "take", "auth", env=env).exit_code == 4
    assert gitmem("claim", "release", "auth", env=env).exit_code == 0
    taken("auth", "-n", "default")
    assert json.loads(gitmem("claim", "list", "-n", "default", "--json").stdout)[0]["namespace"] == "default"
    assert gitmem("claim", "renew", "auth", "-n", "default").exit_code == 0
    assert gitmem("claim", "release", "auth", "-n", "default").exit_code == 0


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("take", "auth", "--ttl", "0"), 7),
        (("take", "auth", "--timeout", "-1"), 2),
        (("take", "a//b"), 7),
        (("renew", "auth"), 3),
        (("list", "["), 7),
    ],
)
def test_a_slip_has_its_exit_code(argv: tuple[str, ...], code: int) -> None:
    """And writes nothing."""
    gitmem("init")
    assert gitmem("claim", *argv).exit_code == code
    assert json.loads(gitmem("claim", "list", "**", "--json").stdout) == []


# --- guard


@pytest.mark.parametrize("space", [(), ("-n", "results"), ("-n", "coordination")], ids=["default", "named", "same"])
@pytest.mark.parametrize("write", WRITES, ids=[" ".join(write[:2]) for write in WRITES])
def test_a_guarded_write_is_refused_once_the_claim_is_over(write: tuple[str, ...], space: tuple[str, ...]) -> None:
    """Whatever namespace the work lies in: a claim lies in `coordination`, or where the work is."""
    token = taken("auth")
    guard = ("--guard", f"claims/auth@{token}", *space)
    gitmem("store", "result", '{"n": 1}', *space)
    gitmem("claim", "release", "auth")
    done = gitmem(*write, *guard)
    assert done.exit_code == 4, done.stderr
    assert "\nhint: nothing was written, since this key guards the write" in done.stderr
    assert gitmem("retrieve", "result", *space).stdout == '{\n  "n": 1\n}\n'
    second = taken("auth")
    assert gitmem(*write, *guard).exit_code == 4
    assert gitmem(*write, "--guard", f"claims/auth@{second}", *space).exit_code == 0


def test_several_guards_hold_together() -> None:
    """Work under two claims needs both; a key of the namespace that is written may guard as well."""
    first, second = taken("a"), taken("b")
    plan = json.loads(gitmem("store", "plan", "1", "--json").stdout)["revision"]
    guards = [f"claims/a@{first}", f"claims/b@{second[:12]}", f"plan@{plan}"]
    argv = ["store", "result", "1", *(word for guard in guards for word in ("--guard", guard))]
    assert gitmem(*argv).exit_code == 0
    gitmem("claim", "release", "b")
    assert gitmem(*argv).exit_code == 4


def test_a_key_with_an_at_sign_is_guarded_too() -> None:
    """The last one ends the key: a token has none."""
    token = taken("ann@work")
    assert gitmem("store", "result", "1", "--guard", f"claims/ann@work@{token}").exit_code == 0


def test_a_guard_that_names_nothing_is_refused() -> None:
    """A slip must not pass for a fence that holds."""
    token = taken("auth")
    for guard, code in (
        (f"claims/atuh@{token}", 3),
        (f"auth@{token}", 3),
        ("claims/auth@HEAD", 3),
        ("claims/auth@1", 3),
        (f"claims/auth@{'0' * 40}", 3),
        ("claims/auth", 2),
        ("claims/auth@", 2),
        (f"@{token}", 2),
    ):
        done = gitmem("store", "result", "1", "--guard", guard)
        assert (done.exit_code, "\nhint: " in done.stderr) == (code, True), guard
    assert gitmem("retrieve", "result").exit_code == 3
