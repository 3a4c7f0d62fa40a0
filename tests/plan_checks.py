"""What each plan of fixtures/plans promises, key by key, counted again from the source by `third_count`.

Knows nothing of how a plan is run. A check gets the memory after a run, and the package that was analysed.
"""

from __future__ import annotations

import dis
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import CodeType
from typing import Any

from gitmem import Memory
from tests import third_count
from tests.teams import APPROVED, PLANS


def figures_of(package: str) -> dict[str, dict[str, Any]]:
    """Every module's figures, by the third count."""
    return {module: third_count.figures(package, module) for module in third_count.files(package)}


def names_of(package: str, module: str) -> dict[str, dict[str, Any]]:
    """A module's public names, by the third count."""
    return third_count.names(third_count.files(package)[module])


def public(package: str) -> list[str]:
    """The modules that others may import."""
    return [module for module in third_count.files(package) if third_count.is_public(module)]


def check_handoff(memory: Memory, package: str) -> None:
    research = memory.retrieve("handoff/step1/research-complete")
    built = memory.retrieve("handoff/step2/implementation-complete")
    tested = memory.retrieve("handoff/step3/testing-complete")
    names = {module: names_of(package, module) for module in public(package)}
    said = {module: sum(one["said"] for one in found.values()) for module, found in names.items()}
    chosen = [module for module in names if said[module] and 2 * said[module] >= len(names[module])]
    assert research["recommended_approach"]["modules"] == chosen
    risks = [(one["module"], one["line"], one["call"]) for one in research["security_considerations"]]
    assert risks == third_count.risks(package)
    assert {name for names in research["libraries"].values() for name in names} == third_count.libraries(package)
    assert built["endpoints"] == ["modules", "names", "describe", "search"]
    assert built["request_formats"]["describe"] == {"module": "str", "name": "str"}
    table = json.loads(built["files"]["directory.json"])
    assert places(table) == places({module: names[module] for module in chosen})
    assert len(tested["test_cases"]) == 8
    assert len(tested["edge_cases_covered"]) == 4
    assert tested["coverage_percent"] == 100
    assert run_again({**built["files"], **tested["files"]}) == (set(tested["test_cases"]), 100)


