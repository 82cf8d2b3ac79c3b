"""Recipes against each other on six small architectures: test loss, each over seeds; resumable.

`python -m benchmarks recipes`, or `python -m benchmarks.recipes ARCHITECTURE …` for a part. Each architecture is one
study of `compare` in a file beside this one, which goes on where it was stopped; when it is done its runs are added to
benchmarks/recipes.jsonl, from which the page of the documentation is made; starts and seeds that it holds are not
trained again. A recipe that the model lacks what it needs for is left out; recipes of the same laws are trained once.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import initlab
from benchmarks import recipes_models as models
from benchmarks._lines import Lines
from initlab.errors import InputError
from initlab.planning import get_policy

KEPT, STUDIES = Path(__file__).with_name("recipes.jsonl"), Path(__file__).with_name("recipes-studies.db")
SEEDS, BATCH, RATE, STEPS = 3, 32, 3e-3, 1000
OWN = "own start"


@dataclass(frozen=True)
class Architecture:
    """What is trained.

    Args:
        about: the model in words.
        build: makes it.
        data: what `data_of` takes.
        recipes: those that are for its kind, beside `auto` and its own start.
    """

    about: str
    build: Callable[[], nn.Module]
    data: str
    recipes: tuple[str, ...]


GENERAL = ("mup", "spectral", "u_mup")
DECODERS = (
    "gpt2", "gpt3", "megatron", "llama", "qwen", "gemma", "olmo", "olmo2", "nanochat", "completep", "t5", "bert",
    "roberta",
)  # fmt: skip
ARCHITECTURES = {
    "mlp": Architecture(
        "MLP: four layers of 128 ReLUs on 64 pixels", models.mlp, "rows", (*GENERAL, "dqn", "ppo")
    ),
    "resnet": Architecture(
        "ResNet: a stem and three residual blocks of 16 channels with batch norm",
        models.ResNet, "images", (*GENERAL, "resnet", "zero_gamma", "gan", "completep", "metaformer"),
    ),
    "gpt": Architecture(
        "GPT: two blocks of width 32, pixel by pixel", models.gpt, "pixels", (*GENERAL, *DECODERS)
    ),
    "llama": Architecture(
        "Llama-like: two blocks of width 32 with RMS norms, rotations and gated units", models.llama, "pixels",
        ("mup", "gpt2", "llama", "llama_depth", "olmo2", "nanochat"),
    ),
    "vit": Architecture(
        "ViT: two blocks of width 32 on patches of 2×2", models.ViT, "images",
        (*GENERAL, "vit_jax", "vit_timm", "deit", "mae", "mimetic", "gpt2", "completep"),
    ),
    "experts": Architecture(
        "Mixture of experts: two blocks of width 32, the best of four experts", models.experts, "pixels",
        ("mup", "deepseek", "llama", "gpt2", "nanochat"),
    ),
}  # fmt: skip


def applicable(model: nn.Module, inputs: torch.Tensor, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """(label -> policy) of the starts with laws of their own, and (name -> why) of those that are left out."""
    chosen: dict[str, Any] = {OWN: "as_built"}
    seen: dict[tuple[Any, ...], str] = {}
    left: dict[str, str] = {}
    for name in ("auto", *dict.fromkeys(names)):
        try:
            plan = initlab.plan(model, inputs, name)
        except InputError as error:
            left[name] = str(error)
            continue
        laws = tuple((entry.name, repr(entry.law)) for entry in plan.entries)
        if laws in seen:
            left[name] = f"the laws of {seen[laws]}"
        else:
            seen[laws] = name
            chosen[name] = name if name in initlab.list_schemes() else get_policy(name)
    return chosen, left


def run(name: str, lines: Lines) -> None:
    """Train one architecture's starts, and keep what came out."""
    made = ARCHITECTURES[name]
    train, test = models.data_of(made.data)
    torch.manual_seed(0)
    chosen, left = applicable(made.build(), train[0][:8], made.recipes)
    seeds = [seed for seed in range(SEEDS) if not all(lines.has(name, start, RATE, seed) for start in chosen)]
    kept = [start for start in chosen if all(lines.has(name, start, RATE, seed) for seed in seeds)]
    wanted = {start: policy for start, policy in chosen.items() if start not in kept}
    print(f"{name}, seeds {seeds}: {', '.join(wanted)}; left out: {', '.join(left)}", flush=True)
    for other, why in left.items():
        if not lines.has(name, other, 0.0, 0):
            lines.add({"architecture": name, "start": other, "lr": 0.0, "seed": 0, "status": "left out", "why": why})
    if not seeds:
        return
    result = initlab.compare(
        made.build, train, test, wanted, seeds=seeds, lr=RATE, batch_size=BATCH, steps=STEPS,
        storage=f"sqlite:///{STUDIES}", study=f"recipes-{name}", evaluations=1, progress=False,
    )  # fmt: skip
    print(f"{name}: {result.engine}; {result.seconds:.0f} s", flush=True)
    for record in result.runs:
        if not lines.has(name, record.scheme, record.lr, record.seed):
            lines.add(
                {
                    "architecture": name,
                    "start": record.scheme,
                    "lr": record.lr,
                    "seed": record.seed,
                    "steps": STEPS,
                    "status": record.status,
                    "loss": None if math.isnan(record.loss) else round(record.loss, 5),
                }
            )


def main() -> None:
    """Every architecture, or those of the command line."""
    names = [name for name in sys.argv[1:] if name != "recipes"] or list(ARCHITECTURES)
    lines = Lines(KEPT, "architecture", "start", "lr", "seed")
    for name in names:
        run(name, lines)


if __name__ == "__main__":
    main()
