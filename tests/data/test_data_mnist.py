"""MNIST: strict IDX files, where it is looked for, and downloads that are whole and right or leave nothing."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from initlab.data.download import Remote, fetch
from initlab.data.idx import read_idx
from initlab.data.mnist import FILES, MIRRORS, locate, mnist
from initlab.errors import InputError

NAMES = tuple(FILES)
RNG = np.random.default_rng(0)
TRAIN, TEST = RNG.integers(0, 256, (30, 28, 28), dtype=np.uint8), RNG.integers(0, 256, (10, 28, 28), dtype=np.uint8)
TRAIN_Y, TEST_Y = np.arange(30, dtype=np.uint8) % 10, np.arange(10, dtype=np.uint8)


def idx(array: np.ndarray, kind: int = 8, shape: tuple[int, ...] | None = None) -> bytes:
    dims = array.shape if shape is None else shape
    return bytes([0, 0, kind, len(dims)]) + b"".join(struct.pack(">I", d) for d in dims) + array.tobytes()


SMALL = dict(zip(NAMES, (idx(TRAIN), idx(TRAIN_Y), idx(TEST), idx(TEST_Y)), strict=True))
ZIPPED = {name: gzip.compress(body) for name, body in SMALL.items()}
BOMB = gzip.compress(b"\0" * 2**25)
REMOTES = {name: Remote(len(body), hashlib.sha256(body).hexdigest()) for name, body in SMALL.items()}


def place(folder: Path, **changed: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in ZIPPED.items():
        (folder / name).write_bytes(changed.get(name.split("-idx")[0].replace("-", "_"), body))
    return folder


def truncated(data: bytes) -> bytes:
    return gzip.compress(data)[:-20]


def bad_crc(data: bytes) -> bytes:
    body = bytearray(gzip.compress(data))
    body[-8] ^= 1
    return bytes(body)


def bad_body(data: bytes) -> bytes:
    body = bytearray(gzip.compress(data))
    body[len(body) // 2] ^= 255
    return bytes(body)


BROKEN = {
    "wrong magic": (gzip.compress(b"\x00\x01\x08\x03" + idx(TRAIN)[4:]), "magic number 0x00010803"),
    "signed bytes": (gzip.compress(idx(TRAIN, kind=9)), "magic number 0x00000903"),
    "floats": (gzip.compress(idx(TRAIN, kind=13)), "magic number 0x00000d03"),
    "labels for images": (gzip.compress(idx(TRAIN_Y)), "has 1 dimensions; 3 are right"),
    "four dimensions": (gzip.compress(idx(TRAIN[None])), "has 4 dimensions; 3 are right"),
    "shorter than declared": (gzip.compress(idx(TRAIN, shape=(31, 28, 28))), "ends 784 bytes short"),
    "longer than declared": (gzip.compress(idx(TRAIN, shape=(29, 28, 28))), "bytes after the 22,736 values"),
    "one byte more": (gzip.compress(idx(TRAIN) + b"\0"), "bytes after"),
    "no values": (gzip.compress(idx(TRAIN[:0])), "declares the shape"),
    "petabytes declared": (gzip.compress(idx(TRAIN, shape=(2**32 - 1, 2**16, 2**16))), "declares the shape"),
    "header alone": (gzip.compress(idx(TRAIN)[:10]), "short of the size"),
    "magic alone": (gzip.compress(b"\0\0\x08\x03"), "short of the size"),
    "gz bomb": (gzip.compress(idx(TRAIN[:1]) + b"\0" * 2**26), "bytes after the 784 values"),
    "truncated gz": (truncated(idx(TRAIN)), "cut or broken"),
    "bad CRC": (bad_crc(idx(TRAIN)), "cut or broken"),
    "bad body": (bad_body(idx(TRAIN)), "cut or broken"),
    "bytes after the gz": (gzip.compress(idx(TRAIN)) + b"junk", "cut or broken"),
    "not zipped": (idx(TRAIN), "cut or broken"),
    "empty": (b"", "is empty"),
    "three bytes": (b"\x1f\x8b\x08", "cut or broken"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_idx_file_is_refused(tmp_path: Path, kind: str) -> None:
    body, words = BROKEN[kind]
    (tmp_path / "x.gz").write_bytes(body)
    with pytest.raises(InputError, match=words) as caught:
        read_idx(tmp_path / "x.gz", 3)
    assert "\n" not in str(caught.value)


def test_a_gz_bomb_of_the_declared_size_is_refused_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("initlab.data.idx.memory_limit", lambda: 2**20)
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(np.zeros((300, 28, 28), np.uint8))))
    with pytest.raises(InputError, match=r"1 to 174,762 values are right here"):
        read_idx(tmp_path / "x.gz", 3)


def test_a_good_idx_file_comes_back(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(ZIPPED[NAMES[0]])
    assert np.array_equal(read_idx(tmp_path / "x.gz", 3), TRAIN)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"train_labels": gzip.compress(idx(TRAIN_Y[:-1]))}, "30 images and .* 29 labels"),
        ({"t10k_labels": gzip.compress(idx(TEST_Y + 1))}, "holds the label 10"),
        ({"t10k_images": gzip.compress(idx(TEST[:, :14]))}, "have the shapes"),
    ],
)
def test_files_that_disagree_are_refused(tmp_path: Path, changed: dict[str, bytes], words: str) -> None:
    with pytest.raises(InputError, match=words):
        mnist(place(tmp_path, **changed))


def test_values_are_the_files_own(tmp_path: Path) -> None:
    split = mnist(place(tmp_path), normalize=False)
    assert torch.equal(split.train[0], torch.from_numpy((TRAIN / 255).astype(np.float32)).reshape(30, 784))
    assert torch.equal(split.test[1], torch.from_numpy(TEST_Y.astype(np.int64)))
    images = mnist(tmp_path, flat=False)
    assert images.train[0].shape == (30, 1, 28, 28)
    assert images.image_shape == (28, 28)
    assert abs(float(images.train[0].double().mean())) < 1e-6
    assert abs(float(images.train[0].double().pow(2).mean()) - 1) < 1e-6


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITLAB_DATA", str(tmp_path / "shared"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert locate() == tmp_path / "cache/initlab/mnist"
    place(tmp_path / "cache/initlab/mnist")
    assert locate() == tmp_path / "cache/initlab/mnist"
    place(tmp_path / "shared/mnist")
    assert locate() == tmp_path / "shared/mnist"
    assert locate(tmp_path / "own") == tmp_path / "own"
    place(tmp_path / "own/mnist")
    assert locate(tmp_path / "own") == tmp_path / "own/mnist"
    assert len(mnist().train[1]) == 30


class Server(http.server.ThreadingHTTPServer):
    """Serves the small set; `fault` changes how."""

    fault: Callable[[http.server.BaseHTTPRequestHandler, bytes], None] | None = None
    asked: list[str]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.server.asked.append(name)
        body = ZIPPED[name]
        if self.server.fault is not None:
            self.server.fault(self, body)
        else:
            send(self, body, len(body))

    def log_message(self, *arguments: object) -> None:
        pass


def send(handler: http.server.BaseHTTPRequestHandler, body: bytes, length: int | None) -> None:
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(body)


def cut(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, body[: len(body) // 2], len(body))


def cut_without_length(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, body[: len(body) // 2], None)


def slow(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, body[:10], len(body))
    handler.wfile.flush()
    time.sleep(1.5)


def trickle(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, b"", len(body))
    for byte in body:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.05)


def forbidden(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_error(403)


def other_content(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    changed = bytearray(gzip.decompress(body))
    changed[-1] ^= 1
    zipped = gzip.compress(bytes(changed))
    send(handler, zipped, len(zipped))


def bomb(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, BOMB, len(BOMB))


def a_page(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, b"<html>log in to the network</html>", None)


def broken_http(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    handler.wfile.write(b"nonsense\r\n\r\n")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    opened = Server(("127.0.0.1", 0), Handler)
    opened.asked = []
    threading.Thread(target=opened.serve_forever, daemon=True).start()
    try:
        yield opened
    finally:
        opened.shutdown()
        opened.server_close()


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/mnist/"


def test_a_download_lands_in_the_cache_and_is_asked_for_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INITLAB_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        assert len(mnist(mirrors=[address(server)], files=REMOTES).train[1]) == 30
    assert server.asked == list(NAMES)
    assert sorted(p.name for p in (tmp_path / "initlab/mnist").iterdir()) == sorted(NAMES)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (cut, "cut after"),
        (cut_without_length, "cut after"),
        (slow, "timed out"),
        (trickle, "too slow"),
        (forbidden, "HTTP 403"),
        (other_content, "wrong checksum"),
        (bomb, "more than the"),
        (a_page, "incorrect header check"),
        (broken_http, "nonsense"),
    ],
)
def test_a_bad_download_leaves_nothing_and_says_how_to_place_the_files(
    server: Server, tmp_path: Path, fault: Callable[..., None], words: str
) -> None:
    server.fault = fault
    with pytest.raises(InputError, match=words) as caught:
        fetch(REMOTES, tmp_path / "mnist", [address(server)], timeout=0.5, patience=0.6)
    assert list((tmp_path / "mnist").iterdir()) == []
    message = str(caught.value)
    assert "\n" not in message
    assert "To place it by hand" in message
    assert str(tmp_path / "mnist") in message
    assert all(name in message for name in NAMES)


def test_a_refused_connection_is_one_reason_among_those_of_all_mirrors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"127.0.0.1:9/: Connection refused; ftp://x/: no http or https address"):
        fetch(REMOTES, tmp_path / "mnist", ["http://127.0.0.1:9/", "ftp://x/"], timeout=2)


def test_the_next_mirror_is_tried(server: Server, tmp_path: Path) -> None:
    fetch(REMOTES, tmp_path / "mnist", ["http://127.0.0.1:9/", address(server)], timeout=2)
    assert sorted(p.name for p in (tmp_path / "mnist").iterdir()) == sorted(NAMES)


def test_what_is_there_already_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / NAMES[0]).write_bytes(ZIPPED[NAMES[0]])
    fetch(REMOTES, tmp_path, [address(server)])
    assert server.asked == list(NAMES[1:])


@pytest.mark.parametrize("folder", ["file/mnist", "a\0b", "x" * 300, "/proc"])
def test_a_folder_that_cannot_be_made_or_written(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be made or written"):
        mnist(tmp_path / folder, files=REMOTES, mirrors=[])


def test_a_root_that_is_no_path() -> None:
    with pytest.raises(InputError, match="root must be a folder; got 3"):
        mnist(3)  # type: ignore[arg-type]  # the fault that is looked for


def test_the_published_files_are_of_the_published_sizes() -> None:
    sizes = {name: 16 + count * 784 for name, count in zip(NAMES[::2], (60_000, 10_000), strict=True)}
    sizes |= {name: 8 + count for name, count in zip(NAMES[1::2], (60_000, 10_000), strict=True)}
    assert {name: remote.size for name, remote in FILES.items()} == sizes
    assert all(mirror.startswith("https://") for mirror in MIRRORS)
