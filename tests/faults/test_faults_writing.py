"""Promise 12: a fault at every step before the first write, and an interrupt between every two writes."""

from __future__ import annotations

import os
import signal
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import initlab
from initlab.errors import InputError, InterruptedInitError
from initlab.planning import planner, writer
from initlab.planning.memory import drawing, shards
from initlab.planning.parameters import scene
from initlab.planning.writing import cautions


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.lstm = nn.LSTM(8, 8)
        self.head = nn.Linear(8, 4, dtype=torch.bfloat16)


def bits(model: nn.Module) -> dict[str, bytes]:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {n: t.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() for n, t in tensors}


NAMES = [name for name, _ in Model().named_parameters()]

# Every function that stands between the call and the first write, by where it is looked up.
STEPS = [
    (writer, "seed_number"),
    (writer, "walk"),
    (writer, "make_plan"),
    (scene, "geometry_of"),
    (planner, "read_policy"),
    (planner, "claims_of"),
    (planner, "_entry"),
    (cautions, "equal_warnings"),
    (writer, "keep_also"),
    (writer, "matched"),
    (writer, "check_account"),
    (writer, "prepare"),
    (writer, "check_writable"),
    (drawing, "check_range"),
    (shards, "part_of"),
    (writer, "check_apart"),
    (writer, "check_kept"),
    (writer, "_kept_warnings"),
]


