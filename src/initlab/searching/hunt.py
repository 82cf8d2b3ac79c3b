"""A search under way: Optuna proposes, several trials train at once, each check decides which go on."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from initlab.comparison.screening import certain_not_to_train
from initlab.errors import told
from initlab.interrupts import check, settle
from initlab.sampling import derive_seed
from initlab.searching.result import Search, TrialRecord, trial_record
from initlab.searching.space import Space
from initlab.study.storage import batch, quiet_optuna
from initlab.study.stored_study import WORKER, StoredStudy, on_open_trial
from initlab.training.engines import get_engine
from initlab.training.group import Training
from initlab.training.progress import Watch
from initlab.training.task import RunSpec, Task

if TYPE_CHECKING:
    import optuna

CHECKS = 9  # times that a run is measured on the validation data, evenly
TELLING = 5  # complete trials from which it is said what mattered
PRUNERS = ("halving", "hyperband", "median", "none")


@dataclass
class Running:
    """A trial in training."""

    trial: optuna.Trial
    spec: RunSpec
    best: float = -math.inf
    best_step: int = 0
    checks: int = 0
    since: int = 0


@dataclass
class Hunt:
    """A search under way."""

    task: Task
    space: Space
    weight_decay: float
    trials: int
    pruning: str
    patience: int | None
    screen: bool
    engine: str
    at_once: int
    store: StoredStudy
    watch: Watch = field(init=False)
    run_steps: int = 0
    choice: str = ""
    running: dict[str, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import optuna

        with quiet_optuna(), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            done = len(self.store.trials())
            sampler_seed = derive_seed(self.task.root_seed, "sampler", self.store.worker.pid if done else 0, done)
            self.study = optuna.load_study(
                study_name=self.store.name,
                storage=self.store.storage,
                sampler=optuna.samplers.TPESampler(
                    seed=sampler_seed % 2**32, constant_liar=True, multivariate=True, group=True, n_startup_trials=12
                ),
                pruner=_pruner(self.pruning, self.task.steps),
            )

    # -- the loop: fill, advance by one check, measure, decide --

    def run(self) -> None:
        """Until `trials` trials have been begun and have ended."""
        stretch = math.ceil(self.task.steps / CHECKS)
        training: Training | None = None
        try:
            while True:
                check()
                fresh = self._fill()
                if training is None and fresh:
                    training = self._open(fresh)
                elif training is not None and fresh:
                    training.add(fresh, {spec.key: "trials" for spec in fresh})
                if not self.running:
                    return
                assert training is not None
                self._advance(training, stretch)
        except BaseException:
            settle()
            self.store.give_up([one.trial._trial_id for one in self.running.values()], "interrupted")
            raise
        finally:
            if training is not None:
                self.run_steps = training.run_steps
                training.close()

    def _open(self, specs: list[RunSpec]) -> Training:
        training = Training(
            self.task, get_engine(self.engine), specs, {spec.key: "trials" for spec in specs}, self._tick, 50
        )
        self.choice = training.choice
        self.watch.say(training.choice)
        return training

    def _tick(self, training: Training) -> None:
        check()
        self.store.beat()
        self.watch.training(training, training.run_steps)

    def _advance(self, training: Training, stretch: int) -> None:
        training.advance(stretch)
        scores = training.scores("valid")
        with batch(self.store.storage):
            for key in list(self.running):
                self._check(training, self.running[key], scores[key])
            ended = [key for key in list(self.running) if self._over(training, key)]
        for key in ended:
            self.watch.over(training.end(key, "finished"))

    def _check(self, training: Training, one: Running, score: tuple[float, float | None]) -> None:
        """Report one run's score."""
        loss, accuracy = score
        value = accuracy if self.store.maximize else -loss
        one.checks += 1
        one.since += 1
        if value is not None and math.isfinite(value):
            if value > one.best:
                one.best, one.best_step, one.since = value, training.keepers[one.spec.key].steps, 0
            on_open_trial(lambda: one.trial.report(value if self.store.maximize else -value, one.checks))

    def _over(self, training: Training, key: str) -> bool:
        """Whether this run has ended: told to Optuna and forgotten."""
        one, keeper = self.running[key], training.keepers[key]
        if keeper.diverged:
            self._tell(one, "diverged", keeper.steps, pruned=not math.isfinite(one.best))
        elif keeper.steps >= self.task.steps:
            self._tell(one, "", keeper.steps)
        elif one.trial.should_prune():
            self._tell(one, f"pruned at step {keeper.steps}", keeper.steps, pruned=True)
        elif self.patience is not None and one.since >= self.patience and one.checks > self.patience:
            self._tell(one, f"stopped improving at step {one.best_step}", keeper.steps)
        else:
            return False
        del self.running[key]
        return True

    def _tell(self, one: Running, reason: str, steps: int, *, pruned: bool = False) -> None:
        from optuna.trial import TrialState

        trial_id, storage = one.trial._trial_id, self.store.storage

        def write() -> None:
            for name, value in (("steps", steps), ("best_step", one.best_step), ("reason", reason)):
                storage.set_trial_user_attr(trial_id, name, value)
            if pruned or not math.isfinite(one.best):
                storage.set_trial_state_values(trial_id, TrialState.PRUNED)
            else:
                score = one.best if self.store.maximize else -one.best
                storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [score])

        on_open_trial(write)

    # -- proposing --

    def _fill(self) -> list[RunSpec]:
        """New runs for the free places, those refused by `inspect` already told."""
        specs: list[RunSpec] = []
        while len(self.running) < self.at_once and self._wanted():
            check()
            with batch(self.store.storage), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trial = self.study.ask()
                policy, lr, decay = self.space.suggest(trial)
                self.store.storage.set_trial_system_attr(trial._trial_id, WORKER, self.store.worker.name)
            spec = self._spec(trial.number, policy, lr, decay)
            one = Running(trial, spec)
            finding = certain_not_to_train(self.task, spec) if self.screen else ""
            if finding:
                with batch(self.store.storage):
                    self._tell(one, finding, 0, pruned=True)
                continue
            self.running[spec.key] = one
            specs.append(spec)
        return specs

    def _spec(self, number: int, policy: Any, lr: float, decay: float | None) -> RunSpec:
        return RunSpec(f"trial {number}", "trial", policy, 0, lr, self.weight_decay if decay is None else decay)

    def _wanted(self) -> bool:
        """Whether fewer trials than asked for have ended or are being trained by a living worker."""
        trials = self.store.trials()
        running = [
            t for t in trials if t.state.name == "RUNNING" and t.system_attrs.get(WORKER) != self.store.worker.name
        ]
        for trial in self.store.dead(running):
            self.store.call(partial(self.store.fail, trial._trial_id, "its worker died"))
            self.study.enqueue_trial(trial.params)
            return True
        return sum(t.state.name in ("COMPLETE", "PRUNED", "RUNNING") for t in trials) < self.trials

    # -- the end --

    def result(self, notes: list[str], interrupted: bool, started: float) -> Search:
        """What the search has found, the best one measured on the test data."""
        records = tuple(trial_record(t) for t in self.store.trials() if t.state.name in ("COMPLETE", "PRUNED"))
        complete = [r for r in records if r.state == "COMPLETE"]
        best = max(complete, key=lambda r: r.score(self.store.maximize), default=None)
        test = None if best is None or interrupted else self._final_test(best)
        policy, lr, decay = (None, None, None) if best is None else self._settings(best)
        screened = sum(r.reason.startswith("certain") for r in records)
        said = (
            f"screen=True: inspect refused {screened} of {len(records)} starts as certain not to train, untrained"
            if self.screen
            else "screen=False: every start was trained"
        )
        return Search(
            trials=records,
            metric="accuracy" if self.store.maximize else "loss",
            best=best,
            policy=policy,
            lr=lr,
            weight_decay=self.weight_decay if decay is None else decay,
            test_loss=math.nan if test is None else test[0],
            test_accuracy=math.nan if test is None or test[1] is None else test[1],
            importances={} if interrupted else _importances(self.study),
            space=self.space.describe(),
            settings={"trials": self.trials, "steps": self.task.steps, "optimizer": self.task.optimizer,
                      "batch size": self.task.batch_size, "pruning": self.pruning, "root seed": self.task.root_seed},
            engine=self.choice,
            notes=(said, *notes),
            run_steps=self.run_steps,
            seconds=time.perf_counter() - started,
            study=self.study,
        )  # fmt: skip

    def _settings(self, record: TrialRecord) -> tuple[Any, float, float | None]:
        from optuna.trial import FixedTrial

        return self.space.suggest(FixedTrial(dict(record.params)))

    def _final_test(self, best: TrialRecord) -> tuple[float, float | None]:
        """The best trial trained again, up to its best step, and measured on the test data."""
        spec = self._spec(best.number, *self._settings(best))
        session = get_engine("sequential").open(replace(self.task, steps=max(1, best.best_step)), [spec])
        try:
            with told("the final test"):
                while session.live:
                    check()
                    session.advance(50)
                return session.evaluate("test")[spec.key]
        finally:
            session.close()


def _pruner(name: str, steps: int) -> Any:
    import optuna

    pruners = optuna.pruners
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "halving":
            return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
        if name == "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=CHECKS, reduction_factor=3)
        if name == "median":
            return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
        return pruners.NopPruner()


def _importances(study: optuna.Study) -> dict[str, float]:
    """fANOVA importance of each parameter over the complete trials; empty where there are too few."""
    import optuna

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
