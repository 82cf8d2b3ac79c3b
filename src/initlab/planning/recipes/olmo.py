"""`olmo`: 1/√fan_in cut at three std, what ends a branch smaller the deeper it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence

from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.policy import Need, Policy, RoleLaw, Training, has
from initlab.planning.recipes.common.given import block_of, branches_of, cut_normal
from initlab.schemes import Scheme


def _end(subject: Subject, options: Options) -> Scheme:
    assert subject.geometry is not None
    return cut_normal(1 / math.sqrt(2 * subject.geometry.fan_in * block_of(subject)), 3.0)


def _matrix(subject: Subject, options: Options) -> Scheme:
    assert subject.geometry is not None
    return cut_normal(1 / math.sqrt(subject.geometry.fan_in), 3.0)


def _table(subject: Subject, options: Options) -> Scheme:
    return cut_normal(1 / math.sqrt(subject.shape[-1]), 3.0)


def _pairs(scene: Scene, subjects: Sequence[Subject]) -> bool:
    return len(branches_of(scene)) % 2 == 0


RECIPE = Policy(
    name="olmo",
    about="N(0, 1/fan_in) cut at 3 std; ends of branches in block l N(0, 1/(2 · fan_in · l)); tables N(0, 1/width)",
    source=(
        "Groeneveld et al., OLMo (2024); allenai/OLMo olmo/model.py, reset_parameters with init_fn mitchell "
        "(59a53e3; configs/official-0724/OLMo-7B.yaml)"
    ),
    year=2024,
    laws=(
        RoleLaw("branch_end", _end, "N(0, 1/(2 · fan_in · block)) cut at ±3 std"),
        RoleLaw("weight", _matrix, "N(0, 1/fan_in) cut at ±3 std"),
        RoleLaw("embedding", _table, "N(0, 1/width) cut at ±3 std"),
    ),
    needs=(
        has("in_branch", words="residual branches with weights"),
        Need("blocks of two branches each, attention and MLP", _pairs),
    ),
    training=Training(
        "adamw", 3e-4, (0.9, 0.95), 1e-8, 0.1, "5,000 steps of warm-up, linear to a tenth", "7B; clip 1.0"
    ),
    right="Decoders with norms before the branches.",
    wrong="Very deep ones: OLMo 2 left it, since gradients and activations grew along its training.",
    leaves="Norms, which have no scale there.",
)
