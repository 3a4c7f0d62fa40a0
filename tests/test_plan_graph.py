"""Pictures of plans: what is drawn is the plan, and no name in it is more than text."""

from __future__ import annotations

import re
import unicodedata
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from gitmem.workflow.graph import mermaid, svg
from gitmem.workflow.links import GATE, GIVEN, TASK, Links
from gitmem.workflow.parts import Agent, Plan, PlannedGate, Promise, Task, Waits, Want, gate_key
from gitmem.workflow.placing import MARGIN, Box, Placing
from gitmem.workflow.plan import parse_plan, stages
from tests.house.blueprint import TOP
from tests.plans import plans

SVG = "{http://www.w3.org/2000/svg}"


def planned(name: str) -> Plan:
    return parse_plan((TOP / "fixtures" / "plans" / name / "plan.toml").read_text("utf-8"))


def test_a_plan_is_drawn_in_mermaid_as_it_is_read() -> None:
    """Somebody looks at this in a pull request, and compares it with the plan."""
    assert mermaid(planned("handoff")) == (
        "flowchart LR\n"
        '    n0["research<br/>researcher"]\n'
        '    n1["implement<br/>backend-dev"]\n'
        '    n2["test<br/>tester"]\n'
        '    n0 -->|"handoff/step1/research-complete"| n1\n'
        '    n0 -->|"handoff/step1/research-complete"| n2\n'
        '    n1 -->|"handoff/step2/implementation-complete"| n2\n'
    )


GATED = Plan(
    "p",
    given=("given", "unused"),
    agents=(Agent("a", ("run",)),),
    tasks=(
        Task("make", "a", stores=(Promise("k"),), waits=Waits("all", (Want("given"),))),
        Task("check", "a", waits=Waits("all", (Want("k"),))),
        Task("go", "a", waits=Waits("any", (Want("k"), Want("given"))), gates=(gate_key("g"),)),
    ),
    gates=(PlannedGate("g", gate_key("g"), ("k",), ("check", "human")),),
)


def test_gates_given_keys_alternatives_and_deciders_are_drawn() -> None:
    """What looks the same in the picture is the same in the plan."""
    assert mermaid(GATED) == (
        "flowchart LR\n"
        '    n0(["given"])\n'
        '    n1["make<br/>a"]\n'
        '    n2["check<br/>a"]\n'
        '    n3["go<br/>a"]\n'
        '    n4{{"g<br/>check or human"}}\n'
        "    n0 --> n1\n"
        '    n1 -->|"k"| n2\n'
        '    n1 -.->|"k"| n3\n'
        "    n0 -.-> n3\n"
        "    n4 --> n3\n"
        '    n1 -->|"k"| n4\n'
        '    n2 -.->|"decides"| n4\n'
    )
    assert [(node.kind, node.layer) for node in Links(GATED).nodes] == [
        (GIVEN, 0), (TASK, 2), (TASK, 4), (TASK, 6), (GATE, 5),
    ]  # fmt: skip


def texts(picture: str) -> set[str]:
    """Every text of an SVG picture, tooltips among them."""
    return {text.strip() for text in ElementTree.fromstring(picture).itertext() if text.strip()}


@given(plans())
def test_a_picture_shows_every_task_and_gate_and_each_wait_that_a_task_can_meet(plan: Plan) -> None:
    """Nobody has to read the plan to know whether the picture is whole."""
    drawn = texts(svg(plan))
    assert drawn >= {*(task.name for task in plan.tasks), *(gate.name for gate in plan.gates)}
    found = Links(plan)
    arrows = {(found.nodes[link.source].name, found.nodes[link.target].name) for link in found.links}
    for first, later in zip(stages(plan), stages(plan)[1:], strict=False):
        for name in later:
            task = plan.task(name)
            if len(task.waits.wants) == 1 and not task.gates:
                assert any(target == name for _, target in arrows), (first, name)
    assert mermaid(plan).count("\n") == 1 + len(found.nodes) + len(found.links)


