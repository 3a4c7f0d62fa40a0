"""The form of a plan: its tables, their settings, and what each of them has to be.

Knows what may be written where; does not know whether the parts fit together.
Law: what `plan_in` gives is made of legal keys, names, conditions and schemas alone, wherever it is not told otherwise.
"""

from __future__ import annotations

from typing import Any

from gitmem import toml
from gitmem.errors import GitmemError
from gitmem.keys import CONFLICTS, check_key, check_namespace
from gitmem.provenance import check_name
from gitmem.workflow.parts import (
    HUMAN,
    NAMESPACE,
    RUNNER,
    Agent,
    Plan,
    PlannedGate,
    Promise,
    Task,
    Waits,
    Want,
    gate_key,
    holes,
)
from gitmem.workflow.reading import Draft, Form, checked, count, each, near, seconds, tables, text

_FILLED = ("prompt", "task", "agent")
_BRACES = "{prompt}, {task} and {agent} are filled in; a brace itself is written twice: {{ and }}"


def plan_in(draft: Draft) -> Plan:
    """The plan, as far as it can be read; `draft` has the problems."""
    read = draft.table((), draft.document, _PLAN, "a plan")
    return Plan(**{"name": "", **{_FIELD.get(name, name): part for name, part in read.items()}})


# --- agents


def _agents(draft: Draft, place: toml.Place, value: Any) -> tuple[Agent, ...]:
    if not isinstance(value, dict) or not all(isinstance(row, dict) for row in value.values()):
        draft.wrong('agents are tables: [agents.NAME] and below it command = ["program", "{prompt}"]', *place)
        return ()
    made = []
    for name, row in value.items():
        try:
            _check_agent(name)
        except GitmemError as error:
            draft.wrong(error.message, *place, name)
        read = draft.table((*place, name), row, _AGENT, f"agent {name!r}")
        made.append(Agent(name, read.get("command", ())))
    return tuple(made)


