"""The commands that keep a memory healthy: gc, doctor.

Knows how their reports are printed; what is swept, packed, checked and mended is decided by `maintenance`.
Law: nothing is reported as done that was not done, and what only a person can judge is asked.
"""

from __future__ import annotations

import click

from gitmem.cli.command import Place, verb
from gitmem.cli.opening import writing
from gitmem.cli.output import counted, line, paint, write, write_json

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


@verb("gc")
@click.option("--full", is_flag=True, help="Pack everything anew into one pack: smaller, and slower to make.")
@click.option("--auto", is_flag=True, help="Pack only if it is due: what gitmem starts by itself.")
def gc(place: Place, as_json: bool, full: bool, auto: bool) -> None:
    """Delete what has expired, and pack the repository.

    Others may read and write meanwhile. It also starts by itself when there is much to pack.
    """
    memory = writing(place, create=False, signs=False)
    from gitmem.maintenance import sweep

    swept = sweep(memory)
    report = memory.gc(full=full, auto=auto)
    if as_json:
        write_json({"expired": [one.to_json() for one in swept], **report._asdict()})
        return
    write(f"{counted(len(swept), 'expired key')} deleted")
    write(f"{counted(report.packed, 'loose object')} packed, {report.loose_after} left; "
          f"packs: {report.packs_before} before, {report.packs_after} now")  # fmt: skip
    if report.damaged:
        write(f"{counted(report.damaged, 'loose object')} could not be read: `gitmem doctor` tells more")
    if report.trouble:
        write(f"on the way: {line(report.trouble)}")


@verb("doctor")
@click.option("--repair", is_flag=True, help="Mend what can be mended, and say what was done.")
@click.option("--yes", is_flag=True, help="Answer yes to every question of --repair.")
@click.pass_context
def doctor(ctx: click.Context, place: Place, as_json: bool, repair: bool, yes: bool) -> None:
    """Check the memory, and mend it with --repair.

    Objects, paths, values, index, locks and half-written files. Exits with 1 while there are errors.
    """
    from gitmem.maintenance import doctor as examine
    from gitmem.place import locate

    def agreed(question: str) -> bool:
        return yes or click.confirm(line(question), err=True)

    report = examine(locate(place.store), repair=repair, confirm=agreed)
    if as_json:
        write_json(report.to_json())
    else:
        for finding in report.findings:
            word = "repaired" if finding.repaired else "hint"
            write(f"{paint(finding.severity, _COLOURS[finding.severity])}: {line(finding.message)}")
            for each in finding.hint.splitlines():
                write(f"  {word}: {line(each)}")
        write("the memory is healthy" if report.ok else "the memory is damaged")
    ctx.exit(0 if report.ok else 1)