@given(plans())
def test_boxes_do_not_meet_and_no_arrow_runs_through_another_box(plan: Plan) -> None:
    """A line behind a box looks like two lines."""
    found = Links(plan)
    placing = Placing(found, lambda node: (100.0, 40.0 + 10 * len(node.lines)))
    for at, box in enumerate(placing.boxes):
        assert min(box.x, box.y) >= MARGIN
        assert box.x + box.width <= placing.width - MARGIN + 0.01
        assert box.y + box.height <= placing.height - MARGIN + 0.01
        assert not any(meet(box, other) for other in placing.boxes[:at])
    for link in found.links:
        way = placing.way(link)
        assert [x for x, _ in way] == sorted(x for x, _ in way)
        assert way[0] == (placing.boxes[link.source].x + 100.0, placing.boxes[link.source].middle)
        assert way[-1] == (placing.boxes[link.target].x, placing.boxes[link.target].middle)
        for (x, y), (x2, _) in zip(way[1:-1:2], way[2:-1:2], strict=True):
            assert not any(meet(Box(x, y, x2 - x, 0.1), box) for box in placing.boxes)


def meet(one: Box, other: Box) -> bool:
    apart = one.x + one.width <= other.x or other.x + other.width <= one.x
    return not (apart or one.y + one.height <= other.y or other.y + other.height <= one.y)


HOSTILE = st.text(
    st.sampled_from("</>&\"'`[]{}()|#;%-=:\\ a\n\x07\u202e\ufffe\u200b\u2028\x85界") | st.characters(), min_size=1
)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_whatever_a_name_contains_stays_text(task: str, agent: str, key: str, decider: str) -> None:
    """A key comes from whoever wrote the plan, and the picture is shown on somebody else's page."""
    plan = Plan(
        key,
        given=(key,),
        tasks=(Task(task, agent, waits=Waits("all", (Want(key),)), gates=("g",)),),
        gates=(PlannedGate(decider, "g", (key,), (decider, "human")),),
    )
    root = ElementTree.fromstring(svg(plan))
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {
        "svg", "title", "style", "defs", "marker", "path", "rect", "g", "text",
    }  # fmt: skip
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", svg(plan))
    label = r'"(?:[^\W_]|[\ufffd/._\-, ]|#\d+;|<br/>)*"'
    line = rf"    (?:n\d+(?:\[{label}\]|\(\[{label}\]\)|\{{\{{{label}\}}\}})|n\d+ -(?:-|\.-)>(?:\|{label}\|)? n\d+)"
    first, *rest, end = mermaid(plan).split("\n")
    assert (first, end) == ("flowchart LR", "")
    numbered = {unicodedata.category(chr(int(number))) for number in re.findall(r"#(\d+);", mermaid(plan))}
    assert not numbered & {"Cc", "Cf", "Cs", "Cn"}
    assert [one for one in rest if not re.fullmatch(line, one)] == []


def test_a_picture_is_readable_on_a_light_and_on_a_dark_ground_and_needs_nothing_else() -> None:
    """Each colour of the one has its counterpart in the other; nothing is fetched or run."""
    picture = svg(planned("exercise"))
    light, _, dark = picture[picture.index("<style>") : picture.index("</style>")].partition("@media")
    assert "prefers-color-scheme: dark" in dark
    for kind in ("text", ".faint", ".ground", ".task", ".gate", ".given"):
        assert re.search(rf"^{re.escape(kind)} {{.*fill: #", light, re.M), kind
        assert re.search(rf"^  {re.escape(kind)} {{ fill: #", dark, re.M), kind
    assert not re.search(r"href|script|@import|url\((?!#tip)|onload", picture)
    assert re.findall(r"https?://[^\"]*", picture) == ["http://www.w3.org/2000/svg"]


def test_a_long_name_is_cut_and_stands_whole_in_the_tooltip() -> None:
    """Nobody scrolls for a prompt's worth of key."""
    long = "a/" * 100 + "b"
    drawn = texts(svg(Plan("p", tasks=(Task("t", "a", stores=(Promise(long),)),))))
    assert f"t, a, {long}" in drawn
    assert any(text.endswith("…") and len(text) < 50 for text in drawn)
