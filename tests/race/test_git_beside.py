"""Real git beside gitmem: it reads, packs and pushes while gitmem writes, and both sides' commits survive."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gitmem import Memory
from tests.foreign import STRANGER, run_git
from tests.race.crowd import check_sound, results, start, watched


@pytest.fixture
def store(tmp_path: Path) -> Path:
    Memory.open(tmp_path / "m", durability="fast").close()
    return tmp_path / "m"


@pytest.mark.parametrize(
    "command",
    [
        ["clone", "-q", "--mirror", ".git", "{new}"],
        ["log", "-p", "--all"],
        ["gc", "-q"],
        ["gc", "-q", "--prune=2.weeks.ago", "--aggressive"],
        ["pack-refs", "--all", "--prune"],
    ],
    ids=lambda command: command[0],
)
def test_git_reads_and_packs_while_gitmem_writes(store: Path, tmp_path: Path, command: list[str]) -> None:
    """Again and again until the writers are done; neither disturbs the other."""
    folder, rounds = store / ".gitmem", 0
    with watched(*(start(store, job, job, 60) for job in ("own", "increments"))) as writers:
        while rounds < 2 or (rounds < 40 and any(writer.poll() is None for writer in writers)):
            said = run_git(folder, *(part.replace("{new}", str(tmp_path / f"copy{rounds}")) for part in command))
            assert command[0] == "log" or said == ""
            if command[0] == "clone":
                assert run_git(tmp_path / f"copy{rounds}", "fsck", "--strict", "--no-dangling") == ""
            rounds += 1
        check(store, results(writers))


def check(store: Path, lines: list[str]) -> None:
    memory = check_sound(store)
    assert memory.retrieve("counter") == 60
    state = {f"{one.key} {one.value}" for one in memory.search("own/**")}
    assert state == {line for line in lines if line.startswith("own")}


def test_git_checks_while_gitmem_writes(store: Path) -> None:
    """`git fsck` reads the refs after it has listed the objects, so on a repository that lives it may miss what
    came in between, whoever wrote it; then that is there when one looks, and nothing else is ever said.
    """
    folder, rounds = store / ".gitmem", 0
    with watched(*(start(store, job, job, 60) for job in ("own", "increments"))) as writers:
        while rounds < 2 or (rounds < 40 and any(writer.poll() is None for writer in writers)):
            command = ["git", "-C", folder, "fsck", "--strict", "--no-dangling", "--no-progress"]
            said = subprocess.run(command, capture_output=True, text=True)
            for line in (said.stdout + said.stderr).splitlines():
                what, kind, oid = line.split()
                assert what == "missing", line
                assert run_git(folder, "cat-file", "-t", oid).strip() == kind
            rounds += 1
        check(store, results(writers))


def test_a_push_and_a_store_at_once_both_survive(store: Path, tmp_path: Path) -> None:
    """Whoever is second is refused (the push) or decides again (the store); nobody's commit is lost."""
    clone = tmp_path / "clone"
    run_git(tmp_path, "clone", "-q", str(store / ".gitmem" / ".git"), str(clone))
    with watched(start(store, "asked", "w", 0)) as (writer,):
        pushed = _push_beside(clone, writer)
        results([writer])
    memory = check_sound(store)
    assert set(memory.list("pushed-")) == set(pushed)
    assert len(memory.list("own/w/")) == 12


def _push_beside(clone: Path, writer: subprocess.Popen[str]) -> list[str]:
    """Twelve pushes, a store begun with each; a push that is refused pulls and tries again."""
    assert writer.stdin is not None
    assert writer.stdout is not None
    pushed = []
    for number in range(12):
        (clone / "default").mkdir(exist_ok=True)
        (clone / "default" / f"pushed-{number}.json").write_text(f"{number}\n")
        run_git(clone, "add", ".")
        run_git(clone, "commit", "-q", "-m", f"push {number}")
        push = subprocess.Popen(["git", "-C", str(clone), "push", "-q"], stderr=subprocess.PIPE, text=True)
        writer.stdin.write("go\n")
        writer.stdin.flush()
        writer.stdout.readline()
        _, errors = push.communicate()
        while push.returncode != 0:
            assert any(word in errors for word in ("rejected", "failed", "stale", "lock")), errors
            run_git(clone, *STRANGER, "pull", "-q", "--rebase")
            push = subprocess.Popen(["git", "-C", str(clone), "push", "-q"], stderr=subprocess.PIPE, text=True)
            _, errors = push.communicate()
        pushed.append(f"pushed-{number}")
        run_git(clone, "pull", "-q", "--rebase")
    writer.stdin.close()
    writer.stdin = None
    return pushed


def test_a_push_to_another_branch_is_never_refused(store: Path, tmp_path: Path) -> None:
    """However busy the writers are."""
    clone = tmp_path / "clone"
    run_git(tmp_path, "clone", "-q", str(store / ".gitmem" / ".git"), str(clone))
    writers = [start(store, "own", name, 60) for name in ("a", "b")]
    run_git(clone, "checkout", "-q", "-b", "people")
    for number in range(5):
        (clone / f"note-{number}.md").write_text("note\n")
        run_git(clone, "add", ".")
        run_git(clone, "commit", "-q", "-m", f"note {number}")
        run_git(clone, "push", "-q", "origin", "people")
    results(writers)
    memory = check_sound(store)
    assert len(memory.list("own/")) == 120
    assert run_git(memory.path, "rev-list", "--count", "people") == "6\n"
    assert memory.bind(branch="people").list() == []


def test_update_ref_and_a_store_at_once_both_survive(store: Path) -> None:
    """Commits made with plumbing, each published by git's own compare-and-swap."""
    folder = store / ".gitmem"
    writers = [start(store, "increments", name, 40) for name in ("a", "b")]
    made, attempts = 0, 0
    while made < 5 and attempts < 500:
        attempts += 1
        head = run_git(folder, "rev-parse", "main").strip()
        commit = run_git(folder, "commit-tree", f"{head}^{{tree}}", "-p", head, "-m", f"plumbing {made}").strip()
        done = subprocess.run(["git", "-C", folder, "update-ref", "refs/heads/main", commit, head], capture_output=True)
        made += done.returncode == 0
    results(writers)
    memory = check_sound(store)
    assert memory.retrieve("counter") == 80
    assert len([one for one in memory.log() if one.message.startswith("plumbing")]) == made == 5
