"""Ways to compute the step of the CNN on one core: memory format, unfolding, convolutions grouped over runs."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.engines_cnn import build
from initlab.training.engines.machine import keep_freed_memory

BATCH, REPEATS = 32, 12
LAST = torch.channels_last


class Unfolded(nn.Module):
    """A convolution as one product of the unfolded images with the kernels."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        samples, _, height, width = x.shape
        patches = F.unfold(x, 3, padding=1).transpose(1, 2).reshape(samples * height * width, -1)
        out = torch.addmm(self.bias, patches, self.weight.flatten(1).t())
        return out.view(samples, height, width, -1).permute(0, 3, 1, 2)


class UnfoldedEach(Unfolded):
    """A convolution as a product for each image, which a batch of products computes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.weight.flatten(1) @ F.unfold(x, 3, padding=1) + self.bias[:, None]
        return out.unflatten(2, x.shape[2:])


def cpu_seconds(step: Callable[[], object]) -> float:
    """The least CPU seconds of a step: one thread computes, so other programs hardly change it."""
    step()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return min(times)


def training_step(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Callable[[], None]:
    """A step of SGD."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def replaced(kind: Callable[[nn.Conv2d], nn.Module]) -> nn.Module:
    """The CNN with its convolutions computed in another way."""
    return nn.Sequential(*(kind(layer) if isinstance(layer, nn.Conv2d) else layer for layer in build()))


def grouped_step(
    runs: int, x: torch.Tensor, y: torch.Tensor, memory_format: torch.memory_format
) -> Callable[[], object]:
    """The forward and backward pass of several runs on one batch, their convolutions as groups of one."""
    shapes = [(32 * runs, 1, 3, 3), (64 * runs, 32, 3, 3), (64 * runs, 64, 3, 3)]
    weights = [(0.05 * torch.randn(shape)).requires_grad_() for shape in shapes]
    last = torch.randn(runs, 64, 10, requires_grad=True)

    def step() -> object:
        h = F.conv2d(x.to(memory_format=memory_format), weights[0], padding=1).relu()
        for weight in weights[1:]:
            h = F.conv2d(F.max_pool2d(h, 2), weight, padding=1, groups=runs).relu()
        outputs = torch.bmm(h.mean((2, 3)).view(BATCH, runs, 64).transpose(0, 1), last)
        return torch.autograd.grad(F.cross_entropy(outputs.reshape(-1, 10), y.repeat(runs)), [*weights, last])

    return step


def main() -> None:
    """Print CPU milliseconds of one run's step, for images of 28x28 and of 8x8."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()  # as a worker does
    try:
        for side in (28, 8):
            x, y = torch.randn(BATCH, 1, side, side), torch.randint(0, 10, (BATCH,))
            _print_all(side, x, y)
    finally:
        torch.set_num_threads(threads)


def _print_all(side: int, x: torch.Tensor, y: torch.Tensor) -> None:
    ways = {
        "as it is": lambda: cpu_seconds(training_step(build(), x, y)),
        "channels last": lambda: cpu_seconds(training_step(build().to(memory_format=LAST), x, y)),
        "unfolded, one product": lambda: cpu_seconds(training_step(replaced(Unfolded), x, y)),
        "unfolded, a product an image": lambda: cpu_seconds(training_step(replaced(UnfoldedEach), x, y)),
    }
    for runs in (2, 4):
        for name, layout in (("", torch.contiguous_format), (", channels last", LAST)):
            ways[f"{runs} runs as groups{name}"] = lambda runs=runs, layout=layout: (
                cpu_seconds(grouped_step(runs, x, y, layout)) / runs
            )
    for name, seconds in ways.items():
        print(f"   {side}x{side} {name:32s} {1e3 * seconds():6.2f} ms a run's step, one core")


if __name__ == "__main__":
    main()
