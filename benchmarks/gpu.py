"""On one GPU: drawing beside torch, `inspect` beside a bare pass, `compare` beside the loop; each as a ratio."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

import initlab
from benchmarks.inspect_cost import bare, stack

ROUNDS = 7
SIZE = 1 << 26
STEPS = 1000  # of each run that is compared


def seconds(work: Callable[[], object]) -> float:
    """Of one call, the device's work included."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def ratio(name: str, ours: Callable[[], object], theirs: Callable[[], object], goal: str, rounds: int = ROUNDS) -> None:
    """The median of paired ratios, after two calls of each."""
    for work in (ours, theirs, ours, theirs):
        work()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    found = statistics.median(a / b for a, b in pairs)
    mine, other = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{name:46} ours {mine:9.3f} ms  beside {other:9.3f} ms  ratio {found:6.2f}  (goal {goal})", flush=True)


def drawing() -> None:
    """One large parameter of each law, and orthogonal matrices."""
    laws: dict[str, tuple[str, Callable[[torch.Tensor], object], str]] = {
        "normal": ("normal", nn.init.normal_, "<= 1.5"),
        "uniform": ("uniform", nn.init.uniform_, "<= 1.5"),
        "truncated normal": ("truncated_normal", nn.init.trunc_normal_, "<= 1"),
    }
    for dtype in (torch.float32, torch.bfloat16):
        model = nn.ParameterDict({"weight": nn.Parameter(torch.empty(SIZE // 1024, 1024, device="cuda", dtype=dtype))})
        for name, (scheme, theirs, goal) in laws.items():
            plan = initlab.plan(model, policy={"*": scheme})
            draw = functools.partial(theirs, model["weight"])
            ratio(f"{name}, {SIZE >> 20} Mi {dtype}", functools.partial(initlab.init_, model, plan), draw, goal)
    square = nn.ParameterDict({"weight": nn.Parameter(torch.empty(2048, 2048, device="cuda"))})
    plan = initlab.plan(square, policy={"*": "orthogonal"})
    theirs = functools.partial(nn.init.orthogonal_, square["weight"])
    ratio("orthogonal 2048 x 2048", functools.partial(initlab.init_, square, plan), theirs, "<= 1.5")


class Transformer(nn.Module):
    """Six encoder layers of width 512 over 64 tokens."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(512, 8, 2048, dropout=0.0, batch_first=True)
        self.body, self.head = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False), nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean(1))


def inspecting() -> None:
    """A 12-layer MLP of width 768, and a 6-layer transformer."""
    y = torch.randint(0, 10, (512,), device="cuda")
    for name, model, shape in (("12 x (Linear 768, ReLU)", stack(12, 1), (512, 768)),
                               ("6-layer transformer", Transformer(), (64, 64, 512))):  # fmt: skip
        net, x = model.cuda(), torch.randn(shape, device="cuda")
        targets = y[: len(x)]
        theirs = functools.partial(bare, net, x, targets)
        for line, goal in ((False, "<= 1.5"), (True, "five forward passes more")):
            ours = functools.partial(initlab.inspect, net, x, targets, loss=F.cross_entropy, line_probe=line)
            ratio(f"inspect, {name}{', with line' if line else ''}", ours, theirs, goal)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 11 * 11, 10),
    )  # fmt: skip


def comparing() -> None:
    """Twelve runs, beside the loop that a good user of torch writes."""
    x, y = torch.randn(8192, 784, device="cuda"), torch.randint(0, 10, (8192,), device="cuda")
    for name, build in (("MLP", mlp), ("small CNN", cnn)):

        def loop(build: Callable[[], nn.Module] = build) -> None:
            for _ in range(12):
                model = build().cuda()
                optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
                for _ in range(STEPS):
                    index = torch.randint(0, len(x), (128,), device="cuda")
                    optimizer.zero_grad()
                    F.cross_entropy(model(x[index]), y[index]).backward()
                    optimizer.step()

        ours = functools.partial(
            initlab.compare, build, (x, y), (x[:1024], y[:1024]), ["he_normal", "xavier_normal"], 6, "sgd", 0.01,
            steps=STEPS, device="cuda", evaluations=1,
        )  # fmt: skip
        ratio(f"compare, 12 runs of {name}, {STEPS} steps", ours, loop, "<= 0.17: 6 times as fast", rounds=2)


def main() -> None:
    if not torch.cuda.is_available():
        print("no CUDA device is here: nothing to measure")
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, medians of paired ratios")
    drawing()
    inspecting()
    comparing()


if __name__ == "__main__":
    main()
