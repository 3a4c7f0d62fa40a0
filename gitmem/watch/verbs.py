"""What a Memory offers to those who wait: wait_for, wait_for_all, wait_for_any, wait_until, watch.

Knows the arguments; how the waiting is done is `waiting`'s, what happened on the way `stream`'s.
Law: a wait that returns has seen what it says in one snapshot; one that times out says what is missing, and the
revision from which `watch` goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from gitmem.entries import Entry
from gitmem.errors import InvalidValueError
from gitmem.verbs import Verbs
from gitmem.view import View

if TYPE_CHECKING:  # most programs never wait
    from gitmem.watch.aio import Aio
    from gitmem.watch.lookout import Subscription
    from gitmem.watch.stream import Watch
    from gitmem.watch.waiting import Until, Wait

T = TypeVar("T")


class WaitingVerbs(Verbs):
    """The verbs that wait. Common arguments: `timeout` in seconds (None: for ever, 0: only look), `namespace`;
    `until`, a function of the entry or a JMESPath condition on its value, which has to hold as well. It may run often
    and for entries that are not returned in the end: keep it quick and pure. Ctrl-C ends any wait.
    """

    def wait_for(
        self, key: str, *, until: Until = None, timeout: float | None = None, namespace: str | None = None
    ) -> Entry:
        """The entry of a key, as soon as it is there. WaitTimeoutError if it is not in time."""
        return self._wait(self.waiting([key], all, until=until, timeout=timeout, namespace=namespace))[key]

    def wait_for_all(
        self, keys: Sequence[str], *, until: Until = None, timeout: float | None = None, namespace: str | None = None
    ) -> dict[str, Entry]:
        """The entries of all these keys, as soon as all of them hold in one snapshot. WaitTimeoutError otherwise."""
        return self._wait(self.waiting(keys, all, until=until, timeout=timeout, namespace=namespace))

    def wait_for_any(
        self, keys: Sequence[str], *, until: Until = None, timeout: float | None = None, namespace: str | None = None
    ) -> Entry:
        """The entry of the first of these keys, in their order, that is there. WaitTimeoutError if none is in time."""
        there = self._wait(self.waiting(keys, any, until=until, timeout=timeout, namespace=namespace))
        return next(iter(there.values()))

    def wait_until(
        self,
        condition: Callable[[View], T | None],
        *,
        timeout: float | None = None,
        keys: Iterable[str] | None = None,
        namespace: str | None = None,
        what: str = "",
    ) -> T:
        """What a function of one snapshot gives, as soon as that is true. WaitTimeoutError if it is not in time.

        The function gets the reading verbs and is asked again when a key changes that matches `keys` (globs; None:
        any key of the namespace), or something expires that it read. What it raises ends the wait. `what` names, for
        the error, what is waited for.
        """
        wait = self.waiting_until(condition, timeout=timeout, keys=keys, namespace=namespace, what=what)
        return self._wait(wait)

    def watch(
        self,
        pattern: str = "**",
        *,
        since: str | None = None,
        namespace: str | None = None,
        all_namespaces: bool = False,
    ) -> Watch:
        """The changes of keys that match a glob, as Events: from `since` (a revision, exclusive; else from now) on.

        An iterator, for `for` and for `async for`, that waits for what is to come. Ordered, each once, whoever writes:
        a commit's events come together, what a merge brought in comes once, at the merge. Resume after the last event
        of a commit with `since=event.revision`. UnknownRevisionError if `since` is no ancestor of the branch's head,
        also later if somebody rewrites the history.
        """
        from gitmem.watch.events import Interest
        from gitmem.watch.stream import Watch

        interest = Interest(None if all_namespaces else self._in(namespace), pattern)
        start = self.snapshot if since is None else self.revision(since)
        return Watch(self._vault, self._branch, interest, bytes.fromhex(start), witness=self._witness)

    def when_changed(
        self, callback: Callable[[], None], *, keys: Iterable[str] | None = None, namespace: str | None = None
    ) -> Subscription:
        """Have `callback` called after each change of a key that matches `keys` (globs; None: any, in all namespaces).

        From another thread, and sometimes for nothing; it must not block. Until the subscription, a context manager,
        is closed. Look once after this call: what changed before is not told.
        """
        from gitmem.watch.lookout import Watched, subscription
        from gitmem.watch.waiting import broadly

        everywhere = keys is None and namespace is None
        watched = [Watched(None, None)] if everywhere else broadly(self._in(namespace), keys)
        return subscription(self._vault.repository, self._branch, callback, watched).open()

    @property
    def aio(self) -> Aio:
        """The verbs that wait, to be awaited: `await memory.aio.wait_for("key")`."""
        from gitmem.watch.aio import Aio

        return Aio(self)

    # --- for the rooms of this package ---

    def waiting(
        self,
        keys: Sequence[str],
        enough: Callable[[Iterable[object]], bool],
        *,
        until: Until,
        timeout: float | None,
        namespace: str | None,
    ) -> Wait[dict[str, Entry]]:
        """A wait for keys: all or any of them."""
        from gitmem.watch.waiting import Wait, exactly, found, holds, wait_again

        space, test = self._in(namespace), holds(until)
        wanted = keys if isinstance(keys, str) else list(keys)  # a generator tells its keys but once
        watched = exactly(space, wanted)
        if enough is any and not wanted:
            raise InvalidValueError("there is no key to wait for", hint="name one", pointer="", reason="no key")

        def look(view: View) -> dict[str, Entry] | None:
            there = {key: entry for key in wanted if (entry := found(view, key, test)) is not None}
            if not enough(key in there for key in wanted):
                return None
            if self._stamp.session is not None:
                self.show(there.values() if enough is all else list(there.values())[:1])
            return there

        def missing(view: View) -> list[str]:
            return [key for key in wanted if found(view, key, test) is None]

        def again(keys: list[str]) -> str:
            return wait_again(keys, until, several=enough is any and len(keys) > 1)

        return Wait(
            self._vault,
            self._branch,
            space,
            look,
            timeout=timeout,
            missing=missing,
            watched=watched,
            again=again,
            witness=self._witness if callable(until) else None,  # a function is shown what it judges
        )

    def waiting_until(
        self,
        condition: Callable[[View], T | None],
        *,
        timeout: float | None,
        keys: Iterable[str] | None,
        namespace: str | None,
        what: str,
    ) -> Wait[T]:
        """A wait for a condition."""
        from gitmem.watch.waiting import Wait, broadly

        space = self._in(namespace)
        return Wait(
            self._vault,
            self._branch,
            space,
            lambda view: condition(view) or None,
            timeout=timeout,
            missing=lambda view: [what] if what else [],
            watched=broadly(space, keys),
            witness=self._witness,
        )

    @staticmethod
    def _wait(wait: Wait[T]) -> T:
        result = wait.look()
        if result is not None:
            return result
        wait.seconds()  # whoever only looks needs nobody to wake him
        import threading

        woken = threading.Event()
        with wait.subscription(woken.set) as subscription:
            subscription.open()
            while True:
                woken.clear()
                result = wait.look()
                if result is not None:
                    return result
                woken.wait(wait.seconds())
