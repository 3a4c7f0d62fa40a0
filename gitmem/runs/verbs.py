"""What a Memory offers about runs: sessions, effect, compare, undo.

Knows the arguments; the work is done by the modules beside it, which are imported where they are used.
Law: each verb reads one snapshot. A run is named by a session, a revision (one commit), or `A..B`.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

from gitmem.watch import WaitingVerbs

if TYPE_CHECKING:  # most programs never look back at a run
    from gitmem.runs.comparing import Comparison
    from gitmem.runs.effects import Effect
    from gitmem.runs.facts import SessionFacts
    from gitmem.runs.naming import Whole
    from gitmem.runs.told import Undone


class RunVerbs(WaitingVerbs):
    """The verbs about runs. `run` names a session, a commit, or `A..B`: what B's history has and A's has not.

    `runs.naming.Whole` is a session also where a branch, a tag or a commit has its name. UnknownRevisionError if it
    names nothing. All namespaces, unless one is named.
    """

    def sessions(self) -> builtins.list[SessionFacts]:
        """Every session that commits name, the one that was written last first."""
        from gitmem.runs import facts

        return facts.sessions(self._vault, self._reader().snapshot)

    def effect(
        self, run: str | Whole, glob: str | None = None, *, namespace: str | None = None
    ) -> builtins.list[Effect]:
        """What a run did to each key that it made versions of, sorted by namespace and key."""
        from gitmem.runs import effects, naming

        head = self._reader().snapshot
        named = naming.named(self._vault, head, run)
        return effects.effects(self._vault, head, named, namespace=namespace, pattern=glob)

    def compare(
        self, a: str | Whole, b: str | Whole, glob: str | None = None, *, namespace: str | None = None
    ) -> Comparison:
        """What two runs left: the keys that both wrote, member by member, and the keys that only one of them wrote.

        Keys that differ in nothing but the session's id are one key; the glob is about the keys as they are, or as they
        are with `{session}` for the id.
        """
        from gitmem.runs import comparing, naming

        head = self._reader().snapshot
        both = [naming.named(self._vault, head, one) for one in (a, b)]
        return comparing.compare(self._vault, head, both[0], both[1], namespace=namespace, pattern=glob)

    def undo(
        self,
        run: str,
        *,
        keys: str | None = None,
        namespace: str | None = None,
        on_conflict: str = "fail",
        dry_run: bool = False,
        message: str | None = None,
    ) -> Undone:
        """Take back what a run made, and nothing else, as one new commit that says what it undoes.

        Key by key, newest first, each version of the run is taken out of what stands now by a three-way merge, under
        the merge rules: what others wrote in between and later stays. Where both changed one place, ConflictError has
        all of these places and nothing is written, unless `on_conflict` is "keep" (they stay as they are) or "undo"
        (what stood before the run wins). `keys` is a glob that narrows it. What was undone is not undone again; undoing
        the undo brings it back. A session's own keys, `session/<id>/…`, stay: they are the account of what happened.
        """
        from gitmem.runs import undoing

        wish = undoing.Wish(run, keys, None if namespace is None else self._in(namespace), on_conflict)
        return undoing.undo(self._vault, self.write_path(), wish, message=message, dry_run=dry_run)
