"""What a race saves: seven starts, five seeds, raced and run out in full: winner, significance, share of run-steps.

`python -m benchmarks.studies_race "relu, 16 layers, SGD"` runs the named study alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch import nn

import initlab
from initlab.data import Split

DEPTH, WIDTH, STEPS = 5, 100, 600

Study = tuple[Callable[[], nn.Module], list[Any], dict[str, Any]]


def network(activation: Callable[[], nn.Module], depth: int = DEPTH) -> Callable[[], nn.Module]:
    """A builder of a feed-forward network on digits."""

    def build() -> nn.Module:
        layers: list[nn.Module] = []
        width = 64
        for _ in range(depth):
            layers += [nn.Linear(width, WIDTH), activation()]
            width = WIDTH
        return nn.Sequential(*layers, nn.Linear(width, 10))

    return build


def normal(std: float) -> Any:
    """N(0, std²) weights."""
    return initlab.get_scheme("normal", std=std)


def studies() -> dict[str, Study]:
    """Name -> builder, the seven starts, settings."""
    known = ["xavier_normal", "he_normal", "lecun_normal"]
    return {
        "relu, AdamW": (network(nn.ReLU), ["zeros", normal(1.0), normal(0.01), normal(0.03), *known], {}),
        "sigmoid, AdamW": (network(nn.Sigmoid), ["zeros", normal(1.0), normal(0.01), normal(0.3), *known], {}),
        "tanh, SGD": (
            network(nn.Tanh),
            ["zeros", normal(1.0), normal(0.01), normal(0.03), *known],
            {"optimizer": "sgd", "lr": 0.05, "options": {"momentum": 0.9}},
        ),
        "relu, 20 layers": (
            network(nn.ReLU, 20),
            ["zeros", normal(1.0), normal(0.03), "torch_default", *known],
            {"steps": 300},
        ),
        # Deep, with a small rate: one start alone trains, and the full study can prove it.
        "relu, 24 layers, SGD": (
            network(nn.ReLU, 24),
            ["zeros", normal(1.0), normal(0.01), "torch_default", *known],
            {"steps": 400, "optimizer": "sgd", "lr": 0.003, "options": {"momentum": 0.9}},
        ),
        # Less deep: Xavier trains as well, on some seeds.
        "relu, 16 layers, SGD": (
            network(nn.ReLU, 16),
            ["zeros", normal(1.0), normal(0.01), "torch_default", *known],
            {"steps": 400, "optimizer": "sgd", "lr": 0.01, "options": {"momentum": 0.9}},
        ),
    }


def verdict(result: initlab.Comparison) -> tuple[str, bool]:
    """The winner, and whether it is shown to be better than the runner-up.

    In a race the runner-up is the best arm that has not been shown to be worse on the way: one that was set aside for
    the budget is still open.
    """
    others = [arm for arm in result.summaries[1:] if not arm.out]
    if not others:
        return result.best, True
    if any(not arm.complete for arm in others):
        return result.best, False
    test = result.analysis.between(result.best, others[0].label)
    return result.best, bool(test and test.significant)


def one(name: str, data: Split, study: Study) -> float:
    """Run one study both ways; the share of run-steps that the race used."""
    build, schemes, settings = study
    common = {"schemes": schemes, "seeds": 5, "steps": STEPS, "batch_size": 64, **settings}
    whole = initlab.compare(build, data.train, data.test, **common)
    raced = initlab.compare(build, data.train, data.test, race=True, **common)
    share = raced.run_steps / whole.run_steps
    print(f"{name}: {100 * share:.0f}% of the run-steps, {raced.seconds / whole.seconds:.2f} of the time")
    for word, result in (("in full", whole), ("raced", raced)):
        best, shown = verdict(result)
        print(f"  {word}: {best}, {'better' if shown else 'not shown to be better'} than the runner-up")
    for note in raced.notes:
        print(f"    {note}")
    print(raced.table().rows) if "-v" in sys.argv else None
    return share


def main() -> None:
    data = initlab.data.digits()
    wanted = [word for word in sys.argv[1:] if word in studies()] or list(studies())
    shares = [one(name, data, studies()[name]) for name in wanted]
    print(f"share of run-steps: {', '.join(f'{100 * s:.0f}%' for s in shares)} (goal: at most 40%)")


if __name__ == "__main__":
    main()
