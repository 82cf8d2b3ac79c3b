"""`param_groups`: the groups with which an optimizer's rate, decay and eps follow each parameter's growth in width."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from torch import nn

from initlab.errors import InputError, argued, finite_number
from initlab.planning.parameters.walk import walk
from initlab.scaling.growth import Growth, base_of, growths
from initlab.scaling.rules import ScalingRule, get_rule
from initlab.training.optimizers import Optimizer, optimizer_of
from initlab.training.task import Factors


@argued
def param_groups(
    model: nn.Module,
    optimizer: Any,
    lr: float,
    base: Any = None,
    *,
    rule: str = "mup",
    weight_decay: float = 0.0,
    example_inputs: Any = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """The groups with which the best rate of `base` is the best rate of `model`.

    Under "mup" a weight's rate is lr · r_out/r_in for SGD, lr/r_in for Adam and its kin, lr · √(r_out/r_in) for Muon
    (less its own factor √max(1, rows/columns)), r_in and r_out being how much its fans grew from the base. The decay is
    divided by the same, so that rate · decay stays. Start with `init_(model, "mup")`, or the policy of the rule.

    Args:
        model: what is to be trained; sharded and compiled ones are read by their whole shapes and own names.
        optimizer: "sgd", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "lion" or "muon"; or the
            optimizer's class, or an instance.
        lr: the rate that is best for the base.
        base: a smaller build of the same model, or a mapping of parameter names to its shapes; "spectral", "u_mup" and
            "standard" need none, and their rates then go by the fans themselves.
        rule: "mup", "completep" (depth too), "spectral", "u_mup" or "standard".
        weight_decay: as torch's optimizer takes it (multiplied by the rate).
        example_inputs: for one recorded pass, which shows the fans of bare parameters and the residual branches.
        **settings: more for every group, such as betas, momentum or eps (which follows the rule where it says so).

    Returns:
        Groups for the optimizer's constructor, each with "params", "lr", "weight_decay", "names" and "kind" ("input",
        "hidden", "output", "fixed"). For Muon every group also has "optimizer": "muon" for matrices, "adamw"
        for tables, vectors and read-outs (which `example_inputs` show where nothing grows). Frozen
        parameters are in none.

    Raises:
        InputError: a bad argument, no base where the rule needs one, or a parameter whose growth in width is not known
            (the message names it).

    Warns:
        UserWarning: a table that is the read-out too: its logits need a factor base width / width in the model.

    Source: Yang et al. 2022, table 3; Dey et al. 2025, table 1; Yang, Simon & Bernstein 2023; Blake et al. 2024.

    >>> def build(width):
    ...     return nn.Sequential(nn.Linear(8, width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
    >>> groups = param_groups(build(256), "adamw", 1e-3, base=build(64))
    >>> [(group["kind"], group["lr"]) for group in groups]
    [('input', 0.001), ('hidden', 0.00025), ('output', 0.00025), ('fixed', 0.001)]
    """
    chosen, row = get_rule(rule), optimizer_of(optimizer)
    rate, decay = finite_number("lr", lr, low=0), finite_number("weight_decay", weight_decay, low=0)
    _check(chosen, row, base, settings)
    measured = None if base is None else base_of(base, example_inputs)
    found = growths(model, measured, example_inputs, strict=chosen.measured)
    _say_ties(chosen, found)
    groups: dict[Any, dict[str, Any]] = {}
    for slot in walk(model).parameters:
        growth = found[slot.name]
        if not slot.tensor.requires_grad:
            continue
        own = row if growth.matrix or not row.vectors else optimizer_of(row.vectors)
        factors = chosen.factors(growth, own.family)
        made = _group(factors, rate, decay, settings, own)
        made["kind"] = growth.kind
        if row.vectors:
            made["optimizer"] = own.name
        group = groups.setdefault(
            tuple(sorted((k, repr(v)) for k, v in made.items())), {"params": [], **made, "names": []}
        )
        group["params"].append(slot.tensor)
        group["names"].append(slot.name)
    order = ("input", "hidden", "output", "fixed")
    return sorted(groups.values(), key=lambda group: order.index(group["kind"]))


def _check(rule: ScalingRule, row: Optimizer, base: Any, settings: Mapping[str, Any]) -> None:
    if rule.needs_base and base is None:
        raise InputError(
            f"rule {rule.name!r} needs base: a smaller build of the same model, or a mapping of parameter names to "
            "shapes (rule 'spectral' needs none)"
        )
    if row.family not in rule.families:
        raise InputError(f"rule {rule.name!r} is stated for Adam and its kin; got optimizer {row.name!r} (use 'mup')")
    if wrong := {"params", "lr", "weight_decay"} & set(settings):
        raise InputError(f"settings must not hold {sorted(wrong)}, which the rule sets")
    if "eps" in settings:
        finite_number("eps", settings["eps"], low=0)


def _group(factors: Factors, lr: float, decay: float, settings: Mapping[str, Any], row: Optimizer) -> dict[str, Any]:
    made = {**settings, "lr": _clean(lr * factors.lr), "weight_decay": _clean(decay * factors.weight_decay)}
    if "eps" in row.options and (factors.eps != 1 or "eps" in settings):
        made["eps"] = _clean(settings.get("eps", row.eps) * factors.eps)
    return made


def _clean(number: float) -> float:
    """To twelve digits, so that groups do not split over the last bit."""
    return float(f"{number:.12g}") if math.isfinite(number) else number


def _say_ties(rule: ScalingRule, found: Mapping[str, Growth]) -> None:
    tied = [growth.name for growth in found.values() if growth.tied and growth.fan_out != 1]
    if tied and rule.name != "standard":
        warnings.warn(
            f"{tied[0]!r} is the table and the read-out: it is trained as a table, and the model must multiply its "
            "logits by base width / width (Yang et al. 2022, table 8), or untie the two",
            stacklevel=4,
        )
