"""The command run: a plan's agents, each as soon as its keys are there; and what there is to know about a run.

Knows what is typed and what is printed; how a run goes on is `workflow`'s, how it is followed is `driving`'s.
Law: the exit code says how a run ended; without --resume a plan begins anew, and with --dry-run or --graph nothing
begins at all.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitmem.cli.command import Place, verb
from gitmem.cli.failures import INTERRUPTED, Misused
from gitmem.cli.needs import tell_needs
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import colourful, counted, hint, line, note, paint, shown, write, write_json, write_table
from gitmem.errors import InvalidPlanError, NotAMemoryError, UnknownRevisionError, typed

if TYPE_CHECKING:
    from gitmem.cli.progress import Silence
    from gitmem.memory import Memory
    from gitmem.workflow.outcome import Outcome, Progress
    from gitmem.workflow.parts import Plan, Task
    from gitmem.workflow.runner import Runner

EXIT_CODES = {"done": 0, "failed": 1, "rejected": 6, "timed out": 5, "interrupted": INTERRUPTED}
_ALONE = ("dry_run", "graph", "verify", "logs", "resume")
_MOST_NAMED = 3
_LINE = re.compile(r"line (\d+): ")


@verb("run")
@click.argument("plan", required=False, metavar="PLAN.toml")
@click.option("--dry-run", is_flag=True, help="Start nothing: show in which order the tasks can start, and which "
              "together.")  # fmt: skip
@click.option("--graph", type=click.Choice(["mermaid", "svg"]), help="Start nothing: draw the plan.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), metavar="N", help="So many tasks at the same time; what the "
              "plan says, else 16.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End the run if it "
              "takes longer (exit 5).")  # fmt: skip
@click.option("--resume", metavar="SESSION", help="Go on with a run: what is done stays done.")
@click.option("--verify", metavar="SESSION", help="Prove from the history that no task of a run began too early; exits "
              "with 1 if one did.")  # fmt: skip
@click.option("--logs", metavar="SESSION", help="Show what the task named instead of a plan has printed; without one, "
              "list the logs.")  # fmt: skip
@click.pass_context
def run(ctx: click.Context, /, place: Place, as_json: bool, plan: str | None, **asked: Any) -> None:
    """Start a plan's agents, each as soon as what it needs is there.

    PLAN.toml names agents (any commands), tasks with the keys they wait for and store, and gates. Each task is one
    process, in the plan's folder, with GITMEM_STORE, GITMEM_NAMESPACE, GITMEM_AGENT, GITMEM_SESSION and GITMEM_TASK
    set. The run belongs to the session that is named, or active; else, or if that one had a run before, to one of its
    own. Keys and states, and the keys that come from outside (`given`), lie in the plan's namespace: `coordination`
    unless it names another. On a terminal a gate is asked in place; elsewhere `gitmem gate review` decides.

    Exits with 0 if every task is done, 1 if one failed, 6 if a gate was rejected, 5 if time was up, 130 after Ctrl-C.
    A run that ended early goes on with --resume, by the plan that it began with. `last` is the session of the run that
    was at work last.
    """
    chosen = [name for name in _ALONE if asked[name]]
    if len(chosen) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in chosen)
        raise Misused(f"{names} do not go together")
    if not chosen or chosen[0] in ("dry_run", "graph"):
        if plan is None:
            raise Misused("no plan is named", hint="`gitmem run PLAN.toml --dry-run` shows what a plan would do")
        path = _plan_file(plan)
        made = _parsed(path)
        if asked["dry_run"]:
            _tell_order(made, as_json)
            tell_needs(_memory_if_any(place), made, path.parent)
        elif asked["graph"]:
            _tell_graph(made, asked["graph"], as_json)
        else:
            ctx.exit(_run(place, as_json, asked, made, path.parent))
    elif asked["resume"]:
        ctx.exit(_resume(place, as_json, asked, plan))
    elif asked["verify"]:
        ctx.exit(_verify(place, as_json, asked["verify"], plan))
    else:
        _logs(place, as_json, asked["logs"], plan)


# --- the plan


def _plan_file(plan: str) -> Path:
    path = Path(plan)
    return path / "plan.toml" if path.is_dir() else path


def _parsed(path: Path) -> Plan:
    """The plan in a file. Each problem is told on a line of its own, as compilers do."""
    from gitmem import toml
    from gitmem.workflow.plan import parse_plan

    try:
        return parse_plan(toml.decode(path.read_bytes()))
    except toml.Malformed as error:
        problems = [f"line {error.line}: {error.reason}"]
    except InvalidPlanError as error:
        problems = error.problems
    for problem in problems:
        at = _LINE.match(problem)
        note(f"{path}:{at[1]}: {problem[at.end() :]}" if at else f"{path}: {problem}")
    many = counted(len(problems), "problem")
    raise InvalidPlanError(f"{path} has {many}", hint="nothing was started", problems=problems)


def _tell_order(plan: Plan, as_json: bool) -> None:
    from gitmem.workflow.plan import stages

    found = stages(plan)
    if as_json:
        write_json({"plan": plan.to_json(), "stages": found})
        return
    tasks, many = counted(len(plan.tasks), "task"), counted(len(found), "stage")
    write(paint(f"{line(plan.name)}: {tasks} in {many}, namespace {line(plan.namespace)}", "yellow"))
    rows = [(str(number), *_order_row(plan.task(name))) for number, stage in enumerate(found, 1) for name in stage]
    write_table(rows, ["yellow", "cyan"])
    for gate in plan.gates:
        shows = f"shows {', '.join(gate.shows)}" if gate.shows else "shows nothing"
        write(line(f"gate {gate.name}: {shows}; {' or '.join(gate.deciders) or 'anybody'} decides"))


def _order_row(task: Task) -> tuple[str, ...]:
    """Name, agent, what it waits for, what it writes."""
    wants = [want.key + (f" ({want.until})" if want.until else "") for want in task.waits.wants]
    awaited = (" or " if task.waits.how == "any" else ", ").join(wants)
    gates = [f"gate {key.removeprefix('checkpoint/gates/')}" for key in task.gates]
    return task.name, task.agent, ", ".join(filter(None, [awaited, *gates])) or "-", ", ".join(task.writes) or "-"


def _tell_graph(plan: Plan, kind: str, as_json: bool) -> None:
    from gitmem.workflow import graph

    text = graph.svg(plan) if kind == "svg" else graph.mermaid(plan)
    write_json({"format": kind, "graph": text}) if as_json else write(shown(text.rstrip("\n")))


def _memory_if_any(place: Place) -> Memory | None:
    try:
        return reading(place)
    except NotAMemoryError:
        return None


# --- a run


def _run(place: Place, as_json: bool, asked: dict[str, Any], plan: Plan, folder: Path) -> int:
    from gitmem.workflow.runner import Runner

    if place.only not in (None, plan.namespace):
        said = f"the plan lies in the namespace {plan.namespace}, not in {place.only}"
        raise Misused(said, hint=f'write namespace = "{place.only}" in the plan')
    memory = writing(place)
    tell_needs(memory, plan, folder)

    def make(tell: Callable[[Progress], None]) -> Runner:
        return Runner(memory, plan, folder, jobs=asked["jobs"], timeout=asked["timeout"], on_event=tell)

    return _drive(memory, make, as_json, wanted=memory.session)


def _resume(place: Place, as_json: bool, asked: dict[str, Any], plan: str | None) -> int:
    from gitmem.workflow.runner import resume

    memory = writing(place, create=False)
    session = _session(memory, asked["resume"])
    folder = None if plan is None else _folder_of(memory, session, plan)

    def make(tell: Callable[[Progress], None]) -> Runner:
        return resume(memory, session, folder, jobs=asked["jobs"], timeout=asked["timeout"], on_event=tell)

    return _drive(memory, make, as_json)


def _folder_of(memory: Memory, session: str, plan: str) -> Path:
    """Where the agents go on, if that is the plan that the run began with: it would not do what was changed since."""
    from gitmem.workflow.record import plan_of

    path = _plan_file(plan)
    if (path.is_file() or not Path(plan).is_dir()) and _parsed(path) != plan_of(memory, session)[0]:
        said = f"{path} is not what {session} began with, and a run goes on with its own plan"
        more = f"`gitmem run {typed(plan)}` begins anew; `gitmem run --resume {typed(session)}` goes on"
        raise Misused(said, hint=more)
    return path.parent


def _drive(
    memory: Memory, make: Callable[[Callable[[Progress], None]], Runner], as_json: bool, *, wanted: str | None = None
) -> int:
    from gitmem.cli.driving import Drive, asker
    from gitmem.cli.review import is_asked_here

    drive = Drive(make)
    plan = drive.runner.plan
    mine = [gate for gate in plan.gates if plan.may_decide(gate, memory.agent)]
    asked_here = {gate.name: gate.key for gate in mine} if not as_json and is_asked_here() else {}
    ways = {gate.name: _way(plan, gate.name) for gate in mine}
    outcome = drive.run(_teller(as_json, ways), asker(memory, asked_here, plan.namespace), asked_here)
    if wanted not in (None, outcome.session):
        note(f"the run belongs to a session of its own, {outcome.session}: {wanted} cannot have it, or had one before")
    write_json(outcome.to_json()) if as_json else _tell_outcome(plan, outcome)
    return EXIT_CODES[outcome.verdict]


def _way(plan: Plan, gate: str) -> str:
    """How a person decides at a gate."""
    return f"gitmem gate review {typed(gate)}{_space(plan)}"


def _space(plan: Plan) -> str:
    """The option that names the plan's namespace, where gates are not looked for anyway."""
    from gitmem.keys import COORDINATION

    return "" if plan.namespace == COORDINATION else f" -n {typed(plan.namespace)}"


