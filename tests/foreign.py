"""Commits by plain git, as another tool or a person makes them: nothing here knows gitmem's rules."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

File = tuple[str, bytes]
"""A mode, and what lies there: of a gitlink the commit's id."""
EXECUTABLE, SYMLINK, GITLINK = "100755", "120000", "160000"
STRANGER = ["-c", "user.name=stranger", "-c", "user.email=stranger@example.org"]


def run_git(folder: Path | str, *arguments: str, given: bytes = b"") -> str:
    """The real program, as a stranger would run it; its output. AssertionError if it fails."""
    command = ["git", "-C", str(folder), *STRANGER, *arguments]
    environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(command, input=given, capture_output=True, env=environment)
    said = (done.stderr + done.stdout[-500:]).decode(errors="replace")
    assert done.returncode == 0, f"git {' '.join(arguments)}: {said}"
    return done.stdout.decode("utf-8", "surrogateescape")


def commit_files(
    folder: Path | str,
    files: Mapping[str, bytes | File | None],
    *,
    message: str = "by hand",
    time: int = 1_767_225_700,
    branch: str = "main",
) -> str:
    """Put files on top of a branch (None: remove the file or folder); the new commit's id."""
    ref = f"refs/heads/{branch}"
    head = f"commit {ref}\ncommitter hand <h@example.org> {time} +0000\ndata {len(message)}\n{message}\n"
    parts = [head.encode(), b"from " + run_git(folder, "rev-parse", ref).encode()]
    for path, content in files.items():
        name = json.dumps(path, ensure_ascii=False)
        mode, body = content if isinstance(content, tuple) else ("100644", content)
        if body is None:
            parts.append(f"D {name}\n".encode())
        elif mode == GITLINK:
            parts.append(f"M {mode} {body.decode()} {name}\n".encode())
        else:
            parts.append(f"M {mode} inline {name}\ndata {len(body)}\n".encode() + body + b"\n")
    run_git(folder, "fast-import", "--quiet", given=b"".join(parts))
    return run_git(folder, "rev-parse", ref).strip()


def paths_of(folder: Path | str, revision: str = "main") -> dict[str, str]:
    """Every path of a revision and the id of its blob."""
    listing = run_git(folder, "ls-tree", "-r", "-z", revision).split("\0")[:-1]
    return {line.split("\t", 1)[1]: line.split("\t", 1)[0].split(" ")[2] for line in listing}
