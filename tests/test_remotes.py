"""The names and addresses of other copies: kept in git's own config, without a password, and nothing else touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem import ContentionError, Memory, RemoteError, StorageError
from gitmem.place import place
from gitmem.remotes import Remote, add, check_url, find, remotes, remove, shown, tracking_ref
from gitmem.remotes.address import Address, BadAddress, parse
from gitmem.remotes.sections import quoted, without_section
from gitmem.repository import Repository
from tests.conftest import Git

URL = "https://git.example.org/team/memory.git"


@pytest.fixture
def ours(tmp_path: Path) -> Repository:
    Memory.open(tmp_path / "ours", durability="fast").close()
    return Repository(place(tmp_path / "ours"))


# --- the config ---


def test_plain_git_knows_a_remote_that_was_added(ours: Repository, git: Git) -> None:
    """The same sections that `git remote add` writes, with refs that follow it where gitmem keeps its own."""
    assert add(ours, "origin", URL) == Remote("origin", URL)
    assert git(ours.git_dir, "remote", "-v") == f"origin\t{URL} (fetch)\norigin\t{URL} (push)\n"
    assert git(ours.git_dir, "config", "remote.origin.fetch") == "+refs/heads/*:refs/gitmem/remotes/origin/*\n"
    assert remotes(ours) == [Remote("origin", URL)] == [find(ours, "origin")]
    assert git(ours.git_dir, "config", "gitmem.durability") == "fast\n"


def test_a_remote_that_plain_git_added_is_known(ours: Repository, git: Git) -> None:
    """With whatever git writes: quotes, escapes, several urls, of which the first is fetched from."""
    git(ours.git_dir, "remote", "add", "byhand", "ssh://git@example.org/a;b#c")
    git(ours.git_dir, "config", "--add", "remote.byhand.url", "ssh://second.example.org/x")
    git(ours.git_dir, "config", "remote.nourl.prune", "true")
    assert [remote.name for remote in remotes(ours)] == ["byhand"]
    git(ours.git_dir, "config", "--replace-all", "remote.byhand.url", 'a "quoted\\ path')
    assert find(ours, "byhand").url == 'a "quoted\\ path'


def test_the_same_remote_once_more_is_fine_and_another_address_is_not(ours: Repository) -> None:
    """So that a script may say it each time; what would send a team's memory elsewhere needs a remove first."""
    add(ours, "origin", URL)
    before = (ours.git_dir / "config").read_bytes()
    assert add(ours, "origin", URL) == Remote("origin", URL)
    with pytest.raises(RemoteError, match="already") as caught:
        add(ours, "origin", URL + "2")
    assert "gitmem remote remove origin" in caught.value.hint
    assert caught.value.remote == "origin"
    assert (ours.git_dir / "config").read_bytes() == before


def test_everything_else_in_the_config_stays_as_it_was(ours: Repository) -> None:
    """Comments, odd spacing, other remotes, a last line without its end."""
    path = ours.git_dir / "config"
    own = path.read_bytes()
    odd = own + b'# a comment\n[remote "other"] url = x ; why\n\turl = y\\\n[z]\n'
    odd += b'[REMOTE "a.b"]\n  URL=q # note\n[end]\n\tx'
    path.write_bytes(odd)
    path.chmod(0o640)
    add(ours, "origin", URL)
    add(ours, "second", "git://example.org/x")
    remove(ours, "origin")
    remove(ours, "second")
    assert path.read_bytes() == odd + b"\n"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_section_goes_with_the_lines_that_continue_its_settings(ours: Repository) -> None:
    """A line that looks like a header may be the rest of a value."""
    path = ours.git_dir / "config"
    own = path.read_bytes()
    path.write_bytes(own + b'[remote "odd"]\n\turl = x\\\n[z]\\\\\n# note \\\n[end]\n\tx\n')
    remove(ours, "odd")
    assert path.read_bytes() == own + b"[end]\n\tx\n"


def test_a_removed_remote_is_forgotten_with_the_refs_that_follow_it(ours: Repository, git: Git) -> None:
    """Loose and packed; those of others stay, also of one whose name begins alike."""
    head = ours.head("main").hex()
    for name in ("origin", "origin2"):
        add(ours, name, URL)
        git(ours.git_dir, "update-ref", tracking_ref(name, "main"), head)
        git(ours.git_dir, "update-ref", tracking_ref(name, "people/ann"), head)
    git(ours.git_dir, "pack-refs", "--all")
    git(ours.git_dir, "update-ref", tracking_ref("origin", "late"), head)
    remove(ours, "origin")
    assert remotes(ours) == [Remote("origin2", URL)]
    left = git(ours.git_dir, "for-each-ref", "--format=%(refname)", "refs/gitmem").split()
    assert left == ["refs/gitmem/remotes/origin2/main", "refs/gitmem/remotes/origin2/people/ann"]
    assert git(ours.git_dir, "fsck", "--strict") == ""