def run_again(files: dict[str, str]) -> tuple[set[str], float]:
    """The kept tests, run again by unittest: which passed, and the coverage of `directory.py` as they left it."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text, "utf-8")
        path = os.pathsep.join([str(PLANS / "agents"), os.environ.get("PYTHONPATH", "")])
        words = [sys.executable, "-m", "unittest", "-v", "test_directory"]
        done = subprocess.run(words, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
        coverage = json.loads(Path(folder, "coverage.json").read_text())
    return set(re.findall(r"^(test_\w+) .*ok$", done.stderr, re.M)), 100 * coverage["ran"] / coverage["lines"]


def places(found: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, tuple[int, int]]]:
    """Module -> name -> line and length."""
    return {
        module: {name: (one["line"], one["length"]) for name, one in names.items()} for module, names in found.items()
    }


def check_fanout(memory: Memory, package: str) -> None:
    keys = [f"fanout/workers/{name}-service-complete" for name in ("user", "product", "order")]
    check_services(memory, package, "fanout/architecture/spec", keys, "fanout/integration/complete")


def check_services(memory: Memory, package: str, spec_key: str, service_keys: list[str], done_key: str) -> None:
    spec, integration = memory.retrieve(spec_key), memory.retrieve(done_key)
    figures = figures_of(package)
    owner = {module: one["name"] for one in spec["services"] for module in one["api_contract"]["modules"]}
    assert sorted(owner) == sorted(figures)
    for service, key in zip(spec["services"], service_keys, strict=True):
        own = [module for module in figures if owner[module] == service["name"]]
        needed = {owner[other] for module in own for other in figures[module]["imports"]}
        assert service["dependencies"] == sorted(needed - {service["name"]})
        assert memory.retrieve(key) == {
            "service": service["name"],
            "modules": {module: figures[module] for module in own},
        }
    sizes = Counter({service["name"]: 0 for service in spec["services"]})
    for module, name in owner.items():
        sizes[name] += figures[module]["lines"]
    assert max(sizes.values()) - min(sizes.values()) <= max(one["lines"] for one in figures.values())
    assert integration["gateway"] == owner
    assert integration["totals"] == {
        "modules": len(figures),
        **{name: sum(one[name] for one in figures.values()) for name in ("lines", "functions", "classes")},
        **{name: sum(len(one[name]) for one in figures.values()) for name in ("undocumented", "imports")},
    }
    assert integration["import_cycles"] == cycles({module: one["imports"] for module, one in figures.items()})
    assert len(integration["tests"]) == 2


def cycles(imports: dict[str, list[str]]) -> list[list[str]]:
    """Groups of modules that reach each other, by squaring the relation until it stays."""
    reach = {module: set(others) for module, others in imports.items()}
    while True:
        further = {module: found.union(*(reach[one] for one in found)) for module, found in reach.items()}
        if further == reach:
            break
        reach = further
    groups = {frozenset(two for two in reach[one] if one in reach[two]) for one in reach}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def check_exercise(memory: Memory, package: str) -> None:
    keys = [f"services/{name}/complete" for name in ("user", "product", "order")]
    check_services(memory, package, "fanout/spec", keys, "integration/complete")
    figures = figures_of(package)
    tested, report = memory.retrieve("testing/complete"), memory.retrieve("review/report")
    assert tested == {"modules": sorted(figures), "tests": 6 * len(figures), "failed": []}
    assert report["totals"] == memory.retrieve("integration/complete")["totals"]
    assert report["undocumented"] == [
        f"{module}:{name}" for module in sorted(figures) for name in figures[module]["undocumented"]
    ]
    longest = [(one["longest"]["length"], module) for module, one in figures.items() if one["longest"]]
    top = sorted(longest, key=lambda one: (-one[0], one[1]))[:5]
    assert [(one["length"], one["module"]) for one in report["longest_functions"]] == top
    assert report["tests"] == 6 * len(figures) + 2
    assert f"{len(figures)} modules with {report['totals']['lines']} lines" in report["text"]
    for module, one in figures.items():
        row = f"| `{module}` | {one['lines']} | {one['functions']} | {one['classes']} | {len(one['undocumented'])} |"
        assert row in report["text"]


def check_checkpoints(memory: Memory, package: str) -> None:
    names = {module: list(names_of(package, module)) for module in public(package)}
    planned = {module: found for module, found in names.items() if found}
    assert memory.retrieve("checkpoint/phase1/plan")["pages"] == planned
    pages = memory.retrieve("checkpoint/phase2/implementation")["pages"]
    assert {module: re.findall("^## (.+)$", text, re.M) for module, text in pages.items()} == planned
    assert {key.removeprefix("reference/"): memory.retrieve(key) for key in memory.list("reference/")} == pages
    gates = {name: memory.entry(f"checkpoint/gates/{name}") for name in ("planning", "implementation", "deployment")}
    assert [entry.agent for entry in gates.values()] == ["planning-reviewer", "code-reviewer", "devops"]
    assert [gates[name].value["state"] for name in ("planning", "implementation")] == ["approved"] * 2
    assert gates["deployment"].value == "complete"


def check_shared(memory: Memory, package: str) -> None:
    state, report = memory.retrieve("shared/project-state"), memory.retrieve("shared/project-report")
    names = [(module, name) for module in public(package) for name in names_of(package, module)]
    endpoints = [f"{module}.{name}" for module, name in names if "." not in name]
    assert state["api_endpoints"] == endpoints
    assert state["test_coverage"] == coverage_of_imports(package)
    issues = [(one["module"], one["line"], one["call"]) for one in state["security_issues"]]
    assert issues == third_count.risks(package)
    lengths = [
        (one["length"], module, name)
        for module in third_count.files(package)
        for name, one in names_of(package, module).items()
        if one["kind"] == "def"
    ]
    longest, paths = max(lengths), list(third_count.files(package).values())
    assert state["performance_metrics"] == {
        "source_bytes": sum(len(path.read_bytes()) for path in paths),
        "instructions": sum(map(instructions, paths)),
        "mean_function_lines": round(sum(one[0] for one in lengths) / len(lengths), 1),
        "longest_function": {"length": longest[0], "module": longest[1], "name": longest[2]},
    }
    assert report["api_endpoints"]["total"] == len(endpoints) == sum(report["api_endpoints"]["by_module"].values())
    assert report["security_issues"] == {"total": len(issues), "by_call": Counter(one[2] for one in issues)}
    assert (report["test_coverage"], report["performance_metrics"]) == (
        state["test_coverage"],
        state["performance_metrics"],
    )
    assert {entry.agent for entry in memory.search("shared/project-state/contributors/*")} == {
        "api-developer", "test-writer", "auditor", "analyzer"
    }  # fmt: skip


def coverage_of_imports(package: str) -> float:
    """The share of lines that importing the public modules runs, as the standard library's `trace` sees it."""
    script = (
        "import importlib, json, sys, trace\n"
        "tracer = trace.Trace(count=1, trace=0)\n"
        "tracer.runfunc(lambda: [importlib.import_module(module) for module in sys.argv[1:]])\n"
        "json.dump(sorted(tracer.results().counts), sys.stdout)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *public(package)], capture_output=True, text=True, check=True)
    files = [str(third_count.files(package)[module]) for module in public(package)]
    starts = [(file, dis.findlinestarts(code)) for file in files for code in codes(Path(file))]
    with_code = {(file, line) for file, found in starts for _, line in found if line}
    ran = {(file, line) for file, line in json.loads(done.stdout)} & with_code
    return round(100 * len(ran) / len(with_code), 1)


def codes(path: Path) -> list[CodeType]:
    """The code of a file, and all code inside it."""
    found = [compile(path.read_bytes(), str(path), "exec")]
    for code in found:
        found += [one for one in code.co_consts if isinstance(one, CodeType)]
    return found


def instructions(path: Path) -> int:
    """Two bytes are an instruction, or a cache."""
    return sum(dis.opname[code.co_code[at]] != "CACHE" for code in codes(path) for at in range(0, len(code.co_code), 2))


def check_docs(memory: Memory, package: str) -> None:
    names = {module: names_of(package, module) for module in public(package)}
    analysis = memory.retrieve("swarm/researcher/content-analysis")["modules"]
    assert {module: (one["names"], one["documented"]) for module, one in analysis.items()} == {
        module: (len(found), sum(one["said"] for one in found.values())) for module, found in names.items()
    }
    architecture = memory.retrieve("swarm/shared/learning-path-architecture")
    path = architecture["learning_path"]
    assert sorted(path) == sorted(module for module, one in analysis.items() if one["documented"])
    for number, module in enumerate(path):
        left = set(path[number:])
        unmet = {one: len(left.intersection(third_count.imports(package, one))) for one in left}
        assert (unmet[module], module) == min((count, one) for one, count in unmet.items())
    parts = [architecture["guides"][f"{which}-steps"] for which in ("first", "next", "last")]
    assert [module for part in parts for module in part] == path
    guides = {entry.key.rpartition("/")[2]: entry.value for entry in memory.search("swarm/writer/*-steps")}
    told = {
        guide: [(one.partition("\n")[0], re.findall("^- `(.+?)`: ", one, re.M)) for one in text.split("\n## ")[1:]]
        for guide, text in guides.items()
    }
    assert told == {
        guide: [(module, [name for name, one in names[module].items() if one["said"]]) for module in part]
        for guide, part in architecture["guides"].items()
    }
    assert memory.retrieve("swarm/shared/progress").keys() == guides.keys()
    feedback = memory.retrieve("swarm/reviewer/quality-feedback")
    assert sum(feedback.pop("names").values()) == sum(one["documented"] for one in analysis.values())
    assert not any(feedback.values())
    for key in (APPROVED, "checkpoint/phase1/alignment-complete", "checkpoint/phase2/user-guide-complete"):
        value = memory.retrieve(key)
        assert value is True or value["state"] == "approved"
    assert memory.entry(APPROVED).agent == "anna"


CHECKS = {
    "checkpoints": check_checkpoints,
    "docs-refactor": check_docs,
    "exercise": check_exercise,
    "fanout": check_fanout,
    "handoff": check_handoff,
    "shared-state": check_shared,
}
