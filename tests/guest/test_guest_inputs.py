"""Nested tensors walked and rebuilt; a batch made the arguments of a call; what is no batch refused."""

from __future__ import annotations

import dataclasses
from collections import UserDict
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from initlab.errors import InputError
from initlab.guest.batch import batch_of
from initlab.guest.inputs import call_arguments, check_values, mapped, named_tensors, taken_by, tensors_in

A, B = torch.zeros(2), torch.ones(3)


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclasses.dataclass
class Record:
    a: Any
    n: int = 3


class Plain:
    def __init__(self) -> None:
        self.inner, self.itself = {"x": A}, self


# value -> the paths of its tensors
VALUES: dict[str, tuple[Any, list[str]]] = {
    "a tensor": (A, ["v"]),
    "none": (None, []),
    "text and numbers": (["ab", 1, 2.5, True, torch.float32], []),
    "a list in a tuple": ((1, [A, B]), ["v[1][0]", "v[1][1]"]),
    "a dict": ({"x": A, 3: B}, ["v['x']", "v[3]"]),
    "a mapping": (UserDict({"x": A}), ["v['x']"]),
    "a named tuple": (Pair(A, [B]), ["v.a", "v.b[0]"]),
    "a dataclass": (Record({"k": A}), ["v.a['k']"]),
    "a slice": (slice(A, None, 2), ["v.start"]),
    "a packed sequence": (pack_sequence([A]), ["v.data", "v.batch_sizes"]),
    "a module": (nn.Linear(2, 2), []),
}


@pytest.mark.parametrize("name", VALUES)
def test_tensors_are_found_with_their_paths(name: str) -> None:
    value, paths = VALUES[name]
    found = list(named_tensors(value, "v"))
    assert [path for path, _ in found] == paths
    assert [id(t) for t in tensors_in(value)] == [id(t) for _, t in found]


def test_objects_that_hold_themselves_end() -> None:
    assert next(named_tensors(Plain()))[0] == "output.inner['x']"
    assert {id(t) for t in tensors_in(Plain())} == {id(A)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (A, 2),
        ((A, [B, "x"]), (2, [3, "x"])),
        (UserDict({"x": A, "n": 1}), {"x": 2, "n": 1}),
        (Pair(A, 4), Pair(2, 4)),
        (slice(A, B), slice(2, 3)),
        (torch.Size([2, 3]), (2, 3)),
    ],
    ids=["a tensor", "a list in a tuple", "a mapping", "a named tuple", "a slice", "a size"],
)
def test_tensors_are_replaced(value: Any, expected: Any) -> None:
    assert mapped(value, len) == expected


def test_a_packed_sequence_is_rebuilt() -> None:
    packed = mapped(pack_sequence([A, A]), lambda t: t.to("meta"))
    assert isinstance(packed, PackedSequence)
    assert packed.data.is_meta


@pytest.mark.parametrize(
    ("given", "args", "kwargs"),
    [
        (A, (torch.float32,), {}),
        (np.zeros(2), (torch.float32,), {}),
        (np.zeros(2, dtype=np.float16), (torch.float16,), {}),
        ([np.arange(2), A], (torch.int64, torch.float32), {}),
        (UserDict({"x": np.zeros(2)}), (), {"x": torch.float32}),
        ({"x": A, "n": 3}, (), {"x": torch.float32, "n": 3}),
        (pack_sequence([A]), (PackedSequence,), {}),
    ],
)
def test_a_batch_becomes_arguments(given: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    def kind(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.dtype
        return value if isinstance(value, int) else type(value)

    positional, named = call_arguments(given)
    assert tuple(map(kind, positional)) == args
    assert {key: kind(value) for key, value in named.items()} == kwargs


def test_a_list_stays_a_list() -> None:
    args, _ = call_arguments((A, [B.numpy(), [B]], [], (B,)))
    assert [type(arg) for arg in args[1:]] == [list, list, tuple]
    assert args[2] == []
    assert isinstance(args[1][1], list)


def test_lists_reach_a_model_as_lists() -> None:
    class Tables(nn.Module):
        def forward(self, numbers: list[torch.Tensor], none: list[torch.Tensor]) -> torch.Tensor:
            return torch.cat(numbers + none)

    assert batch_of(Tables(), ([A, B], [])).args[1] == []


def test_the_users_arrays_are_not_shared() -> None:
    array = np.zeros(2, dtype=np.float32)
    (tensor,), _ = call_arguments(array)
    tensor.add_(1)
    assert array.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("digits", "batch must be a tensor or array, .* got the str 'digits'"),
        (None, "got NoneType"),
        ((1, 2), "got tuple with no tensor"),
        (np.array(["a"]), "batch must hold numbers; got an array of dtype <U1"),
        (torch.zeros(0, 3), r"batch must hold at least one sample; got a tensor of shape \(0, 3\)"),
        ({"x": torch.zeros(2, device="meta")}, "batch must hold values"),
        ((A, torch.tensor([1.0, torch.nan])), "batch must be finite; 1 of 2 values"),
        (torch.sparse_coo_tensor([[0]], [torch.inf], (3,)), "batch must be finite; 1 of 1"),
        ({"x": torch.nested.nested_tensor([A, B], layout=torch.jagged)}, "batch must not be nested, .* pad them"),
    ],
)
def test_what_is_no_batch_is_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_values(*call_arguments(given, "batch"), "batch")


def test_arguments_go_where_the_parameters_are() -> None:
    model = nn.Linear(2, 2).double()
    args, kwargs = taken_by(model, (A, torch.arange(2)), {"x": [A]})
    assert [t.dtype for t in tensors_in((args, kwargs))] == [torch.float64, torch.int64, torch.float64]
    assert taken_by(nn.ReLU(), (A,), {}) == ((A,), {})