def _teller(as_json: bool, ways: dict[str, str]) -> Silence:
    from gitmem.cli.progress import Lines, LiveTable, Silence

    return Silence() if as_json else LiveTable(ways) if colourful() else Lines(ways)


def _tell_outcome(plan: Plan, outcome: Outcome) -> None:
    """One line, and what to do next where it ended badly."""
    name, session = line(plan.name), line(outcome.session)
    if outcome.verdict == "done":
        write(paint(f"{name} is done: {counted(len(outcome.tasks), 'task')} ({session})", "green"))
        hint(f"`gitmem run --verify {session}` proves that no task began too early")
        return
    bad = [one for one in outcome.tasks if one.state == "failed"] or [
        one for one in outcome.tasks if one.state == "stopped"
    ]
    told = "; ".join(line(f"{one.name} {one.state}: {one.reason}") for one in bad[:_MOST_NAMED])
    more = f"; and {len(bad) - _MOST_NAMED} more" if len(bad) > _MOST_NAMED else ""
    word = {"rejected": "was stopped at a gate", "timed out": "timed out", "interrupted": "was interrupted"}
    ended = word.get(outcome.verdict, "failed")
    write(paint(f"{name} {ended} ({session}){': ' + told if told else ''}{more}", "red"))
    for one in [one for one in bad if one.attempt][:1]:
        hint(f"`gitmem run --logs {typed(outcome.session)} {typed(one.name)}` shows what it printed")
    refused = [gate.name for gate in outcome.gates if gate.state == "rejected"]
    first = f"`gitmem gate resubmit {typed(refused[0])}{_space(plan)}`, then " if refused else ""
    hint(f"{first}`gitmem run --resume {typed(outcome.session)}` goes on; what is done stays done")


