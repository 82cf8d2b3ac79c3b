"""`admin`: post-norm transformers whose skips are as strong as all that was added before them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import nn

from initlab.planning.calibration.profiling import scaled_sums
from initlab.planning.choice import Options
from initlab.planning.parameters.scene import Subject
from initlab.planning.plan import PlanEntry
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.reason import Reason
from initlab.planning.recipes.common.given import flattened_patch
from initlab.sampling.laws import Constant
from initlab.schemes import Scheme, get_scheme


def _table(subject: Subject, options: Options) -> Scheme:
    return get_scheme("normal", std=subject.shape[-1] ** -0.5)


def _profiled(model: nn.Module, entries: tuple[PlanEntry, ...], example_inputs: Any) -> tuple[PlanEntry, ...]:
    """ω of the first sum 1; of each later one √(Var[x₀] + Σ Var[f_j]) over the sums before it, measured with ω = 1."""
    scales = frozenset(entry.name for entry in entries if entry.code == "stream_scale")
    omegas, total = dict[str, float](), 0.0
    for found in scaled_sums(model, entries, example_inputs, scales):
        omegas.setdefault(found.scale, math.sqrt(total) if omegas else 1.0)
        total += found.branch + (0.0 if total else found.stream)
    return tuple(_with(entry, omegas[entry.name]) if entry.name in omegas else entry for entry in entries)


def _with(entry: PlanEntry, omega: float) -> PlanEntry:
    omega = float(f"{omega:.3g}")  # so that the last bits of a measurement do not reach the values
    scheme = get_scheme("constant", value=omega)
    words = f"admin: the factor of a stream: {omega:g}, the root of the variances that were added before, as measured"
    return replace(
        entry, law=Constant(omega), std=0.0, scheme=scheme.label, recipe=scheme, reason=Reason(entry.code, words)
    )


RECIPE = Policy(
    name="admin",
    about="Xavier uniform; the factor of each skip the root of the summed variances of the branches before it",
    source=(
        "Liu et al., Understanding the difficulty of training transformers (2020), section 4.2; "
        "LiyuanLucasLiu/Transformer-Clinic fairseq/modules/transformer_layer.py, adaptive-profiling (70f72b7)"
    ),
    year=2020,
    laws=(
        RoleLaw("stream_scale", get_scheme("ones"), "√(Var[x₀] + Σ_{j<i} Var[f_j]), measured; the first 1"),
        RoleLaw("packed_attention", flattened_patch, "U(±√(6/(rows + columns))), packed as it lies"),
        RoleLaw("weight", get_scheme("xavier_uniform")),
        RoleLaw("embedding", _table, "N(0, 1/width)"),
    ),
    needs=(
        has("stream_scale", words="a factor on the stream of every residual sum"),
        has("norm_weight"),
    ),
    training=Training("radam", 1e-3, (0.9, 0.98), 1e-8, 1e-4, "8,000 steps of warm-up, then 1/√step"),
    profiled=_profiled,
    right="Deep encoders and decoders with norms after the sums and a factor vector ω on each skip.",
    wrong="Norms before the branches, whose stream needs no factor.",
    leaves="The batch of the profiling, which is example_inputs here: pass one like those that train it.",
)
