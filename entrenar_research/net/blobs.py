"""Fetching files of known size from a mirror, `file://` or `http(s)://`: no more than that size is read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote, unquote, urlsplit

from entrenar_research.errors import MissingToolError, UsageError
from entrenar_research.net import client, redaction
from entrenar_research.net.client import Patience
from entrenar_research.net.errors import RemoteError

VARIABLE: Final = "ENTRENAR_BLOB_MIRROR"
"""The variable that names the mirror: a directory, or a template with {file}, {store} or {sha256} in it."""
_CHUNK: Final = 1 << 18


def address(template: str, *, file: str, store: str, sha256: str) -> str:
    """The address of one file at a mirror.

    Raises:
        UsageError: if the template is no file, http or https address, or holds a password.
    """
    if "{" not in template:
        template = template.rstrip("/") + "/{file}"
    url = template
    for name, value in (("file", file), ("store", store), ("sha256", sha256)):
        url = url.replace("{" + name + "}", quote(value, safe=""))
    if urlsplit(url).scheme == "file":
        return url
    if "@" in urlsplit(url).netloc or urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(
            f"{VARIABLE}: {redaction.address(url)}: expected a file, http or https address without a password",
            hint=f"for example {VARIABLE}=file:///media/usb/blobs",
        )
    return url


class Mirror:
    """Fetches from one mirror, over one connection; `agent` is how it introduces itself."""

    def __init__(self, agent: str, *, patience: Patience | None = None) -> None:
        self._agent, self._patience = agent, patience or Patience()
        self._session: Any = None

    def close(self) -> None:
        """Closes what is open."""
        if self._session is not None:
            self._session.close()

    def fetch(self, url: str, target: Path, size: int) -> bool:
        """Writes what is at `url` to `target`; whether there is anything. More than `size` bytes are not read.

        Raises:
            RemoteError: if the other side does not answer, or not with the file.
            OfflineError: if connections are forbidden.
            OSError: if `target` cannot be written.
        """
        parts = urlsplit(url)
        with target.open("wb") as out:
            if parts.scheme == "file":
                return _copy(Path(unquote(parts.path)), out)
            return self._get(url, out, size)

    def _get(self, url: str, out: IO[bytes], size: int) -> bool:
        client.refuse_if_offline()
        client.check_address(url)
        requests = self._connect()
        wait, shown = self._patience, redaction.address(url)
        try:
            with self._session.get(
                url, timeout=(wait.connect, wait.silence), allow_redirects=False, stream=True,
                headers={"Accept-Encoding": "identity"},
            ) as answer:  # fmt: skip
                if answer.status_code == 404:
                    return False
                if answer.status_code != 200:
                    raise RemoteError(f"{shown}: answered {answer.status_code}, expected the file")
                left = size
                for chunk in answer.iter_content(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise RemoteError(f"{shown}: it is longer than the {size} bytes that it should have")
                    out.write(chunk)
        except requests.exceptions.RequestException as error:
            raise RemoteError(
                f"{shown}: it could not be fetched: {type(error).__name__}", hint=f"is {VARIABLE} right?"
            ) from error
        return True

    def _connect(self) -> Any:
        try:
            import requests  # takes 100 ms
        except ImportError as error:
            raise MissingToolError(
                "nothing can be fetched: requests is not installed", hint="pip install requests"
            ) from error
        if self._session is None:
            self._session = requests.Session()
            self._session.headers["User-Agent"] = self._agent
            self._session.auth = lambda request: request  # without one, requests looks for a password in ~/.netrc
        return requests


def _copy(source: Path, out: IO[bytes]) -> bool:
    try:
        stream = open(source, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK))  # noqa: SIM115 - a context manager follows
    except (FileNotFoundError, IsADirectoryError):
        return False
    with stream:
        shutil.copyfileobj(stream, out)
    return True
