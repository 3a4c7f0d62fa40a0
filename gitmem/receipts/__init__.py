"""Receipts: who was told what, under which session, as far as this machine knows.

    noting     as it happens: a line for what a verb gives, appended to `local/reads.jsonl`
    reading    the lines again, each with the version that was told
    tracing    one version: who was told it, and what they wrote afterwards

Knows what is told by `retrieve`, `entry`, `search`, `find`, `watch` and the waits, of now or of the past; not what the
account of a history shows (`history`, `log`, `diff`, `blame`, `export`), nor who was told by whom.
Law: with `audit_reads` in gitmem.toml, whatever such a verb has given to an agent under a session is in the file when
the verb returns, or a warning has said that it is not. Nothing is synced, and the file may be deleted at any time.

A line is a JSON object: `time` (microseconds since 1970), `agent`, `session`, `namespace`, `keys`, and `snapshot`, the
commit at which they were read. Which version a key had there is looked for when somebody asks: that would cost a reader
more than the read. `again` names a snapshot at which the same bytes of these keys were noted before, so that it may be
the same version, noted already; `head`, where the past was read, the branch's head at that time.
"""

from __future__ import annotations
