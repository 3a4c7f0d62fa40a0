"""What went wrong, told to a person, and the exit code that tells it to a program.

Knows every kind of error there is; does not know the commands.
Law: one line `error: …`, then lines `hint: …`, all on stderr; whoever's text is in them, it stays on its line.
A user's mistake never shows a traceback; a mistake of ours does.
"""

from __future__ import annotations

import errno

import click

from gitmem import errors
from gitmem.cli.output import line

EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (click.UsageError, 2),
    (errors.MissingKeyError, 3),
    (errors.UnknownRevisionError, 3),
    (errors.ConflictError, 4),
    (errors.WaitTimeoutError, 5),
    (errors.GateRejectedError, 6),
    (errors.InvalidKeyError, 7),
    (errors.InvalidValueError, 7),
    (errors.InvalidPatternError, 7),
    (errors.InvalidPolicyError, 7),
    (errors.InvalidPlanError, 7),
    (errors.ContractError, 7),
    (errors.ContentionError, 8),
    (errors.GitmemError, 1),
    (click.ClickException, 1),
    (OSError, 1),
)  # the first kind that fits
INTERRUPTED = 130


class Misused(click.UsageError):
    """A command line that makes no sense, and what would."""

    def __init__(self, message: str, *, hint: str = "", ctx: click.Context | None = None) -> None:
        """`ctx` is known by itself inside a command."""
        super().__init__(message, ctx=ctx or click.get_current_context(silent=True))
        self.hint = hint


def report(error: Exception) -> int:
    """Tell the person, and give the exit code; raises the error again if it is a mistake of ours."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    if isinstance(error, click.Abort):
        interrupted = isinstance(error.__cause__ or error.__context__, KeyboardInterrupt)
        return INTERRUPTED if interrupted else _tell("nothing was done: the question was not answered", [])
    code = next((code for kind, code in EXIT_CODES if isinstance(error, kind)), None)
    if code is None:
        raise error
    if isinstance(error, errors.GitmemError):
        _tell(error.message, error.hint.splitlines())
    elif isinstance(error, click.UsageError):
        _tell(_plain(error), _usage(error))
    elif isinstance(error, OSError):
        _tell(_system(error), _system_hints(error))
    else:
        _tell(error.format_message() if isinstance(error, click.ClickException) else str(error), [])
    return code


def _tell(message: str, hints: list[str]) -> int:
    click.echo("\n".join([f"error: {line(message)}", *(f"hint: {line(hint)}" for hint in hints)]), err=True)
    return 1


def _plain(error: click.UsageError) -> str:
    """click's sentence as ours begin: in lower case, without a full stop."""
    if isinstance(error, Misused):
        return error.message
    message = error.message
    if isinstance(error, click.BadParameter):
        message = error.format_message().replace("\n\t", " ")  # click lists choices one below the other
    message = message.rstrip(".")
    return message[:1].lower() + message[1:]


def _usage(error: click.UsageError) -> list[str]:
    """What would have been right."""
    hints = [own] if (own := getattr(error, "hint", "")) else []
    near = getattr(error, "possibilities", None)
    if near:
        hints.append(f"did you mean {' or '.join(near)}?")
    ctx = error.ctx
    if ctx is None or (hints and isinstance(error, Misused) and ctx.parent is None):
        return hints
    if isinstance(error, click.NoSuchOption):
        named = error.option_name
        hints.append(f"a key that begins with - stands after --: {ctx.command_path} -- {named}" if ctx.parent else
                     "the options of a command stand after its name: gitmem COMMAND [OPTIONS]")  # fmt: skip
    elif "extra argument" in error.message:
        hints.append("text with spaces needs quotes, and so do * ? { and [, which the shell reads itself")
    usage = ctx.get_usage().removeprefix("Usage:").strip()
    return [*hints, f"usage: {' '.join(usage.split())}", f"`{ctx.command_path} --help` tells more"]


def _system(error: OSError) -> str:
    names = ": ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    reason = error.strerror or (errno.errorcode.get(error.errno, "") if error.errno else "") or str(error)
    return f"{names or 'the output'}: {reason}"


def _system_hints(error: OSError) -> list[str]:
    hints = {
        errno.ENOENT: "check the path: the file, or for a new one its folder, has to exist",
        errno.EACCES: "check who owns the file, and its mode",
        errno.EISDIR: "this is a folder: name a file",
        errno.ENOSPC: "the disk is full: free some space and run the command again",
    }
    return [hints[error.errno]] if error.errno in hints else []
