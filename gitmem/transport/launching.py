"""The programs that reach other copies, as commands: git's own servers, ssh, and the git program itself.

Knows command lines; runs nothing. They run in the person's surroundings, since keys, agents, proxies and helpers are
found there; a shell takes out of them what would lead git to another repository, so that nothing here reads them.
Law: no command holds a password, and no word of it can be taken for an option that is not meant as one.
"""

from __future__ import annotations

import os

from gitmem.remotes.address import Address

_PLACES = (
    "GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR "
    "GIT_NAMESPACE GIT_PREFIX GIT_GRAFT_FILE GIT_SHALLOW_FILE GIT_REPLACE_REF_BASE GIT_QUARANTINE_PATH "
    "GIT_PROTOCOL GIT_INTERNAL_SUPER_PREFIX GIT_IMPLICIT_WORK_TREE GIT_NO_REPLACE_OBJECTS GITMEM_REMOTE_PASSWORD"
)
_CONFIG = "GIT_CONFIG GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT"
_PLAIN = "LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0; export LC_ALL GIT_TERMINAL_PROMPT GIT_OPTIONAL_LOCKS"
_CLIENT = f"unset {_PLACES}; {_PLAIN}"
_SERVER = f"unset {_PLACES} {_CONFIG}; {_PLAIN}"
_SSH = f"""{_CLIENT}
configured=$1 batch=$2
shift 2
command=${{GIT_SSH_COMMAND:-${{configured:-${{GIT_SSH:-ssh}}}}}}
name=${{command%% *}}
case "${{name##*/}}" in ssh) ;; *) batch= ;; esac
[ -z "$batch" ] || set -- -o "$batch" "$@"
if [ -z "${{GIT_SSH_COMMAND:-$configured}}" ]; then
    command -v "$command" > /dev/null || {{ echo "fatal: the program $command is not installed" >&2; exit 127; }}
    exec "$command" "$@"
fi
eval "exec $command \\"\\$@\\""
"""

SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.allow=never",
    *(f"protocol.{name}.allow=always" for name in ("file", "git", "http", "https", "ssh")),
    "fetch.fsckObjects=true",
    "transfer.fsckObjects=true",
    "fetch.unpackLimit=1",
    "transfer.unpackLimit=1",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "gc.auto=0",
    "maintenance.auto=false",
)


def serving(service: str, path: str) -> list[str]:
    """git-upload-pack or git-receive-pack over a local folder: what a server runs, hooks of that folder included."""
    return ["/bin/sh", "-c", f'{_SERVER}; exec "$@"', "sh", "git", service, path]


def remote_shell(address: Address, service: str, configured: str) -> list[str]:
    """ssh to a host where it runs the service. GIT_SSH_COMMAND comes before `configured`, git's core.sshCommand.

    Where nobody sits at a terminal it may not ask.
    """
    batch = "" if os.isatty(0) else "BatchMode=yes"
    host = f"{address.user}@{address.host}" if address.user else address.host
    port = ["-p", str(address.port)] if address.port is not None else []
    path = address.path.removeprefix("/") if address.path.startswith("/~") else address.path
    quoted = path.replace("'", "'\\''").replace("!", "'\\!'")
    return ["/bin/sh", "-c", _SSH, "ssh", configured, batch, *port, host, f"git-{service} '{quoted}'"]


def git(git_dir: str, *arguments: str, exports: str = "", settings: tuple[str, ...] = ()) -> list[str]:
    """The git program on our repository; `exports` is shell text of our own that sets variables."""
    options = [part for one in (*SETTINGS, *settings) for part in ("-c", one)]
    script = f'{_CLIENT}; {exports}; exec "$@"' if exports else f'{_CLIENT}; exec "$@"'
    return ["/bin/sh", "-c", script, "sh", "git", f"--git-dir={git_dir}", *options, *arguments]


def plain_git(*arguments: str) -> list[str]:
    """The git program on no repository at all, with the person's own settings."""
    return ["/bin/sh", "-c", f'{_CLIENT}; exec "$@"', "sh", "git", *arguments]
