"""Steps recorded on a GPU: launching kernels one by one is what a step of small runs pays for there.

A graph of CUDA's holds the kernels of one pass and the memory that they read and write; a replay is one launch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Tensors = tuple[torch.Tensor, ...]
Pass = Callable[..., Tensors]
# Runs a pass once and says how to run it again: into the tensors that it returned.
Record = Callable[[Callable[[], Tensors]], tuple[Tensors, Callable[[], object]]]


def recorder(device: str) -> Record | None:
    """What records passes on this device; None where launches are not what they cost."""
    if torch.device(device).type != "cuda":
        return None
    return lambda work: _graph(work, torch.device(device))


def _graph(work: Callable[[], Tensors], device: torch.device) -> tuple[Tensors, Callable[[], object]]:
    graph = torch.cuda.CUDAGraph()
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    with torch.cuda.device(device), torch.cuda.graph(graph, stream=aside):
        results = work()
    graph.replay()  # recording runs no kernel
    return results, graph.replay


class Recorded:
    """A pass that is recorded when it is called for the second time, and replayed from then on.

    The first call is as it would be without: libraries set themselves up in it. A pass that cannot be recorded (it
    copies from the host, or waits for the device) goes on as it would be without, too.

    Args:
        work: takes tensors of the same shapes and types at each call; what else it reads and writes stays in its place
            in memory. It draws no random numbers.
        record: None replays nothing.
    """

    def __init__(self, work: Pass, record: Record | None) -> None:
        self._work = work
        self._record = record
        self._warm = False
        self._given: Sequence[torch.Tensor] = ()
        self._results: Tensors = ()
        self._replay: Callable[[], object] | None = None

    def __call__(self, *given: torch.Tensor) -> Tensors:
        """What the pass returns; the next call may overwrite it."""
        if self._replay is not None:
            for place, new in zip(self._given, given, strict=True):
                place.copy_(new)
            self._replay()
            return self._results
        if self._record is None or not self._warm:
            self._warm = True
            return self._work(*given)
        held = [one.clone() for one in given]
        try:
            self._results, self._replay = self._record(lambda: self._work(*held))
        except RuntimeError:  # of CUDA; nothing ran
            self._record = None
            return self._work(*given)
        self._given = held
        return self._results
