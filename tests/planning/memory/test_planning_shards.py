"""Promises 2 and 21: any shard equals the slice of the full tensor, in real processes and every layout of torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from group import lines_of_rank_0
from torch import nn

from initlab.errors import InputError
from initlab.planning.memory.drawing import Job, write_one
from initlab.planning.memory.shards import part_of
from initlab.sampling import laws, sample

HERE = Path(__file__).parents[1]
CASES = {1: 20 + 8, 2: 20 + 8, 4: 30 + 10}  # of the two workers, by processes


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[str]]:
    folder = tmp_path_factory.mktemp("groups")
    return lines_of_rank_0(tuple(CASES), folder, HERE / "shard_worker.py", HERE / "streams_worker.py")


@pytest.mark.parametrize("world", CASES)
def test_promises_02_and_21_shards_equal_the_slices_of_the_whole(world: int, lines: dict[int, list[str]]) -> None:
    """Of a plan's start, and of a model's own start within `streams`."""
    assert [line for line in lines[world] if not line.startswith("ok ")] == []
    assert len(lines[world]) == CASES[world]


def test_a_plain_tensor_is_one_block() -> None:
    part = part_of("w", torch.zeros(3, 4))
    assert part.whole
    assert part.blocks == (((slice(0, 3), slice(0, 4)), (slice(0, 3), slice(0, 4))),)


class _Striped:
    """Each of two processes holds every second pair of rows, so that its part is several runs of the whole."""

    dim = 0

    def is_partial(self) -> bool:
        return False

    def _split_tensor(self, index: torch.Tensor, count: int, **kwargs: bool) -> tuple[list[torch.Tensor], None]:
        pairs = index.reshape(-1, 2)
        return [pairs[0::2].reshape(-1), pairs[1::2].reshape(-1)], None


class _Mesh:
    def get_coordinate(self) -> list[int]:
        return [1]

    def size(self, axis: int) -> int:
        return 2


@pytest.mark.parametrize("law", [laws.Normal(), laws.Orthogonal(), laws.Sparse(0.1, 0.5)])
def test_a_shard_of_several_runs_is_drawn_run_by_run(law: laws.Law) -> None:
    tensor, local = nn.Parameter(torch.zeros(8, 3)), torch.zeros(4, 3)
    tensor._local_tensor, tensor.device_mesh, tensor.placements = local, _Mesh(), (_Striped(),)  # type: ignore[attr-defined]
    part = part_of("w", tensor)
    assert [rows for _, (rows, _) in part.blocks] == [slice(2, 4), slice(6, 8)]
    write_one(Job("w", tensor, part, law), seed=1)
    whole = torch.from_numpy(sample(law, (8, 3), seed=1, name="w"))
    assert torch.equal(local, whole[[2, 3, 6, 7]])


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
