"""dulwich's client over http and https: one request at a time, with a login where the server wants one.

Knows HTTP's answers; the protocol is dulwich's. Law: a login goes to the host that it was asked for and to no other,
is asked for once, after a refusal without one, and never stands in a message.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from dulwich.client import AbstractHttpGitClient, default_urllib3_manager

from gitmem.remotes.address import Address, shown
from gitmem.transport.credentials import OWN_LOGIN, settle
from gitmem.transport.failures import Trouble, one_line

if TYPE_CHECKING:
    from dulwich.config import Config

    from gitmem.transport import Credentials

_HOPS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_REASONS = {
    403: ("it forbids that", "ask its owner for the right to do it"),
    404: ("there is no git repository at that address", "check the address; an empty repository must be made there"),
    407: ("the proxy wants a login", "check git's http.proxy"),
    413: ("it takes no push as large as this one", "ask its owner to allow larger requests, or push over ssh"),
    429: ("it wants fewer requests", "try again later"),
    503: ("it is not available at the moment", "try again later"),
}


class Web(AbstractHttpGitClient):
    """One remote over HTTP, with the proxies and certificates of the person's git settings."""

    def __init__(
        self, address: Address, *, timeout: float, limit: int, config: Config | None, credentials: Credentials | None
    ) -> None:
        """`limit` bounds what one answer may bring."""
        self.url = address.url()
        super().__init__(self.url, thin_packs=False, quiet=True)
        self.config = config
        self.login: tuple[str, str] | None = (address.user, address.password) if address.password else None
        self._asked_for = address.url(user=True)
        self._timeout = timeout
        self._limit = limit
        self._credentials = credentials
        self._accepted = False
        self._pool = default_urllib3_manager(config, base_url=self.url, timeout=timeout)

    def hang_up(self) -> None:
        """Each answer is closed where it is read."""

    @property
    def words(self) -> str:
        """Nobody complains on the side here."""
        return ""

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.clear()

    def _http_request(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,
    ) -> tuple[Any, Callable[[int], bytes]]:
        answer, url = self._follow(url, headers or {}, data)
        try:
            if answer.status != 200:
                raise self._refusal(answer, url)
            kind = answer.headers.get("Content-Type") or ""
            if not kind.startswith("application/x-git-"):
                raise Trouble("it does not speak git's smart protocol", "check the address: it may be a web page's")
            self._settle(accepted=True)
        except BaseException:
            answer.close()
            raise
        answer.content_type = kind
        answer.redirect_location = url
        return answer, _bounded(answer.read, self._limit)

    def _follow(self, url: str, headers: dict[str, str], data: bytes | Iterator[bytes] | None) -> tuple[Any, str]:
        """The answer, and where it came from: a question may be redirected, a push or its like may not."""
        for _ in range(_HOPS):
            answer = self._send(url, headers, data)
            if answer.status == 401 and self._at_home(url) and self._ask(answer):
                answer = self._send(url, headers, data)
            target = answer.headers.get("Location")
            if data is not None or answer.status not in _REDIRECTS or not target:
                return answer, url
            answer.close()
            onward = urljoin(url, target)
            if urlsplit(onward).scheme not in ("http", "https") or _downgrades(url, onward):
                raise Trouble(f"it redirects to {shown(onward)}, where gitmem does not go", "use its true address")
            url = onward
        raise Trouble("it redirects again and again", "use its true address")

    def _send(self, url: str, headers: dict[str, str], data: bytes | Iterator[bytes] | None) -> Any:
        """One request. Nothing is tried again here: a push that is sent twice could be told it failed."""
        sent = {**self._pool.headers, **headers, "Pragma": "no-cache"}
        if self.login is not None and self._at_home(url):
            sent["Authorization"] = "Basic " + b64encode(":".join(self.login).encode()).decode("ascii")
        method = "GET" if data is None else "POST"
        return self._pool.request(
            method, url, headers=sent, body=data, preload_content=False, retries=False, timeout=self._timeout
        )

    def _at_home(self, url: str) -> bool:
        """Whether this is the host of our address: the only one that gets the login."""
        return urlsplit(url)[:2] == urlsplit(self.url)[:2]

    def _ask(self, answer: Any) -> bool:
        """Get a login, where there was none yet; whether there is one now."""
        if self.login is not None or self._credentials is None:
            return False
        self.login = self._credentials(self._asked_for)
        if self.login is None:
            return False
        answer.drain_conn()
        answer.release_conn()
        return True

    def _settle(self, *, accepted: bool) -> None:
        if self.login is not None and not (accepted and self._accepted):
            self._accepted = accepted
            settle(self.url, self.login, accepted=accepted)

    def _refusal(self, answer: Any, url: str) -> Trouble:
        status = answer.status
        if status == 401 and not self._at_home(url):
            return Trouble(f"it redirects to {shown(url)}, which wants a login", "use that address", lasting=True)
        if status == 401 and self.login is not None:
            self._settle(accepted=False)
            return Trouble(f"it refuses the login of user {self.login[0]!r}", OWN_LOGIN, lasting=True)
        if status == 401:
            basic = "basic" in answer.headers.get("WWW-Authenticate", "").lower()
            other = "it wants a kind of login that only the git program knows: `git config gitmem.transport git`"
            return Trouble("it wants a login", OWN_LOGIN if basic else other, lasting=True)
        reason, hint = _REASONS.get(status, (f"its web server failed with {status}", "try again; then ask its owner"))
        if status == 403 and self.login is not None:
            reason = f"it forbids that to user {self.login[0]!r}"
        said = _said(answer)
        return Trouble(f"{reason} ({status}{': ' + said if said else ''})", hint, lasting=status == 403)


def _said(answer: Any) -> str:
    """What a server says for people, where it is plain text."""
    if not (answer.headers.get("Content-Type") or "").startswith("text/plain"):
        return ""
    return one_line(answer.read(1024).decode("utf-8", "replace"))


def _downgrades(url: str, onward: str) -> bool:
    return urlsplit(url).scheme == "https" and urlsplit(onward).scheme == "http"


def _bounded(read: Callable[[int], bytes], limit: int) -> Callable[[int], bytes]:
    left = limit

    def bounded(size: int) -> bytes:
        nonlocal left
        found = read(size)
        left -= len(found)
        if left < 0:
            raise Trouble("it sends more than is allowed", "a larger limit can be given where that is meant")
        return found

    return bounded
