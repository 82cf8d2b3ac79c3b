"""Optuna's part of a search, by its public ask and tell: what to try next, and what is not worth going on with."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import optuna

from initlab.sampling import derive_seed
from initlab.searching.result import TrialRecord
from initlab.searching.space import Space
from initlab.study.to_optuna import quiet_optuna, search_trial

TELLING = 5  # complete trials from which it is said what mattered
STARTUP = 12  # trials before TPE rather than chance proposes
PRUNERS = ("halving", "hyperband", "median", "none")


class Proposals:
    """An Optuna study in memory that is told every trial that has ended, here or at another worker.

    What it proposes for a run derives from (root seed, run key) and from the trials it was told: not from how often
    this process has been asked.

    Args:
        name: the study's name, by which Hyperband spreads trials over its brackets.
        maximize: whether a higher score is better.
        pruning: one of `PRUNERS`.
        checks: how often a run is measured.
        root_seed: the search's.
        space: what is proposed from; trials of another space, which a search that goes on with drift may have, are not
            told.
    """

    def __init__(self, name: str, maximize: bool, pruning: str, checks: int, root_seed: int, space: Space) -> None:
        self.root_seed = root_seed
        self.space = space
        self.known: set[str] = set()
        with quiet_optuna():
            self.study = optuna.create_study(
                study_name=name, direction="maximize" if maximize else "minimize", pruner=_pruner(pruning, checks)
            )

    def take_in(self, records: Iterable[TrialRecord]) -> None:
        """Tell the study of trials that it has not been told of."""
        fresh = [record for record in records if record.key not in self.known]
        self.known.update(record.key for record in fresh)
        for record in fresh:
            laws = self.space.laws_of(record.params)
            if laws is not None:
                told = {name: optuna.distributions.distribution_to_json(law) for name, law in laws.items()}
                self.study.add_trial(search_trial({**record.to_dict(), "distributions": told}))

    def ask(self, key: str, earlier: Mapping[str, Any] | None) -> tuple[optuna.Trial, tuple[Any, float, float | None]]:
        """A trial for the run `key`, and its (policy, lr, weight decay).

        Args:
            key: the run's, by which the proposal is drawn.
            earlier: the choices that a worker made which gave the run up.
        """
        with quiet_optuna(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.study.sampler = optuna.samplers.TPESampler(
                seed=derive_seed(self.root_seed, "proposal", key) % 2**32, constant_liar=True, multivariate=True,
                group=True, n_startup_trials=STARTUP,
            )  # fmt: skip
            if earlier is not None and self.space.laws_of(earlier) is not None:
                self.study.enqueue_trial(dict(earlier))
            trial = self.study.ask()
            return trial, self.space.suggest(trial)

    def tell(self, trial: optuna.Trial, value: float | None) -> None:
        """The trial has ended with this score; None where it was pruned."""
        state = optuna.trial.TrialState.PRUNED if value is None else optuna.trial.TrialState.COMPLETE
        with quiet_optuna():
            self.study.tell(trial, value, state)

    def notes(self, trial: optuna.Trial) -> dict[str, Any]:
        """What sampler and pruner have noted of a trial: halving's rungs are among it."""
        noted = self.study.get_trials(deepcopy=False)[trial.number].system_attrs
        return {name: value for name, value in noted.items() if name != "fixed_params"}


def _pruner(name: str, checks: int) -> Any:
    pruners = optuna.pruners
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "halving":
            return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
        if name == "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=checks, reduction_factor=3)
        if name == "median":
            return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
        return pruners.NopPruner()


def importances_of(study: optuna.Study) -> dict[str, float]:
    """fANOVA importance of each parameter over the complete trials; empty where there are too few."""
    values = [trial.value for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if len(values) < TELLING or len(set(values)) == 1:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
    except (ValueError, RuntimeError, ZeroDivisionError):
        return {}
