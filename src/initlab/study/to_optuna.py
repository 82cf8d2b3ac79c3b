"""A stored comparison or search as an Optuna study: for Optuna's dashboard, its plots and its samplers."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from initlab.errors import InputError
from initlab.shared import Shared
from initlab.study.sql import stored_study
from initlab.training.records import RunRecord, record_from

CURVE_SHOWN = 8  # points of a training curve that a trial is given: Optuna writes each by itself


def export_study(storage: Any, study: str, optuna_storage: Any, name: str | None = None) -> optuna.Study:
    """Copy the ended runs of a stored study into an Optuna storage, as trials.

    Args:
        storage: where `compare` or `search` has kept the study.
        study: its name there.
        optuna_storage: what `optuna.create_study` takes: a URL such as `sqlite:///dashboard.db`, or a storage.
        name: the new study's name; default the same.

    Returns:
        The Optuna study.

    Raises:
        InputError: there is no such study, or Optuna's storage holds one of this name already.
    """
    begun, maximize, records = stored_study(storage, study)
    trials = (
        run_trials([record_from(r) for r in records], maximize)
        if begun["kind"] == "compare"
        else [search_trial(record) for record in sorted(records, key=lambda record: int(record["number"]))]
    )
    with quiet_optuna():
        try:
            made = optuna.create_study(
                storage=optuna_storage, study_name=name or study, direction="maximize" if maximize else "minimize"
            )
        except optuna.exceptions.DuplicatedStudyError:
            raise InputError(f"the Optuna storage holds a study {name or study!r} already; give another name") from None
        made.add_trials(trials)
    return made


def run_trials(records: Sequence[RunRecord], maximize: bool) -> list[FrozenTrial]:
    """The runs of a comparison as trials: parameters scheme, lr and seed; the score at the end; some of the curve."""
    schemes = list(dict.fromkeys(record.scheme for record in records))
    rates = [record.lr for record in records]
    found = []
    for record in records:
        params: dict[str, Any] = {"scheme": record.scheme, "lr": record.lr}
        laws: dict[str, Any] = {
            "scheme": CategoricalDistribution(schemes), "lr": FloatDistribution(min(rates), max(rates)),
        }  # fmt: skip
        if record.seed < 2**53:  # beyond it Optuna's numbers are not exact
            params["seed"], laws["seed"] = record.seed, IntDistribution(0, 2**53)
        value = record.accuracy if maximize else record.loss
        notes = {"status": record.status, "steps": record.steps, **({"reason": record.reason} if record.reason else {})}
        found.append(_trial(params, laws, value if math.isfinite(value) else None, _thinned(record), notes))
    return found


def search_trial(record: Mapping[str, Any]) -> FrozenTrial:
    """A search's ended trial, from what is kept of it."""
    laws = {name: json_to_distribution(text) for name, text in record["distributions"].items()}
    curve = {int(check): float(value) for check, value in dict(record["curve"]).items()}
    notes = {name: record[name] for name in ("steps", "best_step", "reason")}
    value = record["value"] if record["state"] == "COMPLETE" else None
    return _trial(record["params"], laws, value, curve, notes, record["sampler"])


def _trial(
    params: Mapping[str, Any],
    laws: Mapping[str, Any],
    value: float | None,
    curve: Mapping[int, float],
    notes: Mapping[str, Any],
    system: Mapping[str, Any] | None = None,
) -> FrozenTrial:
    return create_trial(
        state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
        value=value, params=dict(params), distributions=dict(laws), intermediate_values=dict(curve),
        user_attrs=dict(notes), system_attrs=dict(system or {}),
    )  # fmt: skip


def distributions_json(trial: optuna.trial.Trial) -> dict[str, str]:
    """Parameter -> the law that it was drawn from, as Optuna writes it."""
    return {name: distribution_to_json(law) for name, law in trial.distributions.items()}


def _thinned(record: RunRecord) -> dict[int, float]:
    """At most `CURVE_SHOWN` points of the training curve."""
    stride = max(1, math.ceil(len(record.curve) / CURVE_SHOWN))
    points = record.curve[::-1][::stride][::-1]
    return {int(step): float(loss) for step, loss in points if math.isfinite(loss)}


def _quieten() -> Callable[[], None]:
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    return lambda: logger.setLevel(level)


_QUIET = Shared(_quieten)


def quiet_optuna() -> contextlib.AbstractContextManager[None]:
    """Optuna's remarks on studies and trials are for its own users: within, on any thread, it makes none."""
    return _QUIET.held()
