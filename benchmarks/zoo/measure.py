"""What `auto` does to one model: time, what is undecided, the first loss, the second moments of its layers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import initlab
from benchmarks.zoo.families import Family, uniform
from initlab.graph import record
from initlab.guest.inputs import tensors_in
from initlab.planning.plan import Plan, PlanEntry
from initlab.planning.sizes.survey import targets_of
from initlab.sampling.laws import Constant

UNDIVIDED = 1.5  # std of scores of unit queries and keys from which they count as not divided by √d
KEPT_NORMS = ("one", "frozen", "special_scale")  # the last: zeros or a factor that the author chose, left as it was


def call(model: nn.Module, given: Any) -> Any:
    return model(**given) if isinstance(given, dict) else model(given)


def training(model: nn.Module) -> nn.Module:
    """The model as it trains, with batches normalised by themselves, but for dropout, which stays off."""
    model.train()
    for module in model.modules():
        if "drop" in type(module).__name__.lower():
            module.training = False  # and not what it holds: a residual branch that is dropped whole
    return model


def logits_of(output: Any) -> torch.Tensor:
    while not isinstance(output, torch.Tensor):
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    return output


def first_loss(model: nn.Module, family: Family) -> float:
    """Cross-entropy against labels drawn evenly, in expectation, as a share of a uniform guess's; 1 without classes."""
    torch.manual_seed(1)
    with torch.no_grad():
        logits = logits_of(call(model, family.inputs()))
    if not family.outputs:
        return 1.0
    rows = logits.reshape(-1, logits.shape[-1]).double()
    expected = (torch.logsumexp(rows, -1) - rows.mean(-1)).mean().item()
    return expected / math.log(rows.shape[-1]) if rows.shape[-1] > 1 else 1.0


def moments(model: nn.Module, family: Family) -> dict[str, tuple[float, float]]:
    """The output second moment of every linear and convolution layer that ran, and that was not given zeros alone:
    as it is, and without its bias, of which a plan says nothing.

    A branch that its author starts at zero (the gain of an NFNet's last convolution) gives the layers after it nothing.
    """
    found: dict[str, tuple[float, float]] = {}

    def watch(name: str) -> Callable[[nn.Module, Any, torch.Tensor], None]:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            read = [bool(tensor.any()) for tensor in tensors_in(given)]
            if isinstance(output, torch.Tensor) and (any(read) or not read):
                made, bias = output.detach().float(), getattr(module, "bias", None)
                weighed = made if bias is None else made - bias.detach().view(-1, *[1] * _axes_behind(module))
                found.setdefault(name, (float(made.square().mean()), float(weighed.square().mean())))

        return hook

    hooks = [
        module.register_forward_hook(watch(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) or type(module).__name__ == "Conv1D"
    ]
    with torch.no_grad():
        call(model, family.inputs())
    for hook in hooks:
        hook.remove()
    return found


def _axes_behind(layer: nn.Module) -> int:
    """How many axes follow that of the units in what a layer makes."""
    return len(layer.kernel_size) if isinstance(layer, nn.Conv1d | nn.Conv2d) else 0


def inspected(model: nn.Module, family: Family) -> str:
    """The verdict on the model as it is, at AdamW's usual rate."""
    given = family.inputs()
    with torch.no_grad():
        shape = logits_of(call(model, given)).shape
    labels = torch.arange(math.prod(shape[:-1])) % shape[-1]
    return initlab.inspect(model, given, labels.reshape(shape[:-1]), loss=_loss, lr=1e-3).verdict


def _loss(output: Any, labels: torch.Tensor) -> torch.Tensor:
    logits = logits_of(output)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), labels.reshape(-1))


