"""What sessions are called: session-YYYYMMDD-HHMMSS-topic, in UTC.

Knows times and words; does not know which names are taken, so it gives one after the other, the best first.
Law: every name is one segment of a key and one word of a shell.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

from gitmem.errors import InvalidKeyError
from gitmem.keys import check_key
from gitmem.provenance import slug


def session_names(topic: str | None, now: datetime) -> Iterator[str]:
    """Names for a session that begins now: without an end, since others may have begun in the same second.

    Of the topic stays what a shell takes as it is: `Über uns: 2!` is `uber-uns-2`, and one in a script without
    Latin letters leaves the time alone.
    """
    name = "-".join(filter(None, (f"session-{now.astimezone(UTC):%Y%m%d-%H%M%S}", slug(topic or ""))))
    yield name
    for number in count(2):
        yield f"{name}-{number}"


def is_segment(session: str) -> bool:
    """Whether a session's name, which anybody may choose, is one segment of a key, and of a path."""
    try:
        return session not in (".", "..") and len(check_key(session)) == 1
    except InvalidKeyError:
        return False
