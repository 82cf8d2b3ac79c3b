"""The 100-trial search of `cnn-optuna` against plain sequential trials: time, best score, screened and not.

The plain way is what a user would write: trials of the same sampler one after another, each trained to its end without
screening or pruning. Its 100 trials take long on MNIST: `python -m benchmarks.studies_search --sample N` times the
first N of them and scales up, and says so; the best score of the plain way is then that of those N. `--steps` and
`--seeds` (root seeds) make it shorter and broader.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import initlab
from initlab.experiments import cnn_optuna
from initlab.experiments.cnn_trials import BATCH, RATES, SCHEMES, SELECTORS, STDS

STEPS = 1250
WAYS: dict[str, dict[str, Any]] = {"as it comes": {}, "without screening": {"screen": False}}


def argument(name: str, default: int) -> int:
    """The number after `--name` on the command line."""
    words = sys.argv
    return int(words[words.index(name) + 1]) if name in words else default


def parts(size: int) -> tuple[Any, Any, Any]:
    """Training, validation and test images, as the experiment has them."""
    data = initlab.data.mnist(normalize=False, flat=False)
    x, y = cnn_optuna._scaled(data.train[0][: 2 * size]), data.train[1][: 2 * size]
    return (x[:size], y[:size]), (x[size:], y[size:]), (cnn_optuna._scaled(data.test[0]), data.test[1])


def main() -> None:
    trials, sample = argument("--trials", 100), argument("--sample", 100)
    seeds, steps = argument("--seeds", 1), argument("--steps", STEPS)
    data = parts(2000)
    schemes = [("normal", {"std": STDS}) if scheme is None else scheme for scheme in SCHEMES.values()]
    space = {**dict.fromkeys(SELECTORS.values(), schemes), "lr": RATES}
    for seed in range(seeds):
        common: dict[str, Any] = {
            "space": space, "steps": steps, "batch_size": BATCH, "optimizer": "adamw", "seed": seed, "progress": False,
        }  # fmt: skip
        build = cnn_optuna._builder(cnn_optuna.HEADS[0])
        plain_settings = {"pruning": "none", "patience": None, "screen": False, "engine": "sequential", "at_once": 1}
        started = time.perf_counter()
        plain = initlab.search(build, *data, trials=sample, **common, **plain_settings)
        seconds = (time.perf_counter() - started) * trials / sample
        scaled = "" if sample == trials else f" (scaled up from its first {sample})"
        print(f"seed {seed}, plain: {seconds:.0f} s{scaled}, best validation {100 * plain.best_value:.2f}%", flush=True)
        for name, way in WAYS.items():
            started = time.perf_counter()
            found = initlab.search(build, *data, trials=trials, **common, **way)
            taken = time.perf_counter() - started
            gain = 100 * (found.best_value - plain.best_value)
            print(
                f"seed {seed}, {name}: {taken:.0f} s, {taken / seconds:.2f} of the time (goal 0.25), best validation "
                f"{100 * found.best_value:.2f}%, {gain:+.2f} points (goal −0.3), "
                f"test {100 * found.test_accuracy:.2f}%, {found.run_steps:,} of {trials * steps:,} run-steps; "
                f"{found.notes[0]}; {found.engine}",
                flush=True,
            )


if __name__ == "__main__":
    main()