def test_what_is_not_there_cannot_be_removed_or_found(ours: Repository) -> None:
    """The error names those that are there, or how to add one."""
    for action in (find, remove):
        with pytest.raises(RemoteError, match="no remote 'origin'") as caught:
            action(ours, "origin")
        assert "gitmem remote add origin URL" in caught.value.hint
    add(ours, "backup", URL)
    with pytest.raises(RemoteError) as caught:
        find(ours, "origin")
    assert "backup" in caught.value.hint


@pytest.mark.parametrize(
    "name", ["", "a/b", "-x", ".x", "a..b", "a b", "x.lock", "a\nb", "a~b", "@", "a:b", 'a"b', "\x7f"]
)
def test_a_name_that_is_no_part_of_a_ref_is_refused(ours: Repository, name: str) -> None:
    """The refs that follow it could not be made."""
    before = (ours.git_dir / "config").read_bytes()
    with pytest.raises(RemoteError):
        add(ours, name, URL)
    assert (ours.git_dir / "config").read_bytes() == before


@pytest.mark.parametrize("name", ["größe", "a.b", "a;b", "a#b", "[x", "$(x)"])
def test_an_odd_name_is_written_so_that_git_reads_it(ours: Repository, git: Git, name: str) -> None:
    """Quoted where git quotes."""
    if "[" not in name:
        add(ours, name, URL)
        assert git(ours.git_dir, "remote").splitlines() == [name]
        assert find(ours, name) == Remote(name, URL)
        remove(ours, name)
        assert remotes(ours) == []


def test_a_config_that_git_is_writing_is_waited_for(ours: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under git's own lock of that file: nobody's setting is lost."""
    monkeypatch.setattr("gitmem.refs.WAIT", 0.05)
    lock = ours.git_dir / "config.lock"
    lock.touch()
    before = (ours.git_dir / "config").read_bytes()
    rewrite = ours.refs.rewrite
    monkeypatch.setattr(ours.refs, "rewrite", lambda *a, **o: rewrite(*a, **{**o, "wait": 0.05}))
    with pytest.raises(ContentionError) as caught:
        add(ours, "origin", URL)
    assert str(lock) in caught.value.message
    assert (ours.git_dir / "config").read_bytes() == before


def test_a_writer_of_the_config_that_died_is_in_nobodys_way(ours: Repository) -> None:
    """Its lock file is a link of its draft, as that of a branch."""
    draft = ours.local / "publish-0123456789abcdef"
    draft.write_text("\n")
    os.link(draft, ours.git_dir / "config.lock")
    add(ours, "origin", URL)
    assert find(ours, "origin").url == URL
    assert not (ours.git_dir / "config.lock").exists()
    assert not draft.exists()


def test_a_config_that_cannot_be_read_is_an_error_with_a_hint(ours: Repository) -> None:
    """No traceback for a slip of somebody's hand."""
    with (ours.git_dir / "config").open("a") as file:
        file.write("[remote\n")
    with pytest.raises(StorageError) as caught:
        remotes(ours)
    assert "git config" in caught.value.hint


name_text = st.text(st.sampled_from('ab"\\ .#;'), min_size=1, max_size=6)


@given(st.lists(st.tuples(name_text, st.text(st.sampled_from("ab]#; \"'"), max_size=5)), max_size=5), name_text)
def test_taking_out_one_section_leaves_the_others(sections: list[tuple[str, str]], name: str) -> None:
    """Whatever they are called."""

    def text(chosen: list[tuple[str, str]]) -> bytes:
        return "".join(f'[remote "{quoted(one)}"]\n\tx = "{quoted(value)}"\n' for one, value in chosen).encode()

    left = [section for section in sections if section[0] != name]
    assert without_section(text(sections), "remote", name) == text(left)


# --- addresses ---


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (URL, Address("https", "git.example.org", None, "/team/memory.git")),
        ("http://ann@h:8080/x?y=1", Address("http", "h", 8080, "/x?y=1", "ann")),
        ("HTTPS://H/x", Address("https", "h", None, "/x")),
        ("ssh://git@h:2222/~ann/x", Address("ssh", "h", 2222, "/~ann/x", "git")),
        ("git@github.com:team/memory.git", Address("ssh", "github.com", None, "team/memory.git", "git")),
        ("host:/srv/x", Address("ssh", "host", None, "/srv/x")),
        ("[::1]:x", Address("ssh", "::1", None, "x")),
        ("ssh://[::1]:22/x", Address("ssh", "::1", 22, "/x")),
        ("git://h/x%20y", Address("git", "h", None, "/x y")),
        ("file:///srv/a%20b", Address("local", "", None, "/srv/a b")),
        ("/srv/x", Address("local", "", None, "/srv/x")),
        ("../x", Address("local", "", None, "../x")),
        ("./a:b", Address("local", "", None, "./a:b")),
        ("https://ann:p%40ss@h/x", Address("https", "h", None, "/x", "ann", "p@ss")),
    ],
)
def test_an_address_has_the_parts_that_git_sees(url: str, address: Address) -> None:
    """Schemes, host:path for ssh, and paths."""
    assert parse(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "", "-x", "--upload-pack=evil", "ext::sh -c evil", "transport::x", "ftp://h/x", "rsync://h/x", "javascript://x",
        "ssh://-oProxyCommand=evil/x", "ssh://-oX@h/x", "-oX@h:x", "h:-x", "https://", "https:///x", "ssh://h",
        "http://h:port/x", "a\nb", "https://h/\x00", "ssh://h%0a/x", "git://h/a%0ab", "file://elsewhere/x",
        "user:password@host:path", "https://[::1/x", "\udcff",
    ],
)  # fmt: skip
def test_what_gitmem_does_not_go_to_is_refused(ours: Repository, url: str) -> None:
    """Options in disguise, transports that run commands, unknown schemes, what would break a line."""
    with pytest.raises(BadAddress) as bad:
        parse(url)
    assert bad.value.hint
    with pytest.raises(RemoteError):
        add(ours, "origin", url)
    assert remotes(ours) == []


