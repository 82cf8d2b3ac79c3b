"""Steps that are recorded and replayed, with a stand-in for a GPU's graphs (`make test-gpu` has them)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from initlab.training.engines import get_engine, vmapped
from initlab.training.engines.recorded import Recorded, Tensors, recorder
from initlab.training.task import RunSpec, Task

STEPS = 24


def replayed(work: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], object]]:
    """As a graph does: run again, over the same tensors in and out."""
    results = work()

    def replay() -> None:
        for held, new in zip(results, work(), strict=True):
            held.copy_(new)

    return results, replay


def refused(work: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], object]]:
    raise RuntimeError("operation not permitted when stream is capturing")


class Reassigning(nn.Module):
    """A buffer that each pass makes anew."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 4)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.layer(x)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
        return h - self.mean


def normalized() -> nn.Module:
    body = (nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2))
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(4, 4))


def losses(build: Callable[[], nn.Module], optimizer: str) -> tuple[np.ndarray, list]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(70, 8, generator=generator, dtype=torch.float64)
    pair = (x, x[:, :4].argmax(1))
    given = {"dtype": torch.float64, "batch_size": 16, "steps": STEPS, "drop_last": False}
    task = Task(build, pair, pair, optimizer=optimizer, **given)
    session = get_engine("stacked:4").open(task, [RunSpec(str(i), "built", None, i, 0.05, 0.0) for i in range(4)])
    progress = session.advance(STEPS)
    return np.stack([progress[str(i)].losses for i in range(4)]), list(session.evaluate("test").values())


@pytest.mark.parametrize("record", [replayed, refused])
@pytest.mark.parametrize(("build", "optimizer"), [(normalized, "sgd"), (normalized, "adam"), (Reassigning, "sgd")])
def test_replayed_steps_are_the_steps_themselves(
    monkeypatch: pytest.MonkeyPatch, build: Callable[[], nn.Module], optimizer: str, record: object
) -> None:
    expected, scores = losses(build, optimizer)
    asked: list[str] = []
    monkeypatch.setattr(vmapped, "recorder", lambda device: asked.append(device) or record)
    found, others = losses(build, optimizer)
    assert set(asked) == {"cpu"}
    np.testing.assert_array_equal(found, expected)
    assert others == scores


def test_a_pass_is_recorded_at_its_second_call_and_replayed_from_then_on() -> None:
    calls: list[int] = []

    def record(work: Callable[[], Tensors]) -> tuple[Tensors, Callable[[], object]]:
        calls.append(1)
        return replayed(work)

    doubled = Recorded(lambda x: (2 * x,), record)
    results = [doubled(torch.tensor([float(number)]))[0] for number in range(4)]
    assert len(calls) == 1
    assert float(results[3]) == 6
    assert results[1] is results[3]  # one memory, as a graph has
    assert results[0] is not results[1]


def test_nothing_is_recorded_on_a_cpu() -> None:
    assert recorder("cpu") is None
