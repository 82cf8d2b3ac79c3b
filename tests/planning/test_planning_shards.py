"""Promise 2: any shard equals the slice of the full tensor, with real processes and every way torch lays shards out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from initlab.errors import InputError
from initlab.planning.shards import part_of

WORKER = Path(__file__).parent / "shard_worker.py"
CASES = {1: 20, 2: 20, 4: 30}


@pytest.mark.parametrize("world", [1, 2, 4])
def test_promise_02_shards_equal_the_slices_of_the_whole(world: int, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    started = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), str(world), store],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        done = [process.communicate(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, errors) in zip(started, done, strict=True):
        assert process.returncode == 0, errors[-3000:]
    lines = done[0][0].splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert len(lines) == CASES[world]


def test_a_plain_tensor_is_one_block() -> None:
    part = part_of("w", torch.zeros(3, 4))
    assert part.whole
    assert part.blocks == (((slice(0, 3), slice(0, 4)), (slice(0, 3), slice(0, 4))),)


class _Placement:
    def __init__(self, text: str) -> None:
        self.text = text

    def is_partial(self) -> bool:
        return True

    def __repr__(self) -> str:
        return self.text


def test_a_partial_sum_is_refused() -> None:
    tensor = nn.Parameter(torch.zeros(3, 4))
    tensor._local_tensor, tensor.device_mesh = torch.zeros(3, 4), None  # type: ignore[attr-defined]
    tensor.placements = (_Placement("Partial(sum)"),)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"'w' is a DTensor with placement Partial\(sum\)"):
        part_of("w", tensor)