SECRET = "s3cret-Wort"


@pytest.mark.parametrize(
    "url",
    [
        f"https://ann:{SECRET}@h/x", f"http://:{SECRET}@h/x", f"https://ann:{SECRET}/more@h/x", f"ssh://a:{SECRET}@h/x",
        f"https://a:{SECRET}@b@h/x", f"git://a:{SECRET}@h/x", f"ann:{SECRET}@host:path", f"https://a:{SECRET}@h:x/y",
        "https://ghp_s3cret-Wort0123456789@github.com/a/b", "https://glpat-s3cret-Wort@gitlab.com/a/b",
        f"ftp://a:{SECRET}@h/x", f"https://a:{SECRET}@[::1/x",
        f"https://a:12/{SECRET}@h/x", f"https://a:12#{SECRET}@h/x", f"https://a%3A{SECRET}@h/x",
        f"https:/a:{SECRET}@h/x", f"https:///a:{SECRET}@h/x", f"https:a:{SECRET}@h/x", f"https://a:12/b@{SECRET}@h/x",
    ],
)  # fmt: skip
def test_a_password_in_an_address_is_refused_and_never_repeated(ours: Repository, url: str) -> None:
    """It would stand in the config, in process lists and in logs; the error names where it belongs."""
    with pytest.raises(RemoteError) as caught:
        add(ours, "origin", url)
    for text in (caught.value.message, caught.value.hint, repr(caught.value), str(caught.value.fields)):
        assert SECRET not in text
    assert "credential.helper" in caught.value.hint
    assert "GITMEM_REMOTE_PASSWORD" in caught.value.hint
    assert SECRET not in (ours.git_dir / "config").read_text()
    assert SECRET not in shown(url)
    assert "***" in shown(url)


@pytest.mark.parametrize("url", [URL, "git@github.com:a/b.git", "/a:b@c/d", "ssh://git@h/x", "https://ann@h/x", "../x", "ssh://git@h:22/~a@b"])
def test_an_address_without_a_password_is_shown_as_it_is(url: str) -> None:
    """A user is no secret."""
    assert shown(url) == url


@given(
    st.sampled_from(["https", "http", "ssh", "git", "ftp"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12),
)
def test_no_password_is_ever_shown(scheme: str, password: str) -> None:
    """Whatever it is made of, encoded or not."""
    marked = f"Geheim{password}wort"
    url = f"{scheme}://ann:{marked}@example.org/path"
    assert "Geheim" not in shown(url)
    with pytest.raises(RemoteError) as caught:
        check_url(url)
    assert "Geheim" not in caught.value.message + caught.value.hint


# --- local paths ---


def test_a_relative_path_is_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next command may run elsewhere."""
    monkeypatch.chdir(tmp_path)
    assert check_url("there/x.git") == str(tmp_path / "there" / "x.git")
    assert check_url("file:///there/x.git") == "file:///there/x.git"


def test_a_memorys_folder_names_its_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: Git) -> None:
    """As wherever a path names a memory: the folder around it, its own, or a bare repository."""
    Memory.open(tmp_path / "m").close()
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    inner = str(tmp_path / "m" / ".gitmem" / ".git")
    monkeypatch.chdir(tmp_path)
    for named in ("m", "m/.gitmem", "m/.gitmem/.git", str(tmp_path / "m")):
        assert check_url(named) == inner
    assert check_url("bare.git") == str(tmp_path / "bare.git")


def test_a_ref_follows_a_branch(ours: Repository) -> None:
    """Where plain git's fetch would put it, by the refspec that `add` writes."""
    assert tracking_ref("origin", "people/ann") == "refs/gitmem/remotes/origin/people/ann"
