"""`u_mup`: the unit-scaled form of mup, folded into the weights of a plain model."""

from __future__ import annotations

from initlab.planning.choice import Choice, Options
from initlab.planning.parameters import residual
from initlab.planning.parameters.scene import Subject
from initlab.planning.policy import Policy, RoleLaw, Training, has
from initlab.planning.reason import Reason
from initlab.schemes import get_scheme


def _end(subject: Subject, options: Options) -> Choice:
    count = residual.projections(subject.scene).count
    layers = max(1.0, count / 2)
    words = f"u_mup: the last weight of one of {count} branches, {layers:g} layers of two: 1/√(fan_in · {layers:g})"
    return Choice(get_scheme("lecun_normal"), Reason("branch_end", words), gain=layers**-0.5)


def _head(subject: Subject, options: Options) -> Choice:
    geometry = subject.geometry
    std = 1.0 if geometry is None else 1 / geometry.fan_in
    return Choice(get_scheme("normal", std=std), Reason("head", "u_mup: a read-out: std 1/fan_in"))


RECIPE = Policy(
    name="u_mup",
    about="hidden weights 1/√fan_in, read-outs 1/fan_in, tables N(0, 1), ends of branches over √layers",
    source="Blake et al., u-μP: the unit-scaled maximal update parametrization (2024), table 2",
    code=(
        "graphcore-research/unit-scaling unit_scaling/optim.py, lr_scale_func_adam (27b8af3): 1/√fan_in (tables: "
        "1/√width), read-outs, biases and norms 1, over √layers in layers; core/functional.py, "
        "transformer_residual_scaling_rule (087133f): branches as large together as twice the table"
    ),
    year=2024,
    laws=(
        RoleLaw("head", _head, "N(0, 1/fan_in²)"),
        RoleLaw("branch_end", _end, "N(0, 1/(fan_in · layers)), two branches a layer"),
        RoleLaw("weight", get_scheme("lecun_normal")),
        RoleLaw("embedding", get_scheme("normal", std=1.0)),
    ),
    needs=(has("head", "tied_head", words="a read-out (a weight whose output is the model's)"),),
    training=Training(
        "adamw",
        more="param_groups(rule='u_mup'), which needs no base; rates near 1 by the paper",
    ),
    aliases=("u-mup", "umup"),
    right="Transformers with norms, where one rate near 1 is to hold for every width without a base.",
    wrong="In low precision: unit scaling holds weights at one by factors of the forward pass, which are folded here.",
    leaves="The factors inside attention, gated units and the loss, which are the model's own code.",
)
