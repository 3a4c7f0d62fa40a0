"""Starting writers, hearing what they acknowledge, and checking a memory afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gitmem import Memory
from gitmem.index import Index
from tests.foreign import run_git

TOP = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("worker.py")


def start(store: Path, job: str, name: str, limit: int, *, lock: bool = True) -> subprocess.Popen[str]:
    """A writer in a process of its own; its stdout is what it acknowledges."""
    return launch(str(store), job, name, str(limit), *([] if lock else ["unlocked"]))


def launch(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WORKER), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )


@contextmanager
def watched(*writers: subprocess.Popen[str]) -> Iterator[tuple[subprocess.Popen[str], ...]]:
    """Whoever still runs in the end, because a test failed, is killed."""
    try:
        yield writers
    finally:
        for writer in writers:
            if writer.returncode is None:
                writer.kill()
                writer.communicate()


def results(writers: Iterable[subprocess.Popen[str]]) -> list[str]:
    """Wait for all of them: every acknowledged line. AssertionError if one failed."""
    lines: list[str] = []
    for writer in writers:
        out, errors = writer.communicate()
        assert writer.returncode == 0, errors
        lines += out.splitlines()
    return lines


def check_sound(store: Path) -> Memory:
    """Git finds nothing wrong; nobody is blocked; the index tells what one made anew tells. The memory, opened."""
    memory = Memory.open(store, agent="checker", create=False)
    assert run_git(memory.path, "fsck", "--strict", "--no-dangling") == ""
    written = memory.store("check", os.urandom(8).hex())
    assert not list((memory.path / ".git").rglob("*.lock"))
    check_index(memory)
    assert memory.entry("check") == written
    return memory


def check_index(memory: Memory, *, linear: bool = True) -> None:
    """Every answer about every key that ever was, from the file and from scratch.

    Where lines of history were merged, the order of coming decides what stands between children and parents.
    """
    order = list if linear else sorted
    vault = memory.vault
    head = bytes.fromhex(memory.snapshot)
    anew = Index(None, vault.objects)
    old = Index(str(vault.repository.derived / "index.sqlite3"), vault.objects)
    try:
        commits = list(anew.log(head))
        assert order(old.log(head)) == order(commits)
        for commit in commits:
            assert _facts(old, commit) == _facts(anew, commit)
        for namespace in memory.namespaces():
            for key in memory.list(namespace=namespace):
                for one, other in zip(
                    order(old.versions(head, namespace, key)), order(anew.versions(head, namespace, key)), strict=True
                ):
                    assert one[:3] == other[:3]
    finally:
        anew.close()
        old.close()


def _facts(index: Index, commit: bytes) -> object:
    changes = [(namespace, key, row[:3]) for namespace, key, row in index.changes(commit)]
    return index.facts(commit), changes