def measured(family: Family, verdicts: bool = False) -> dict[str, Any]:
    """One line for one model; `failed` says what a library's own model could not do here, `raised` what ours did."""
    line: dict[str, Any] = {"name": family.name}
    try:
        torch.manual_seed(0)
        model = training(family.build())
        line["own_loss"] = first_loss(model, family)
        began = time.process_time()  # other work on the machine does not count
        with torch.no_grad():
            call(model, family.inputs())
        line["pass"] = round(time.process_time() - began, 3)
        line["own_dt"] = time_steps(model)
    except Exception as error:
        return {**line, "failed": f"{type(error).__name__}: {error}"[:200]}
    try:
        if verdicts:
            line["own_verdict"] = inspected(model, family)
        began = time.process_time()
        plan = initlab.plan(model, family.inputs(), "auto")
        line["plan"] = round(time.process_time() - began, 3)
        initlab.init_(model, plan, seed=0)
    except Exception as error:
        return {**line, "raised": f"{type(error).__name__}: {error}"[:300]}
    return {**line, **_after(model, family, plan)}


def _is_zero(entry: PlanEntry) -> bool:
    """Whether a weight is to be zero, as modulations and the second factors of adapters are."""
    return entry.role == "weight" and isinstance(entry.law, Constant) and not entry.law.value


def _with_own_targets(model: nn.Module, family: Family, plan: Plan) -> tuple[set[str], dict[str, float]]:
    """The layers whose output is not meant to have second moment one: heads, gates, branch ends, tables, mixers; and
    those of plain networks, with what it is meant to be."""
    owner = {name: entry.name for entry in plan.entries for name in (entry.name, *entry.tied_to)}
    targets = targets_of(record(model, family.inputs()), {entry.name: entry for entry in plan.entries}, owner)
    kept = {entry.name for entry in plan.entries if entry.action != "write" or _is_zero(entry)}
    own = targets.heads | targets.gates | targets.ends | targets.tables | targets.shares | set(targets.inner) | kept
    own |= {name for name, made in targets.queries.items() if abs(made.constant) * math.sqrt(made.size) > UNDIVIDED}
    plain = {name: plan[name].measured for name in targets.plain - own}
    return {name.rpartition(".")[0] for name, entry in owner.items() if entry in own}, {
        name.rpartition(".")[0]: seen[1] for name, entry in owner.items() if (seen := plain.get(entry))
    }


def _planned(plan: Plan, seconds: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """By layer, the second moment that the plan as it is written says, and the one that the written model gives."""
    found: dict[str, tuple[float, float]] = {}
    for entry in plan.entries:
        layer = entry.name.rpartition(".")[0]
        if entry.measured is not None and entry.role == "weight" and layer in seconds and not entry.tied_to:
            said = entry.measured[0] * entry.correction**2
            found[layer] = float(f"{said:.4g}"), float(f"{seconds[layer][1]:.4g}")
    return found


def time_steps(model: nn.Module) -> dict[str, tuple[float, float]]:
    """The smallest and the largest time step of each state-space layer: softplus of its bias."""
    names = ("dt_bias", "dt_proj.bias", "time_step_bias")
    biases = {name: F.softplus(p.detach().float()) for name, p in model.named_parameters() if name.endswith(names)}
    return {name: (round(float(steps.min()), 5), round(float(steps.max()), 5)) for name, steps in biases.items()}


def _after(model: nn.Module, family: Family, plan: Plan) -> dict[str, Any]:
    seconds, (others, plain) = moments(model, family), _with_own_targets(model, family, plan)
    return {
        "parameters": sum(entry.numel for entry in plan.entries),
        "derived": {e.name: (e.predicted, round(e.measured[0], 4)) for e in plan.entries if e.measured and e.predicted},
        "planned": _planned(plan, seconds),
        "dt": time_steps(model),
        "uniform": uniform(family),
        "loss": first_loss(model, family),
        "undecided": [entry.name for entry in plan.entries if entry.code == "unknown_role"],
        "norms": [e.name for e in plan.entries if e.role == "norm_weight" and e.reason.code not in KEPT_NORMS],
        "layers": {
            name: round(whole / plain.get(name, 1.0), 4) for name, (whole, _) in seconds.items() if name not in others
        },
        "reasons": {e.name: str(e.reason) for e in plan.entries if e.role == "weight"},
        "kept": {e.name: e.code for e in plan.entries if e.action == "keep"},
    }
