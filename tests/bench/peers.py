"""The others: what one would write without gitmem, each as quick as its own documentation shows.

Knows pygit2, git's plumbing and sqlite3; does not know gitmem.
Law: a peer does no more than the work itself: it makes no index, judges no key, checks no value.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

BRANCH = "refs/heads/main"
AUTHOR = ("bench", "bench@gitmem")
BLOB, TREE = 0o100644, 0o040000


def canonical(value: Any) -> bytes:
    """The bytes of a value, as gitmem writes them."""
    return (json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2) + "\n").encode()


def path_of(namespace: str, key: str) -> list[str]:
    """The file of a key, in a memory whose directories are all narrow."""
    return [namespace, *(key + ".json").split("/")]


class Pygit2:
    """pygit2's low-level calls: a blob, the trees on its path, a commit on the branch if it has not moved."""

    def __init__(self, git_dir: Path, *, fsync: bool = False) -> None:
        """libgit2 reads the option when it opens a repository, and it is the process's."""
        import pygit2

        self._pygit2 = pygit2
        pygit2.settings.enable_fsync_gitdir(fsync)
        self._repository = pygit2.Repository(str(git_dir))
        self._repository.odb  # noqa: B018  (opened now, while the option stands)

    def store(self, namespace: str, key: str, value: Any) -> None:
        self.store_many({(namespace, key): value}, f"store {namespace} {key}")

    def store_many(self, values: Mapping[tuple[str, str], Any], subject: str = "store many") -> None:
        """One commit."""
        repository = self._repository
        edits: dict[str, Any] = {}
        for (namespace, key), value in values.items():
            *directories, leaf = path_of(namespace, key)
            below = edits
            for directory in directories:
                below = below.setdefault(directory, {})
            below[leaf] = repository.create_blob(canonical(value))
        tip = repository.lookup_reference(BRANCH).target
        root = self._tree(repository[tip].tree, edits)
        signature = self._pygit2.Signature(*AUTHOR)
        message = f"{subject}\n\nAgent: {AUTHOR[0]}\n"
        repository.create_commit(BRANCH, signature, signature, message, root, [tip])

    def _tree(self, old: Any, edits: Mapping[str, Any]) -> Any:
        builder = self._repository.TreeBuilder(old) if old is not None else self._repository.TreeBuilder()
        for name, edit in edits.items():
            if isinstance(edit, dict):
                below = old[name] if old is not None and name in old else None
                builder.insert(name, self._tree(below, edit), TREE)
            else:
                builder.insert(name, edit, BLOB)
        return builder.write()


class Plumbing:
    """git's plumbing, a process a step; its index is kept from store to store, which spares `read-tree`."""

    def __init__(self, git_dir: Path) -> None:
        name, email = AUTHOR
        signed = {f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER")
                  for what, text in (("NAME", name), ("EMAIL", email))}  # fmt: skip
        self._environment = {**os.environ, **signed, "GIT_DIR": str(git_dir), "GIT_INDEX_FILE": str(git_dir / "index")}
        self._git("config", "core.fsync", "none")
        self._git("read-tree", BRANCH)

    def store(self, namespace: str, key: str, value: Any) -> None:
        blob = self._git("hash-object", "-w", "--stdin", given=canonical(value))
        path = "/".join(path_of(namespace, key))
        self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        root = self._git("write-tree")
        tip = self._git("rev-parse", BRANCH)
        message = f"store {namespace} {key}\n\nAgent: {AUTHOR[0]}\n".encode()
        commit = self._git("commit-tree", root, "-p", tip, given=message)
        self._git("update-ref", BRANCH, commit, tip)

    def _git(self, *arguments: str, given: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments], input=given, stdout=subprocess.PIPE, env=self._environment, check=True
        )
        return done.stdout.decode().strip()


class Sqlite:
    """One table in a file, with an index over namespace and key; values as compact JSON text."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        self._db.execute("create table if not exists memory (namespace text, key text, value text)")
        self._db.execute("create unique index if not exists by_key on memory (namespace, key)")

    def fill(self, values: Iterable[tuple[str, str, Any]]) -> None:
        rows = ((namespace, key, json.dumps(value)) for namespace, key, value in values)
        self._db.executemany("insert into memory values (?, ?, ?)", rows)
        self._db.commit()
        self._db.execute("analyze")

    def retrieve(self, namespace: str, key: str) -> Any:
        query = "select value from memory where namespace = ? and key = ?"
        return json.loads(self._db.execute(query, (namespace, key)).fetchone()[0])

    def list(self, namespace: str) -> list[str]:
        query = "select key from memory where namespace = ? order by key"
        return [key for (key,) in self._db.execute(query, (namespace,))]

    def search_keys(self, namespace: str, glob: str) -> list[str]:
        query = "select key from memory where namespace = ? and key glob ? order by key"
        return [key for (key,) in self._db.execute(query, (namespace, glob))]

    def search(self, namespace: str, glob: str, limit: int) -> list[tuple[str, Any]]:
        query = "select key, value from memory where namespace = ? and key glob ? order by key limit ?"
        return [(key, json.loads(value)) for key, value in self._db.execute(query, (namespace, glob, limit))]

    def close(self) -> None:
        self._db.close()


class GitLog:
    """`git log -- path`, with a commit-graph and its filters of changed paths."""

    def __init__(self, git_dir: Path) -> None:
        self._git_dir = git_dir
        self._git("commit-graph", "write", "--reachable", "--changed-paths")

    def history(self, namespace: str, key: str) -> list[str]:
        return self._git("log", "--format=%H", BRANCH, "--", "/".join(path_of(namespace, key))).split()

    def _git(self, *arguments: str) -> str:
        command = ["git", f"--git-dir={self._git_dir}", *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True).stdout
