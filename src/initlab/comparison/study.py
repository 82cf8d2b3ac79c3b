"""A comparison as a stored study: what it is known by, and how its runs look as Optuna trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from initlab.comparison.arms import Arm
from initlab.study.fingerprint import plan_fingerprint, task_fingerprint
from initlab.study.optuna_store import OptunaStore
from initlab.study.sql_store import SqlStore
from initlab.study.storage import is_database
from initlab.training.task import Task

if TYPE_CHECKING:
    from initlab.planning import Plan


def study_store(
    storage: Any,
    name: str,
    task: Task,
    model: nn.Module,
    arms: Sequence[Arm],
    plans: Mapping[str, Plan],
    maximize: bool,
    allow_drift: bool = False,
) -> OptunaStore:
    """The store of a comparison's runs in `storage`.

    Raises:
        InputError: the storage cannot be used; the study was begun with something else.
    """
    begun = {"kind": "compare", **task_fingerprint(task, model), **_arms_fingerprint(arms, plans)}
    kind = SqlStore if is_database(storage) else OptunaStore
    return kind(storage, name, begun, maximize, lambda key, kept: trial_params(key, kept, arms), allow_drift)


def _arms_fingerprint(arms: Sequence[Arm], plans: Mapping[str, Plan]) -> dict[str, Any]:
    rates: dict[str, list[float]] = {}
    for arm in arms:
        rates.setdefault(arm.scheme, []).append(arm.lr)
    return {
        "schemes": {arm.scheme: plan_fingerprint(plans.get(arm.scheme)) for arm in arms},
        "lr": rates,
        "weight_decay": arms[0].weight_decay,
    }


def trial_params(key: str, begun: Mapping[str, Any], arms: Sequence[Arm]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(params, distributions) of a run's trial: scheme, seed, lr.

    Optuna forbids a categorical parameter to gain choices, so a scheme that the study was not begun with (drift) is
    left out of them; the run's record names it.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    scheme, rest = key.rsplit("|lr=", 1)
    lr, seed = float(rest.split("|")[0]), int(rest.rsplit("|seed=", 1)[1])
    rates = [arm.lr for arm in arms]
    params: dict[str, Any] = {"lr": lr}
    distributions: dict[str, Any] = {"lr": FloatDistribution(min(rates), max(rates))}
    if seed < 2**53:
        params["seed"], distributions["seed"] = seed, IntDistribution(0, 2**53)
    choices = list(begun.get("schemes", {}))
    if scheme in choices:
        params["scheme"], distributions["scheme"] = scheme, CategoricalDistribution(choices)
    return params, distributions
