"""Commits by plain git, as another tool or a person makes them: nothing here knows gitmem's rules."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

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
    folder: Path | str, files: Mapping[str, bytes | None], *, message: str = "by hand", time: int = 1_767_225_700
) -> str:
    """Put files on top of `main` (None: remove the file or folder); the new commit's id."""
    head = f"commit refs/heads/main\ncommitter hand <h@example.org> {time} +0000\ndata {len(message)}\n{message}\n"
    parts = [head.encode(), b"from " + run_git(folder, "rev-parse", "main").encode()]
    for path, body in files.items():
        name = json.dumps(path, ensure_ascii=False)
        if body is None:
            parts.append(f"D {name}\n".encode())
        else:
            parts.append(f"M 100644 inline {name}\ndata {len(body)}\n".encode() + body + b"\n")
    run_git(folder, "fast-import", "--quiet", given=b"".join(parts))
    return run_git(folder, "rev-parse", "main").strip()


def paths_of(folder: Path | str) -> dict[str, str]:
    """Every path of `main` and the id of its blob."""
    listing = run_git(folder, "ls-tree", "-r", "-z", "main").split("\0")[:-1]
    return {line.split("\t", 1)[1]: line.split("\t", 1)[0].split(" ")[2] for line in listing}
