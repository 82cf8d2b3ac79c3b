"""A comparison as a stored study: what it is known by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from initlab.comparison.arms import Arm
from initlab.comparison.tasks import Readied
from initlab.study.fingerprint import plan_fingerprint, task_fingerprint
from initlab.study.store import MemoryStore, Store
from initlab.training.records import RunRecord, record_from

if TYPE_CHECKING:
    from initlab.planning import Plan


def study_store(
    storage: Any,
    name: str,
    begun: Readied,
    arms: Sequence[Arm],
    plans: Mapping[str, Plan],
    allow_drift: bool = False,
) -> Store[RunRecord]:
    """The store of a comparison's runs in `storage`; in memory where that is None.

    Raises:
        InputError: the storage cannot be used; the study was begun with something else.
    """
    if storage is None:
        return MemoryStore()
    # lazy: SQLAlchemy takes 10 MB, which studies in memory do without
    from initlab.study.sql import SqlStore

    known_by = {"kind": "compare", **task_fingerprint(begun.task, begun.model), **_arms_fingerprint(arms, plans)}
    return SqlStore(storage, name, known_by, begun.maximize, record_from, allow_drift)


def _arms_fingerprint(arms: Sequence[Arm], plans: Mapping[str, Plan]) -> dict[str, Any]:
    rates: dict[str, list[float]] = {}
    for arm in arms:
        rates.setdefault(arm.scheme, []).append(arm.lr)
    return {
        "schemes": {arm.scheme: plan_fingerprint(plans.get(arm.scheme)) for arm in arms},
        "lr": rates,
        "weight_decay": arms[0].weight_decay,
    }
