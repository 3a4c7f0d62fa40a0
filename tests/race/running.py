"""A runner in a process of its own: `python running.py STORE FOLDER PLAN.json [SESSION]`.

Says `session ID` when it has begun, then each thing that its run tells, one line each, and at the end `outcome VERDICT`
or `refused MESSAGE`. SIGINT stops it, as the command line does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from gitmem import ConflictError, Memory
from gitmem.workflow.outcome import Progress
from gitmem.workflow.parts import Plan
from gitmem.workflow.runner import Runner, resume


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def main(store: str, folder: str, plan: str, session: str = "") -> None:
    said: list[str] = []

    def tell(progress: Progress) -> None:
        if not said:
            said.append(str(runner.session))
            say(f"session {runner.session}")
        say(f"{progress.name} {progress.state} {progress.attempt}")

    with Memory.open(store) as memory:
        if session:
            runner = resume(memory, session, on_event=tell, grace=0.5)
        else:
            made = Plan.from_json(json.loads(Path(plan).read_text("utf-8")))
            runner = Runner(memory, made, folder, on_event=tell, grace=0.5)
        signal.signal(signal.SIGINT, lambda *_: runner.stop())
        try:
            say(f"outcome {runner.run().verdict}")
        except ConflictError as error:
            say(f"refused {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
