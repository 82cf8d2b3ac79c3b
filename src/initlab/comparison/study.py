"""A comparison as a stored study: what it is known by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from initlab.comparison.arms import Arm
from initlab.study.fingerprint import plan_fingerprint, task_fingerprint
from initlab.study.sql import SqlStore
from initlab.training.records import RunRecord, record_from
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
) -> SqlStore[RunRecord]:
    """The store of a comparison's runs in `storage`.

    Raises:
        InputError: the storage cannot be used; the study was begun with something else.
    """
    begun = {"kind": "compare", **task_fingerprint(task, model), **_arms_fingerprint(arms, plans)}
    return SqlStore(storage, name, begun, maximize, record_from, allow_drift)


def _arms_fingerprint(arms: Sequence[Arm], plans: Mapping[str, Plan]) -> dict[str, Any]:
    rates: dict[str, list[float]] = {}
    for arm in arms:
        rates.setdefault(arm.scheme, []).append(arm.lr)
    return {
        "schemes": {arm.scheme: plan_fingerprint(plans.get(arm.scheme)) for arm in arms},
        "lr": rates,
        "weight_decay": arms[0].weight_decay,
    }
