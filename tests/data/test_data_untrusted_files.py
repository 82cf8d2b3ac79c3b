"""Promise 14 and the rows on files: untrusted files are data, nothing is unpickled, no code runs from them."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from initlab.data import load_arrays, load_weights
from initlab.errors import InputError

MARKER = "marker-of-code-that-ran"


class RunsCode:
    """Unpickling this makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.marker}",))


def zipped(members: dict[str, bytes], **sizes: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return out.getvalue()


def npy(array: np.ndarray, **keys: bool) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **keys)  # type: ignore[arg-type]  # allow_pickle alone is passed
    return out.getvalue()


def npy_header(shape: str, descr: str = "'<f8'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def safe(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(begin: int, end: int, shape: list[int] | None = None, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


def torch_file(value: object, **keys: bool) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, **keys)  # type: ignore[arg-type]  # booleans alone are passed
    return out.getvalue()


def script_file() -> bytes:
    out = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), out)
    return out.getvalue()


def expanded() -> bytes:
    return torch_file({"w": torch.zeros(1).expand(2**40)})


GOOD = torch_file({"weight": torch.ones(64, 64)})
F4 = b"\0" * 4

WEIGHTS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "pickle that runs code": (lambda p: pickle.dumps(RunsCode(p)), "bare pickle"),
    "protocol 0 pickle that runs code": (lambda p: pickle.dumps(RunsCode(p), protocol=0), "bare pickle"),
    "zip whose pickle runs code": (lambda p: torch_file(RunsCode(p)), "asks for code"),
    "state_dict beside code": (lambda p: torch_file({"w": torch.zeros(1), "x": RunsCode(p)}), "asks for code"),
    "old form whose pickle runs code": (
        lambda p: torch_file(RunsCode(p), _use_new_zipfile_serialization=False),
        "bare pickle",
    ),
    "whole module": (lambda p: torch_file(nn.Linear(2, 2)), "asks for code"),
    "bare pickle": (lambda p: pickle.dumps({"a": 1}), "bare pickle"),
    "TorchScript": (lambda p: script_file(), "TorchScript"),
    "empty": (lambda p: b"", "is empty"),
    "three bytes": (lambda p: b"abc", "neither safetensors"),
    "cut": (lambda p: GOOD[: len(GOOD) // 2], "cut or broken"),
    "zip of nothing": (lambda p: zipped({}), "without a state_dict"),
    "zip of something else": (lambda p: zipped({"a/data.pkl": b"nonsense"}), "cut or broken"),
    "deflated bomb": (lambda p: zipped({"a/data.pkl": b"\0" * 2**23}), "unpacks to"),
    "a list": (lambda p: torch_file([torch.zeros(1)]), "holds a list"),
    "numbers": (lambda p: torch_file({"epoch": 3}), "keys 'epoch'"),
    "expanded to 4 TB": (lambda p: expanded(), "more than is stored"),
    "sparse": (lambda p: torch_file({"w": torch.eye(3).to_sparse()}), "no dense tensor|cut or broken"),
    "nested": (lambda p: torch_file({"w": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}), "no dense"),
    "without memory": (lambda p: torch_file({"w": torch.empty(3, device="meta")}), "no dense tensor"),
    "no entries": (lambda p: torch_file({}), "holds a dict, no name"),
    ".npy": (lambda p: npy(np.zeros(3)), "one array without names"),
    ".npz of objects": (
        lambda p: zipped({"a.npy": npy(np.array([{}]), allow_pickle=True)}),
        "objects would need unpickling",
    ),
    "text": (lambda p: b"hello, this is text", "neither safetensors"),
    "safetensors: duplicate names": (
        lambda p: safe(
            b'{"a":' + json.dumps(entry(0, 4)).encode() + b',"a":' + json.dumps(entry(0, 4)).encode() + b"}", F4
        ),
        "names one tensor twice",
    ),
    "safetensors: header longer than the file": (lambda p: safe({"a": entry(0, 4)}, F4, length=2**40), "declares"),
    "safetensors: header length 2^63": (lambda p: struct.pack("<Q", 2**63) + b"{}", "declares"),
    "safetensors: header no JSON": (lambda p: safe(b"{nope}"), "no JSON"),
    "safetensors: deep header": (lambda p: safe(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "is broken"),
    "safetensors: overlap": (
        lambda p: safe({"a": entry(0, 8), "b": entry(4, 12)}, F4 * 3),
        "invalid offset for tensor `b`",
    ),
    "safetensors: hole": (
        lambda p: safe({"a": entry(0, 4), "b": entry(8, 12)}, F4 * 3),
        "invalid offset for tensor `b`",
    ),
    "safetensors: bytes left over": (lambda p: safe({"a": entry(0, 4)}, F4 * 2), "not fully covered"),
    "safetensors: bytes missing": (lambda p: safe({"a": entry(0, 8)}, F4), "not fully covered"),
    "safetensors: shape disagrees": (lambda p: safe({"a": entry(0, 4, [2])}, F4), "invalid shape"),
    "safetensors: negative": (lambda p: safe({"a": entry(-4, 0, [1])}, F4), "expected usize"),
    "safetensors: unknown dtype": (lambda p: safe({"a": entry(0, 4, dtype="Q7")}, F4), "unknown variant `Q7`"),
    "safetensors: dtype is a list": (lambda p: safe({"a": entry(0, 4) | {"dtype": ["F32"]}}, F4), "expected string"),
    "safetensors: a size of 5,000 digits": (
        lambda p: safe(b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}', F4),
        "no JSON",
    ),
    "safetensors: sizes beyond 64 bits around a zero": (
        lambda p: safe({"a": entry(0, 0, [2**47, 2**47, 0])}),
        "no size",
    ),
    "safetensors: 10,000 axes": (lambda p: safe({"a": entry(0, 4, [1] * 10_000)}, F4), "no size"),
    "safetensors: list": (lambda p: safe(b"[1, 2]  "), "neither safetensors"),
    "safetensors: entry is a number": (lambda p: safe({"a": 3}), "lacks dtype"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_a_hostile_or_broken_weight_file_is_refused_and_runs_nothing(tmp_path: Path, kind: str) -> None:
    make, words = WEIGHTS[kind]
    path = tmp_path / "weights.pt"
    path.write_bytes(make(tmp_path / MARKER))
    with pytest.raises(InputError, match=words) as caught:
        load_weights(path)
    assert not (tmp_path / MARKER).exists()
    assert_one_line(caught.value)


def assert_one_line(error: InputError) -> None:
    assert "\n" not in str(error)
    assert len(str(error)) < 600


def test_a_file_larger_than_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """8 TB that take no room on the disk: a header, and a hole after it."""
    path = tmp_path / "x.safetensors"
    header = safe({"a": entry(0, 2**43)})
    path.write_bytes(header)
    try:
        os.truncate(path, len(header) + 2**43)
    except OSError as error:
        pytest.skip(f"no file of 8 TB here: {error}")
    with pytest.raises(InputError, match=r"has 8,192.0 GiB; .* are to be had"):
        load_weights(path)


def test_the_marker_would_appear_if_the_pickle_ran(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(RunsCode(tmp_path / MARKER)))
    assert (tmp_path / MARKER).exists()


ARRAYS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "object array": (
        lambda p: npy(np.array([RunsCode(p)], dtype=object), allow_pickle=True),
        "objects would need unpickling",
    ),
    "object array in a zip": (
        lambda p: zipped({"X.npy": npy(np.array([RunsCode(p)], dtype=object), allow_pickle=True)}),
        "objects would need unpickling",
    ),
    "8 TB declared": (lambda p: npy_header("(1000000, 1000000)"), "declares the shape"),
    "8 TB declared in a zip": (lambda p: zipped({"X.npy": npy_header("(1000000, 1000000)")}), "declares the shape"),
    "negative shape": (lambda p: npy_header("(-4,)") + b"\0" * 32, "sizes from 0 on"),
    "boolean shape": (lambda p: npy_header("(True,)") + b"\0" * 8, "sizes from 0 on"),
    "sizes beyond 64 bits around a zero": (lambda p: npy_header(f"(0, {2**80})"), "cut or broken"),
    "header of brackets": (lambda p: npy_header("(" * 3000 + ")" * 3000), "cut or broken"),
    "128-bit numbers": (lambda p: npy(np.zeros(3, np.longdouble)), "at most 64 bits"),
    "shape beyond the file": (lambda p: npy_header("(9,)") + b"\0" * 8, "declares the shape|has 8 bytes"),
    "header that is code": (lambda p: npy_header(f"__import__('os').system('touch {p}')"), "cut or broken"),
    "text": (lambda p: zipped({"X.npy": npy(np.array(["a"]))}), "objects would need unpickling"),
    "member with a path": (lambda p: zipped({"../../x.npy": npy(np.zeros(1))}), "plain names"),
    "member with a folder": (lambda p: zipped({"a/x.npy": npy(np.zeros(1))}), "plain names"),
    "two members of one name": (lambda p: zipped({"x.npy": npy(np.zeros(1)), "x": npy(np.ones(1))}), "of one name"),
    "member that is no array": (lambda p: zipped({"x.npy": b"nonsense"}), "cut or broken"),
    "zip bomb": (lambda p: zipped({"x.npy": npy(np.zeros(2**21))}), "unpacks to"),
    "cut zip": (lambda p: zipped({"x.npy": npy(np.zeros(99))})[:-30], "cut or broken"),
    "empty": (lambda p: b"", "is empty"),
    "three bytes": (lambda p: b"PK\x03", "cut or broken|neither"),
    "format version 9": (lambda p: b"\x93NUMPY\x09\x00" + b"\0" * 99, "cut or broken|format version"),
    "something else": (lambda p: b"hello there", "neither a .npy nor a .npz"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_a_hostile_or_broken_array_file_is_refused_and_runs_nothing(tmp_path: Path, kind: str) -> None:
    make, words = ARRAYS[kind]
    path = tmp_path / "data.npz"
    path.write_bytes(make(tmp_path / MARKER))
    with pytest.raises(InputError, match=words) as caught:
        load_arrays(path, most_bytes=2**23)
    assert not (tmp_path / MARKER).exists()
    assert_one_line(caught.value)


def test_text_is_read_where_labels_are_right_and_only_if_it_is_characters(tmp_path: Path) -> None:
    path = tmp_path / "labels.npy"
    for labels in (np.array(["cat", "고양이"]), np.array(["a"], dtype=">U3")):
        np.save(path, labels)
        assert load_arrays(path, text=True)["array"].tolist() == labels.tolist()
    path.write_bytes(npy(np.array([2**31], np.uint32)).replace(b"<u4", b"<U1"))
    with pytest.raises(InputError, match="what is no character"):
        load_arrays(path, text=True)


def directory(folder: Path) -> Path:
    return folder


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "x")
    return folder / "x"


def zeros(folder: Path) -> Path:
    return Path("/dev/zero")


def missing(folder: Path) -> Path:
    return folder / "missing"


def dangling(folder: Path) -> Path:
    (folder / "x").symlink_to(folder / "nowhere")
    return folder / "x"


def loop(folder: Path) -> Path:
    (folder / "x").symlink_to(folder / "x")
    return folder / "x"


def null_byte(folder: Path) -> Path:
    return folder / "a\0b"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("load", [load_weights, load_arrays])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (directory, "is a directory"),
        (fifo, "no ordinary file"),
        (zeros, "no ordinary file"),
        (missing, "No such file"),
        (dangling, "No such file"),
        (loop, "symbolic links"),
        (null_byte, "null"),
    ],
)
def test_what_is_no_ordinary_file_is_refused_at_once(
    tmp_path: Path, load: Callable[[Path], object], make: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        load(make(tmp_path))


def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(GOOD)
    path.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:  # root reads what nobody may read
            os.seteuid(65534)
        with pytest.raises(InputError, match="Permission denied"):
            load_weights(path)
    finally:
        os.seteuid(user)


def test_good_files_of_every_format_give_the_same_weights(tmp_path: Path) -> None:
    state = {"a.weight": torch.randn(3, 4), "a.bias": torch.zeros(4), "n": torch.tensor(3), "e": torch.empty(0, 2)}
    torch.save(state, tmp_path / "zip.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "checkpoint.pt")
    save_file(state, tmp_path / "x.safetensors", metadata={"format": "pt"})
    np.savez(tmp_path / "x.npz", **{name: value.numpy() for name, value in state.items()})
    for name in ("zip.pt", "checkpoint.pt", "x.safetensors", "x.npz"):
        found = load_weights(tmp_path / name)
        assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in state.items()}, name
        assert all(torch.equal(found[k], state[k]) for k in state), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int8, torch.bool, torch.uint8])
def test_safetensors_dtypes_agree_with_the_library(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {"w": torch.arange(6).reshape(2, 3).to(dtype)}
    save_file(state, tmp_path / "x.safetensors")
    assert torch.equal(load_weights(tmp_path / "x.safetensors")["w"], state["w"])


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6, dtype=">f4"),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(3.5),
        np.zeros((0, 2)),
    ],
)
def test_good_arrays_come_back(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    np.savez_compressed(tmp_path / "x.npz", X=array)
    assert np.array_equal(load_arrays(tmp_path / "x.npy")["array"], array)
    assert np.array_equal(load_arrays(tmp_path / "x.npz")["X"], array)
    assert np.array_equal(load_weights(tmp_path / "x.npz")["X"].numpy(), array)


@pytest.mark.parametrize("length", [0x180, 0x4B50, 0x63])
def test_a_safetensors_file_whose_length_looks_like_another_format_is_read(tmp_path: Path, length: int) -> None:
    """0x80 begins a pickle, "PK" a zip file, "c" an older pickle: here each is the header's length."""
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({"w": entry}, separators=(",", ":")).encode()
    header = json.dumps({"w" * (1 + max(0, length - len(header))): entry}, separators=(",", ":")).encode()
    assert len(header) == length
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", length) + header + struct.pack("<f", 2.5))
    (loaded,) = load_weights(tmp_path / "w.safetensors").values()
    assert loaded.tolist() == [2.5]