def failing(original: Callable[..., Any], at: int, error: BaseException) -> Callable[..., Any]:
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise error
        return original(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
@pytest.mark.parametrize(
    "error", [RuntimeError("planted"), KeyboardInterrupt(), MemoryError()], ids=["error", "ctrl-c", "memory"]
)
def test_promise_12_a_fault_before_the_first_write_changes_nothing(
    module: Any, step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model()
    before = bits(model)
    monkeypatch.setattr(module, step, failing(getattr(module, step), 1, error))
    with pytest.raises(type(error)):
        initlab.init_(model, {"conv.weight": "he_normal"}, keep="head.bias")
    assert bits(model) == before


def frozen(tensor: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


BAD_LAST = [
    ("integer", lambda m: m.register_parameter("zz", frozen(torch.zeros(2, 2, dtype=torch.int8)))),
    ("expanded", lambda m: m.register_parameter("zz", nn.Parameter(torch.zeros(2, 1).expand(2, 2)))),
    ("meta", lambda m: m.add_module("zz", nn.Linear(2, 2, device="meta"))),
    ("lazy", lambda m: m.add_module("zz", nn.LazyLinear(2))),
    ("overlap", lambda m: m.register_parameter("zz", nn.Parameter(m.conv.weight.data.view(-1)[:4].view(2, 2)))),
    ("cyclic", lambda m: m.head.add_module("zz", m)),
    ("poisoned", lambda m: m.register_parameter("zz", frozen(torch.full((2, 2), torch.nan)))),
]


def _asked_for(item: object) -> bool:
    """Whether a parameter is named in the policy: a frozen one of whole numbers is kept by any that is not."""
    return isinstance(item, nn.Parameter) and (item.requires_grad or not item.is_floating_point())


@pytest.mark.parametrize("damage", [case[1] for case in BAD_LAST], ids=[case[0] for case in BAD_LAST])
def test_promise_12_a_bad_last_parameter_stops_the_first_write(damage: Callable[[nn.Module], None]) -> None:
    model = Model()
    damage(model)
    before = bits(model.conv)
    policy = {"**": "normal", "zz": "normal"} if _asked_for(getattr(model, "zz", None)) else "normal"
    with pytest.raises(InputError):
        initlab.init_(model, policy)
    assert bits(model.conv) == before


@pytest.mark.parametrize("at", range(1, len(NAMES) + 1))
@pytest.mark.parametrize("when", ["before", "after"])
def test_promise_12_an_interrupt_between_two_writes_lists_both_sides(
    at: int, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, target = Model(), Model()
    initlab.init_(target, seed=3)
    before, new = bits(model), bits(target)
    original, calls = writer.write_one, 0

    def interrupted(job: writer.Job, seed: int) -> None:
        nonlocal calls
        calls += 1
        if when == "after":
            original(job, seed)
        if calls == at:
            raise KeyboardInterrupt
        if when == "before":
            original(job, seed)

    monkeypatch.setattr(writer, "write_one", interrupted)
    with pytest.raises(InterruptedInitError, match="KeyboardInterrupt") as caught:
        initlab.init_(model, seed=3)
    error, after = caught.value, bits(model)
    assert [*error.written, *error.unwritten] == NAMES
    assert len(error.written) == at
    assert all(after[name] == new[name] for name in error.written)
    assert all(after[name] == before[name] for name in error.unwritten)
    assert isinstance(error.__cause__, KeyboardInterrupt)


@pytest.mark.parametrize("at", range(1, len(NAMES)))
def test_promise_12_ctrl_c_lands_between_two_writes(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, target = Model(), Model()
    initlab.init_(target, seed=3)
    before, new = bits(model), bits(target)
    original, calls = writer.write_one, 0

    def signalled(job: writer.Job, seed: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGINT)
        original(job, seed)

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(writer, "write_one", signalled)
    with pytest.raises(InterruptedInitError, match="KeyboardInterrupt") as caught:
        initlab.init_(model, seed=3)
    assert list(caught.value.written) == NAMES[:at]
    assert calls == at
    assert all(bits(model)[name] == (new if name in NAMES[:at] else before)[name] for name in NAMES)
    assert signal.getsignal(signal.SIGINT) is handler


def test_promise_12_ctrl_c_in_the_last_write_leaves_a_whole_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model, target = Model(), Model()
    initlab.init_(target, seed=3)
    original = writer.write_one

    def signalled(job: writer.Job, seed: int) -> None:
        if job.name == NAMES[-1]:
            os.kill(os.getpid(), signal.SIGINT)
        original(job, seed)

    monkeypatch.setattr(writer, "write_one", signalled)
    with pytest.raises(KeyboardInterrupt):
        initlab.init_(model, seed=3)
    assert bits(model) == bits(target)


@pytest.mark.parametrize("at", range(1, len(NAMES) + 1))
@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("planted")], ids=["ctrl-c", "memory"])
def test_promise_12_rollback_brings_every_bit_back(
    at: int, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model()
    before = bits(model)
    half = failing_after_half(writer.write_one, at, error)
    monkeypatch.setattr(writer, "write_one", half)
    with pytest.raises(InterruptedInitError, match="rolled back") as caught:
        initlab.init_(model, seed=3, rollback=True)
    assert bits(model) == before
    assert caught.value.written == ()
    assert list(caught.value.unwritten) == NAMES


def failing_after_half(original: Callable[..., None], at: int, error: BaseException) -> Callable[..., None]:
    """Write half of one parameter, then fail."""
    calls = 0

    def wrapped(job: writer.Job, seed: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            with torch.no_grad():
                job.part.tensor.detach()[: max(1, job.part.tensor.shape[0] // 2)] = 7
            raise error
        original(job, seed)

    return wrapped


def test_promise_12_a_parameter_broken_off_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model, target = Model(), Model()
    initlab.init_(target, seed=3)
    monkeypatch.setattr(writer, "write_one", failing_after_half(writer.write_one, 2, KeyboardInterrupt()))
    with pytest.raises(InterruptedInitError) as caught:
        initlab.init_(model, seed=3)
    assert list(caught.value.written) == NAMES[:2]
    assert all(bits(model)[name] == bits(target)[name] for name in NAMES[:2])


def test_promise_12_what_cannot_be_finished_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = writer.write_one

    def broken(job: writer.Job, seed: int) -> None:
        if job.name == NAMES[2]:
            raise MemoryError
        original(job, seed)

    monkeypatch.setattr(writer, "write_one", broken)
    with pytest.raises(InterruptedInitError, match=f"'{NAMES[2]}' may be partly written") as caught:
        initlab.init_(Model(), seed=3)
    assert list(caught.value.written) == NAMES[:2]
    assert caught.value.unwritten[0] == NAMES[2]


def test_promise_12_after_an_interrupt_the_same_call_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    model, target = Model(), Model()
    initlab.init_(target, seed=3)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_one", failing(writer.write_one, 4, KeyboardInterrupt()))
        with pytest.raises(InterruptedInitError):
            initlab.init_(model, seed=3)
    initlab.init_(model, seed=3)
    assert bits(model) == bits(target)


class Made(TorchDispatchMode):
    """The size in bytes of the largest tensor that torch makes: tracemalloc sees python's and numpy's memory alone."""

    largest = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and not function.is_view:
            self.largest = max(self.largest, out.untyped_storage().nbytes())
        return out


@pytest.mark.parametrize("rollback", [False, True])
def test_promise_12_a_refused_call_makes_no_copy(rollback: bool) -> None:
    model = nn.Sequential(nn.Linear(512, 512), nn.Linear(4, 4))
    model[1].weight = nn.Parameter(torch.zeros(4, 4, dtype=torch.int32), requires_grad=False)
    policy = {"*": "auto", "1.weight": "normal"}
    initlab.plan(model, policy=policy)
    tracemalloc.start()
    with Made() as made, pytest.raises(InputError, match="int32"):
        initlab.init_(model, policy, rollback=rollback)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 512 * 512 * 4
    assert made.largest < 512 * 512 * 4


@pytest.mark.parametrize("rollback", [False, True])
def test_promise_12_only_rollback_makes_a_copy(rollback: bool) -> None:
    model = nn.Linear(512, 512)
    with Made() as made:
        initlab.init_(model, rollback=rollback)
    assert (made.largest >= 512 * 512 * 4) is rollback


def test_layers_drawn_from_one_stream_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    original = drawing.fill
    monkeypatch.setattr(drawing, "fill", lambda out, law, **kw: original(out, law, **{**kw, "name": "same"}))
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(3)))
    plan = initlab.init_(model, "he_normal")
    assert any("start out equal: 0.weight, 1.weight, 2.weight" in warning for warning in plan.warnings)


def test_equal_samples_are_not_taken_for_equal_tensors() -> None:
    """Two tensors that agree in the sampled elements and differ elsewhere are different."""
    model = nn.ModuleDict({"a": nn.Linear(40, 40, bias=False), "b": nn.Linear(40, 40, bias=False)})
    with torch.no_grad():
        model["b"].weight.copy_(model["a"].weight)
        model["b"].weight[0, 1] += 1
    plan = initlab.init_(model, keep="**")
    assert not plan.warnings
    with torch.no_grad():
        model["b"].weight[0, 1] = model["a"].weight[0, 1]
    assert any("start out equal" in warning for warning in initlab.init_(model, keep="**").warnings)
