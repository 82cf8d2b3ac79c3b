"""Downloading a few files with known checksums: into the cache whole and right, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from initlab.data.untrusted import reason, short
from initlab.errors import InputError

TIMEOUT = 20.0
_PIECE = 2**16


@dataclass(frozen=True)
class Remote:
    """A gzipped file to download: size in bytes and SHA-256 (hexadecimal) of its unzipped content."""

    size: int
    sha256: str


def fetch(
    files: Mapping[str, Remote],
    folder: Path,
    mirrors: Sequence[str],
    *,
    progress: bool = True,
    timeout: float = TIMEOUT,
    patience: float = 600.0,
) -> None:
    """Download those of `files` that `folder` lacks; each mirror is tried in turn for each file.

    Args:
        files: name -> size and checksum.
        folder: made if it does not exist.
        mirrors: http or https addresses of folders.
        progress: a progress bar on stderr, if that is a terminal.
        timeout: seconds that a mirror may be silent.
        patience: seconds that one file may take from one mirror.

    Raises:
        InputError: a file came from no mirror; the message says why from each, and how to place the files by hand.
            `folder` holds only whole files with the right checksum.
    """
    missing = {name: remote for name, remote in files.items() if not os.path.exists(folder / name)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, ValueError) as error:
        raise InputError(f"folder {short(folder)!r} for downloads cannot be made or written: {reason(error)}") from None
    with _bar(sum(remote.size for remote in missing.values()), progress) as advance:
        for name, remote in missing.items():
            reasons = []
            for mirror in [mirrors] if isinstance(mirrors, str) else mirrors:
                problem = _try(mirror.rstrip("/") + "/" + name, folder / name, remote, timeout, patience, advance)
                if problem is None:
                    break
                reasons.append(f"{short(mirror)}: {problem}")
            else:
                raise InputError(_advice(name, files, folder, reasons))


def _try(
    address: str, target: Path, remote: Remote, timeout: float, patience: float, advance: Callable[[int], None]
) -> str | None:
    """None when `target` is there with the right checksum, else the reason why it is not."""
    if not address.startswith(("http://", "https://")):
        return "no http or https address"
    # lazy: it brings tqdm, which warns in a notebook without widgets, and few data are downloaded
    import pooch

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)  # pooch tells of each file on stderr; the bar does
    try:
        receiver = _Receiver(remote, timeout, patience, advance)
        pooch.retrieve(address, known_hash=None, fname=target.name, path=target.parent, downloader=receiver)
        return None
    except _Wrong as wrong:
        return str(wrong)
    except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
        return _reason(error)
    finally:
        logger.setLevel(level)


class _Wrong(Exception):
    """What a mirror served is not the file; the message says how."""


@dataclass(frozen=True)
class _Receiver:
    """A downloader as pooch calls it; what it writes is the right file, or it raises and pooch keeps nothing.

    pooch's own knows neither of the limits that a mirror of no account needs: on what is unzipped, which alone has a
    known checksum, and on the time that a mirror takes which is never silent for long.
    """

    remote: Remote
    timeout: float
    patience: float
    advance: Callable[[int], None]

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:
        content = _Content(self.remote.size)
        request = urllib.request.Request(url, headers={"User-Agent": "initlab"})
        with open(output_file, "wb") as out, urllib.request.urlopen(request, timeout=self.timeout) as response:
            promised = response.headers.get("Content-Length")
            received = self._copy(response, out, content)
        if promised and promised.isdigit() and received < int(promised):
            raise _Wrong(f"cut after {received:,} of {int(promised):,} bytes")
        if not content.whole or content.size < self.remote.size:
            raise _Wrong(f"cut after {content.size:,} of {self.remote.size:,} unzipped bytes")
        if content.sha256 != self.remote.sha256:
            raise _Wrong("wrong checksum")

    def _copy(self, response: http.client.HTTPResponse, out: BinaryIO, content: _Content) -> int:
        received, deadline = 0, time.monotonic() + self.patience
        while piece := response.read1(_PIECE):
            received += len(piece)
            if time.monotonic() > deadline:
                raise _Wrong(f"too slow: {received:,} bytes in {self.patience:g} s")
            out.write(piece)
            self.advance(content.add(piece))
            if content.size > self.remote.size:
                raise _Wrong(f"more than the {self.remote.size:,} bytes that are right")
        return received


class _Content:
    """The unzipped content of one gzip stream, piece by piece: its size and SHA-256, never more than `limit` + 1."""

    def __init__(self, limit: int) -> None:
        self._unzip = zlib.decompressobj(wbits=31)
        self._digest = hashlib.sha256()
        self._limit = limit
        self.size = 0

    def add(self, piece: bytes) -> int:
        """Take in `piece`; how many bytes it unzipped to."""
        before = self.size
        while piece and self.size <= self._limit:
            part = self._unzip.decompress(piece, _PIECE)
            self._digest.update(part)
            self.size += len(part)
            if self._unzip.eof and self._unzip.unused_data:
                self.size = self._limit + 1
            piece = self._unzip.unconsumed_tail
        return self.size - before

    @property
    def whole(self) -> bool:
        return self._unzip.eof

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, TimeoutError):
        return "timed out"
    inner = getattr(error, "reason", None)
    cause = inner if isinstance(inner, Exception) else error
    said = str(getattr(cause, "strerror", None) or cause)
    return "timed out" if isinstance(cause, TimeoutError) else " ".join(said.split())[:120]


def _advice(name: str, files: Mapping[str, Remote], folder: Path, reasons: Sequence[str]) -> str:
    tried = "; ".join(reasons) or "no mirror given"
    return (
        f"{name} could not be downloaded ({tried}). To place it by hand: put {', '.join(files)} "
        f"in {folder}, or in a folder mnist under $INITLAB_DATA"
    )


@contextlib.contextmanager
def _bar(total: int, wanted: bool) -> Iterator[Callable[[int], None]]:
    if not (wanted and total and sys.stderr.isatty()):
        yield lambda count: None
        return
    # lazy: rich moves Python's random state when it is first imported, and few downloads show a bar
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # lazy: as above

    columns = (TextColumn("downloading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("download", total=total)
        yield lambda count: bar.advance(task, count)
