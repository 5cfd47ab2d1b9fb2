"""The one HTTP client: timeouts, retries with patience, no secrets in what it says, and a switch that turns it off.

It never follows a redirect (a token would go where nobody sent it), takes no password from an address or from a
`.netrc`, and reads no more of an answer than a mebibyte. Proxies and certificates are those of the environment
(`HTTPS_PROXY`, `NO_PROXY`, `REQUESTS_CA_BUNDLE`).
"""

from __future__ import annotations

import datetime
import email.utils
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from entrenar_research.errors import MissingToolError, UsageError
from entrenar_research.net import redaction
from entrenar_research.net.errors import OfflineError, RemoteError

OFFLINE: Final = "ENTRENAR_OFFLINE"
"""The variable that forbids every connection, unless it is empty or 0."""

BUSY: Final = frozenset({429, 502, 503, 504})
"""Answers that mean: later (OTLP, "Retryable Response Codes"; RFC 9110, 15.5 and 15.6)."""

_LARGEST: Final = 1 << 20
_SAID: Final = 300


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: its status, its headers with names in lower case, its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long we wait, in seconds: to be connected, for a sign of life, for the whole answer; between `attempts`.

    The pauses double from `pause` on, unless the other side says `Retry-After`; none is longer than `longest`: who
    asks for more is told that we gave up.
    """

    connect: float = 10.0
    silence: float = 30.0
    answer: float = 120.0
    attempts: int = 5
    pause: float = 1.0
    longest: float = 60.0


class Client:
    """Sends requests, all with `headers`, whose values are secrets. `agent` is how it introduces itself."""

    def __init__(
        self,
        agent: str,
        headers: Mapping[str, str] | None = None,
        *,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        refuse_if_offline()
        try:
            import requests  # an extra, and takes 100 ms
        except ImportError as error:
            raise MissingToolError(
                "nothing can be sent from here: requests is not installed", hint="pip install 'entrenar-research[otlp]'"
            ) from error
        self._requests: Any = requests
        self._secrets = tuple((headers or {}).values())
        self._patience, self._sleep = patience or Patience(), sleep
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": agent, **(headers or {})})
        self._session.auth = _without_netrc

    def close(self) -> None:
        """Closes what is open."""
        self._session.close()

    def post(self, url: str, body: bytes, content_type: str) -> Reply:
        """Sends `body`; the answer is that of a success (200 to 299).

        Raises:
            UsageError: if the address is none, or holds a password.
            RemoteError: if nobody answers, or with anything else, also after `attempts`.
        """
        check_address(url)
        wait, attempt = self._patience, 1
        while True:
            reply = self._once(url, body, content_type)
            if 200 <= reply.status < 300:
                return reply
            asked = _retry_after(reply)
            pause = asked if asked is not None else min(wait.pause * 2.0 ** (attempt - 1), wait.longest)
            if reply.status not in BUSY or attempt >= wait.attempts or pause > wait.longest:
                raise self._complaint(url, reply, attempt)
            self._sleep(pause)
            attempt += 1

    def _once(self, url: str, body: bytes, content_type: str) -> Reply:
        wait = self._patience
        deadline = time.monotonic() + wait.answer
        try:
            with self._session.post(
                url,
                data=body,
                headers={"Content-Type": content_type},
                timeout=(wait.connect, wait.silence),
                allow_redirects=False,
                stream=True,
            ) as answer:
                read = bytearray()
                for chunk in answer.iter_content(1 << 14):
                    read += chunk
                    if time.monotonic() > deadline:
                        raise RemoteError(f"{redaction.address(url)}: no whole answer within {wait.answer:.0f} s")
                    if len(read) > _LARGEST:
                        break
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Reply(status=answer.status_code, headers=headers, body=bytes(read[:_LARGEST]))
        except self._requests.exceptions.Timeout as error:
            raise RemoteError(f"{redaction.address(url)}: no answer in time") from error
        except self._requests.exceptions.SSLError as error:
            reason = redaction.text(str(error), self._secrets)
            raise RemoteError(f"{redaction.address(url)}: no secure connection: {reason}") from error
        except self._requests.exceptions.ConnectionError as error:
            raise RemoteError(
                f"{redaction.address(url)}: no connection: {_cause(error)}", hint="is the receiver running there?"
            ) from error
        except self._requests.exceptions.RequestException as error:
            reason = redaction.text(f"{type(error).__name__}", self._secrets)
            raise RemoteError(f"{redaction.address(url)}: {reason}") from error

    def _complaint(self, url: str, reply: Reply, attempts: int) -> RemoteError:
        said = " ".join(reply.body[:_SAID].decode("utf-8", "replace").split())
        said = redaction.text("".join(letter if letter.isprintable() else "?" for letter in said), self._secrets)
        often = f" after {attempts} attempts" if attempts > 1 else ""
        words = f"{redaction.address(url)}: answered {reply.status}{often}"
        if 300 <= reply.status < 400:
            aim = redaction.address(reply.headers.get("location", "nowhere"))
            return RemoteError(f"{words}: it sends us to {aim}", hint="give the address that it really has")
        hint = {
            401: "give a token, for example in OTEL_EXPORTER_OTLP_HEADERS",
            403: "the token may not do this",
            404: "is the path of the address right?",
        }.get(reply.status)
        asked = _retry_after(reply)
        if reply.status in BUSY and asked is not None:
            hint = f"it asks to be tried again in {asked:.0f} s"
        return RemoteError(f"{words}: {said}" if said else words, hint=hint)


def refuse_if_offline() -> None:
    """Refuses where the environment forbids connections.

    Raises:
        OfflineError: if it does.
    """
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        raise OfflineError(f"{OFFLINE} is set: nothing is sent", hint=f"unset {OFFLINE} to allow connections")


def check_address(url: str) -> None:
    """Refuses what is no http or https address, and one with a password in it.

    Raises:
        UsageError: if it is one of these.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"not an address: {error}", hint="for example http://localhost:4318") from error
    if "@" in parts.netloc:
        raise UsageError(
            f"{redaction.address(url)}: the address holds a user or a password, which everybody can see",
            hint="give it in OTEL_EXPORTER_OTLP_HEADERS: authorization=Basic%20...",
        )
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(
            f"{redaction.address(url)}: expected an http or https address", hint="for example http://localhost:4318"
        )


def _retry_after(reply: Reply) -> float | None:
    """Seconds to wait, as the other side says (RFC 9110, 10.2.3: seconds, or a date)."""
    said = reply.headers.get("retry-after", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        when = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return max(0.0, (when - datetime.datetime.now(datetime.UTC)).total_seconds())


def _cause(error: BaseException) -> str:
    """The last words of a chain of errors, which alone say what happened; none of them holds the request."""
    while True:
        inner = next((item for item in error.args if isinstance(item, BaseException)), None)
        below = getattr(error, "reason", None)
        following = inner or (below if isinstance(below, BaseException) else None) or error.__cause__
        if following is None or following is error:
            break
        error = following
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rpartition(": ")[2] or type(error).__name__


def _without_netrc(request: Any) -> Any:
    """An authentication that adds nothing: without one, requests looks for a password in ~/.netrc."""
    return request
