"""gitmem's benchmarks. Needs the extra `bench` (pygit2), git, and nothing else.

    python -m tests.bench                          # everything, below /tmp; some minutes
    python -m tests.bench --folder /dev/shm        # on another file system; repeat it for several
    python -m tests.bench --only store-fast        # the row or rows that make this line (also: store, cold, history …)
    python -m tests.bench --quick                  # smaller and rougher; not kept

Every figure is a ratio to a peer that does the same work in the same run, in turns with gitmem, on the same file
system: the median over several rounds, and in brackets the least and the greatest round. Times are shown to give
an idea; they are of one machine and one minute. A line that is met (or missed) "not in every round" is as good as
the machine was quiet. The last result of each line is kept in `results.md` and `results.json` beside this file.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import crowds, finding, merges, patterns, reads, receipts, runs, sessions, waiting, writes
from tests.bench.ground import Ground
from tests.bench.measure import Figure
from tests.bench.results import keep, table

ROWS: dict[str, Callable[[Ground], Iterator[Figure]]] = {
    "store-fast": writes.store_fast,
    "store-sync": writes.store_sync,
    "store-plumbing": writes.store_plumbing,
    "store-flat": writes.store_flat,
    "transaction": writes.transaction,
    "retrieve": reads.retrieve,
    "retrieve-audited": receipts.audited,
    "cold": reads.cold,
    "search": reads.search,
    "find": finding.find,
    "recall": patterns.recall,
    "history": reads.history,
    "undo": sessions.undo,
    "compare": sessions.compared,
    "merge-document": merges.document,
    "merge-trees": merges.trees,
    "sync-idle": merges.idle,
    "import": crowds.big_import,
    "eight": crowds.eight,
    "wait": waiting.latency,
    "wait-idle": waiting.idle,
    "wait-thousand": waiting.thousand,
    "run-chain": runs.chain,
    "run-fanout": runs.fan_out,
}


def figures(name: str, folder: Path, *, quick: bool) -> list[Figure]:
    """The lines of one row, measured in a new folder below `folder`, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gitmem-bench-", dir=folder, ignore_cleanup_errors=True) as place:
        return list(ROWS[name](Ground(Path(place), quick=quick)))


def main() -> int:
    """Measure, print, keep."""
    arguments = _arguments()
    names = [name for name in ROWS if not arguments.only or any(name.startswith(one) for one in arguments.only)]
    if not names:
        print(f"no row is called so; there are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    for folder in arguments.folder or [Path(tempfile.gettempdir())]:
        system = _file_system(folder)
        print(f"\n{folder} ({system}), {platform.python_implementation()} {platform.python_version()}\n")
        found: list[Figure] = []
        for name in names:
            print(f"… {name}", file=sys.stderr, flush=True)
            found += figures(name, folder, quick=arguments.quick)
        print("\n".join(table(found)), flush=True)
        if not arguments.quick:
            keep(system, found)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="a row, or how several begin")
    parser.add_argument("--folder", action="append", type=Path, help="where to build; several, if repeated")
    parser.add_argument("--quick", action="store_true", help="smaller and rougher; the result is not kept")
    return parser.parse_args()


def _file_system(folder: Path) -> str:
    if shutil.which("stat") is None:
        return str(folder)
    shown = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True)
    return shown.stdout.strip() or str(folder)


if __name__ == "__main__":
    sys.exit(main())
