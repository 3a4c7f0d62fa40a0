"""The door for Python agents takes what the environment says, and no more."""

from __future__ import annotations

from gitmem import from_environment


def test_the_four_variables_are_bound(tmp_path, monkeypatch) -> None:
    """A runner tells its agents by these variables who they are and where they work."""
    monkeypatch.setenv("GITMEM_STORE", str(tmp_path / "project"))
    monkeypatch.setenv("GITMEM_AGENT", "coder")
    monkeypatch.setenv("GITMEM_SESSION", "session-1")
    monkeypatch.setenv("GITMEM_NAMESPACE", "coordination")
    entry = from_environment().store("swarm/coder/status", "working")
    assert (entry.namespace, entry.agent, entry.session) == ("coordination", "coder", "session-1")
    assert (tmp_path / "project" / ".gitmem" / ".git").is_dir()


def test_an_empty_variable_is_an_absent_one(tmp_path, monkeypatch) -> None:
    """A shell script that has no session exports an empty one; that must not become a name."""
    monkeypatch.chdir(tmp_path)
    for name in ("STORE", "AGENT", "SESSION", "NAMESPACE"):
        monkeypatch.setenv(f"GITMEM_{name}", "")
    entry = from_environment().store("a", 1)
    assert (entry.namespace, entry.agent, entry.session) == ("default", "unknown", None)
    assert (tmp_path / ".gitmem" / ".git").is_dir()
