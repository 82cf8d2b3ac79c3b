"""`llama_depth`: Llama with output projections scaled by the depth at which they stand."""

from __future__ import annotations

import math
from collections.abc import Sequence

from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.policy import Need, Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import Normal, block_of, branches_of, cut_normal
from initlab.schemes import Scheme, get_scheme


def _deep(subject: Subject, options: Options) -> Scheme:
    return get_scheme("normal", std=options["std"] / math.sqrt(2 * block_of(subject)))


def _head(subject: Subject, options: Options) -> Scheme:
    assert subject.geometry is not None
    return cut_normal(1 / math.sqrt(subject.geometry.fan_in), 3.0)


def _pairs(scene: Scene, subjects: Sequence[Subject]) -> bool:
    return len(branches_of(scene)) % 2 == 0


RECIPE = Policy(
    name="llama_depth",
    about="N(0, 0.02²); ends of branches and gated values of block l over √(2l); tables N(0, 1), read-out 1/√width",
    source="pytorch/torchtitan torchtitan/models/llama3/__init__.py and models/common/param_init.py (b5bcd76)",
    year=2024,
    laws=(
        RoleLaw("head", _head, "N(0, 1/width) cut at ±3 std"),
        RoleLaw("branch_end", _deep, "N(0, std²/(2 · block))"),
        RoleLaw("gated_value", _deep, "N(0, std²/(2 · block))"),
        RoleLaw("weight", Normal("std"), "N(0, std²): trunc_normal_ cuts at ±2, which is ±100 std"),
        RoleLaw("embedding", get_scheme("normal", std=1.0), "N(0, 1)"),
    ),
    numbers={"std": 0.02},
    needs=(
        has("gated_value", words="gated units (SwiGLU and its kin) whose gate and value have weights of their own"),
        has("branch_end", words="residual branches that end in a weight"),
        Need("blocks of two branches each, attention and MLP", _pairs),
    ),
    training=Training("adamw", 3e-4, (0.9, 0.95), 1e-8, 0.1, "linear warm-up and decay", "8B; clip 1.0"),
    aliases=("torchtitan",),
    right="Decoders with RMS norms before the branches and gated units, trained from scratch in PyTorch.",
    wrong="Models without norms: tables of std 1 beside branches of 0.02.",
    leaves="Norms (one).",
)