# --- about a run


def _session(memory: Memory, named: str) -> str:
    """The session that was named; for `last` that of the run which was at work last."""
    if named != "last":
        return named
    from gitmem.workflow.facts import SESSIONS, phase_key

    phases = memory.search(phase_key("*"), namespace=SESSIONS)
    newest = max(phases, key=lambda phase: (phase.time, phase.key), default=None)
    return named if newest is None else newest.key.split("/")[1]


def _verify(place: Place, as_json: bool, session: str, plan: str | None) -> int:
    from gitmem.workflow.verify import verify

    if plan is not None:
        raise Misused(f"--verify needs no plan: the history has it, {plan!r} is too much")
    memory = reading(place)
    session = _session(memory, session)
    found = verify(memory, session)
    if as_json:
        write_json([one.to_json() for one in found])
    for one in [] if as_json else found:
        where = f" ({one.revision[:12]})" if one.revision else ""
        write(f"{paint(line(one.task or 'the run itself'), 'red')}: {line(one.problem)}{where}")
    if not as_json and not found:
        write(f"{line(session)}: everything that a task waits for was committed before it started")
    return 1 if found else 0


def _logs(place: Place, as_json: bool, session: str, task: str | None) -> None:
    from gitmem.workflow import logs
    from gitmem.workflow.record import plan_of

    memory = reading(place)
    session = _session(memory, session)
    if task is None:
        plan, _ = plan_of(memory, session)
        found = {one.name: path for one in plan.tasks if (path := _log_path(memory, session, one.name))}
        write_json(found) if as_json else write_table(list(found.items()), ["cyan"])
        if not found:
            hint("no task was started on this machine: logs stay where a run was")
        return
    try:
        printed = _text(logs.follow(memory, session, task, ended=lambda: True))
        if as_json:
            write_json({"session": session, "task": task, "log": "".join(printed)})
        for text in printed:  # an agent may have printed more than fits into this machine
            click.echo(shown(text), nl=False, color=True)
    except UnknownRevisionError as error:
        error.hint = _meant(memory, session, task) or error.hint
        raise


def _text(pieces: Iterator[bytes]) -> Iterator[str]:
    """What was printed, whatever it was, piece by piece."""
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    yield from map(decoder.decode, pieces)
    yield decoder.decode(b"", final=True)


def _meant(memory: Memory, session: str, task: str) -> str:
    """Which tasks the run has, where it has none of this name."""
    from gitmem.workflow.reading import near
    from gitmem.workflow.record import plan_of

    try:
        names = [one.name for one in plan_of(memory, session)[0].tasks]
    except UnknownRevisionError:
        return ""
    other = near(task, names) or f": it has {', '.join(names)}"
    return "" if task in names else f"{session} has no task {task!r}{other}"


def _log_path(memory: Memory, session: str, task: str) -> str:
    """Where a log lies; "" for a task that was not started here."""
    from gitmem.workflow.logs import log_path

    try:
        return str(log_path(memory, session, task))
    except UnknownRevisionError:
        return ""