def _command(draft: Draft, place: toml.Place, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        words = ", ".join(f'"{word}"' for word in value.split())
        draft.wrong(f"command has to be a list of words, which no shell reads: command = [{words}]", *place)
        return ()
    words = each(_word, '"program", "{prompt}"')(draft, place, value)
    if isinstance(value, list) and (not value or value[0] == ""):
        draft.wrong("command needs a program as its first word", *place)
    return tuple(words)


def _word(draft: Draft, place: toml.Place, value: Any) -> str | None:
    word = text(draft, place, value)
    for name in dict.fromkeys(holes(word or "")):
        if name not in _FILLED:
            said = f"nothing fills in {{{name}}}{near(name, _FILLED)}" if name else "a brace stands alone"
            draft.wrong(f"command: {said} ({_BRACES})", *place)
    return word


# --- tasks


def _waits(draft: Draft, place: toml.Place, value: Any) -> Waits:
    if not isinstance(value, dict):
        return Waits("all", _WANTS(draft, place, value))
    if len(value) != 1 or next(iter(value)) not in ("all", "any"):
        example = 'waits_for = ["key", {key = "key", until = "state == \'done\'"}], or {any = ["key", "key"]}'
        draft.wrong(f"waits_for has to be a list of keys, or a table with all or any alone: {example}", *place)
        return Waits()
    how, wants = next(iter(value.items()))
    return Waits(how, _WANTS(draft, (*place, how), wants))


def _want(draft: Draft, place: toml.Place, value: Any) -> Want | None:
    if not isinstance(value, dict):
        key = _key(draft, place, value)
        return None if key is None else Want(key)
    if "any" in value or "all" in value:
        draft.wrong('any and all stand alone, not in a list: waits_for = {any = ["key", "key"]}', *place)
        return None
    read = draft.table(place, value, _WANT, "what a task waits for")
    return Want(read["key"], read.get("until")) if "key" in read else None


def _promise(draft: Draft, place: toml.Place, value: Any) -> Promise | None:
    if not isinstance(value, dict):
        key = _key(draft, place, value)
        return None if key is None else Promise(key)
    read = draft.table(place, value, _PROMISE, "a promise")
    return Promise(**read) if "key" in read else None


def _task(draft: Draft, at: int, read: dict[str, Any]) -> Task:
    draft.places["agent", at] = ("task", at, "agent")
    named = {_FIELD.get(name, name): part for name, part in read.items()}
    return Task(**{"name": "", "agent": "", **named})


def _gate(draft: Draft, at: int, read: dict[str, Any]) -> PlannedGate:
    name = read.pop("name", "")
    return PlannedGate(name, gate_key(name), **read)


def _gate_name(draft: Draft, place: toml.Place, value: Any) -> str | None:
    name: str | None = checked(_check_gate)(draft, place, value)
    return name


def _full_gate(draft: Draft, place: toml.Place, value: Any) -> str | None:
    name = _gate_name(draft, place, value)
    return None if name is None else gate_key(name)


# --- what texts have to be


def _check_gate(name: str) -> None:
    check_key(gate_key(name) if name else name)


def _check_until(text: str) -> None:
    from gitmem.watch.waiting import holds

    holds(text)


def _check_schema(text: str) -> None:
    from gitmem.contracts import check_schema

    check_schema(text)


def _check_field(text: str) -> None:
    from gitmem.recipes.handoff import lacks

    lacks({}, [text])


def _check_agent(name: str) -> None:
    check_name(name, kind="agent's name")


def _check_plan_name(name: str) -> None:
    check_name(name, kind="plan's name")


def _task_name(draft: Draft, place: toml.Place, value: Any) -> str | None:
    """A task is an agent, and its name a part of a key: swarm/NAME/status."""
    name: str | None = _agent_name(draft, place, value)
    if name is None:
        return None
    if name in (HUMAN, RUNNER):
        draft.wrong(f"a task cannot be called {name!r}: that is somebody else's name", *place)
    elif "/" in name or name in (".", ".."):
        more = "contains a slash" if "/" in name else "means a folder"
        draft.wrong(f"name {name!r} {more}: a task's name is one part of the key swarm/NAME/status", *place)
    else:
        _key(draft, place, f"swarm/{name}/status")
    return name


def _namespace(draft: Draft, place: toml.Place, value: Any) -> str | None:
    name: str | None = checked(check_namespace)(draft, place, value)
    if name == CONFLICTS:
        draft.wrong(f"namespace {name!r} is written by gitmem alone; without a namespace it is {NAMESPACE}", *place)
    return name


_key = checked(check_key)
_agent_name = checked(_check_agent)
_WANTS = each(_want, '"key"', "wants")
_KEY_EXAMPLE = '"handoff/step1/research-complete"'

# --- the forms

_FIELD = {"task": "tasks", "gate": "gates", "waits_for": "waits"}  # setting -> what it is called in the values
_WANT = Form({"key": _key, "until": checked(_check_until)}, {"key": f"key = {_KEY_EXAMPLE}"})
_PROMISE = Form(
    {"key": _key, "requires": each(checked(_check_field), '"libraries"'), "schema": checked(_check_schema)},
    {"key": f"key = {_KEY_EXAMPLE}"},
)
_AGENT = Form({"command": _command}, {"command": 'command = ["program", "{prompt}"]'})
_TASK = Form(
    {
        "name": _task_name,
        "agent": text,
        "prompt": text,
        "waits_for": _waits,
        "gates": each(_full_gate, '"planning"', "gates"),
        "stores": each(_promise, _KEY_EXAMPLE, "stores"),
        "changes": each(_key, '"shared/project-state"', "changes"),
        "timeout": seconds,
        "retries": count(0),
    },
    {"name": 'name = "research"', "agent": "the NAME of an [agents.NAME]"},
)
_GATE = Form(
    {
        "name": _gate_name,
        "shows": each(_key, _KEY_EXAMPLE, "shows"),
        "deciders": each(_agent_name, '"human"', "deciders"),
    },
    {"name": 'name = "planning"'},
)
_PLAN = Form(
    {
        "name": checked(_check_plan_name),
        "namespace": _namespace,
        "given": each(_key, '"project/requirements"', "given"),
        "agents": _agents,
        "task": tables(_TASK, _task, "task"),
        "gate": tables(_GATE, _gate, "gate"),
        "parallel": count(1),
    },
    {"name": 'name = "login"', "task": "each begins with [[task]]"},
)
