"""`record` beside a bare forward pass, and the walk that finds feeds and fans beside both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from initlab.graph import geometry_of, record

ROUNDS = 7


def _encoder() -> tuple[nn.Module, torch.Tensor]:
    layer = nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, 6, enable_nested_tensor=False), torch.randn(8, 64, 256)


def _stack() -> tuple[nn.Module, torch.Tensor]:
    blocks = (part for _ in range(12) for part in (nn.Linear(768, 768), nn.GELU(), nn.LayerNorm(768)))
    return nn.Sequential(*blocks), torch.randn(512, 768)


def _convolutions() -> tuple[nn.Module, torch.Tensor]:
    blocks = (part for _ in range(6) for part in (nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()))
    return nn.Sequential(*blocks), torch.randn(8, 32, 32, 32)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Interleaved rounds; prints the medians and the ratios to the bare forward pass."""
    for name, build in (("encoder", _encoder), ("feed-forward", _stack), ("convolutions", _convolutions)):
        model, x = build()
        model.eval()
        bare, recorded, walked = [], [], []
        for _ in range(ROUNDS):
            with torch.no_grad():
                bare.append(_seconds(lambda m=model, x=x: m(x)))
            recorded.append(_seconds(lambda m=model, x=x: record(m, x)))
            graph = record(model, x)
            walked.append(_seconds(lambda m=model, g=graph: geometry_of(m, g)))
        base = statistics.median(bare)
        print(
            f"{name:13s} forward {1e3 * base:7.1f} ms   record {statistics.median(recorded) / base:5.2f} x   "
            f"feeds and fans {1e3 * statistics.median(walked):6.1f} ms"
        )


if __name__ == "__main__":
    main()
