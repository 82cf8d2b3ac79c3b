"""A search under way: Optuna proposes, several trials train at once, each check decides which go on."""

from __future__ import annotations

import math
import time
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from initlab.comparison.screening import certain_not_to_train
from initlab.errors import told
from initlab.interrupts import acknowledge, check
from initlab.searching.proposals import Proposals, importances_of
from initlab.searching.result import Search, TrialRecord, trial_key
from initlab.searching.space import Space
from initlab.study.store import Store
from initlab.study.to_optuna import distributions_json
from initlab.training.engines import engine_of, get_engine
from initlab.training.engines.machine import here
from initlab.training.group import Training
from initlab.training.progress import Watch
from initlab.training.task import RunSpec, Task

if TYPE_CHECKING:
    import optuna

CHECKS = 9  # times that a run is measured on the validation data, evenly
CURVE_POINTS = 50  # of a trial's training curve, which only the live table shows
STRETCH = 50  # steps of the final test's training between two looks for Ctrl-C


@dataclass
class Running:
    """A trial in training.

    Args:
        number: its number in the stored study.
        trial: Optuna's side of it, which has a number of its own.
        spec: its run.
        best: its best validation score so far, higher better.
        best_step: the step of that.
        checks: how often it has been measured.
        since: measurements since the best.
        curve: measurement -> score as the user reads it.
    """

    number: int
    trial: optuna.Trial
    spec: RunSpec
    best: float = -math.inf
    best_step: int = 0
    checks: int = 0
    since: int = 0
    curve: dict[int, float] = field(default_factory=dict)


@dataclass
class OngoingSearch:
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
    store: Store[TrialRecord]
    name: str
    maximize: bool
    watch: Watch
    executor: Executor | None = None
    run_steps: int = 0
    choice: str = ""
    running: dict[str, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.proposals = self._proposals()

    def _proposals(self) -> Proposals:
        return Proposals(self.name, self.maximize, self.pruning, CHECKS, self.task.root_seed, self.space)

    def run(self) -> None:
        """Until `trials` trials have ended here or are trained by others."""
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
            acknowledge()
            self.store.release(list(self.running))
            raise
        finally:
            if training is not None:
                self.run_steps = training.run_steps
                self.choice = training.choice
                training.close()

    def _open(self, specs: list[RunSpec]) -> Training:
        training = Training(
            self.task,
            engine_of(self.engine, self.executor),
            specs,
            {spec.key: "trials" for spec in specs},
            self._tick,
            CURVE_POINTS,
        )
        self.choice = training.choice
        self.watch.say(training.choice)
        return training

    def _tick(self, training: Training) -> None:
        check()
        self.store.beat()
        self.watch.training(training, training.run_steps)

    def _advance(self, training: Training, stretch: int) -> None:
        scores = training.through([stretch], "valid")
        for key, one in self.running.items():
            self._check(training, one, scores[key])
        ended = [record for one in self.running.values() if (record := self._ended(training, one)) is not None]
        self._put(ended)
        for record in ended:
            self.watch.over(training.end(record.key, "finished"))

    def _put(self, records: list[TrialRecord]) -> None:
        self.store.put(records)
        for record in records:
            self.proposals.known.add(record.key)
            self.running.pop(record.key, None)

    def _check(self, training: Training, one: Running, score: tuple[float, float | None]) -> None:
        """Report one run's score."""
        loss, accuracy = score
        value = accuracy if self.maximize else -loss
        one.checks += 1
        one.since += 1
        if value is not None and math.isfinite(value):
            if value > one.best:
                one.best, one.best_step, one.since = value, training.keepers[one.spec.key].steps, 0
            one.curve[one.checks] = value if self.maximize else -value
            one.trial.report(one.curve[one.checks], one.checks)

    def _ended(self, training: Training, one: Running) -> TrialRecord | None:
        """What this run came to, if it has ended."""
        keeper = training.keepers[one.spec.key]
        if keeper.diverged:
            return self._end(one, "diverged", keeper.steps)
        if keeper.steps >= self.task.steps:
            return self._end(one, "", keeper.steps)
        if one.trial.should_prune():
            return self._end(one, f"pruned at step {keeper.steps}", keeper.steps, pruned=True)
        if self.patience is not None and one.since >= self.patience and one.checks > self.patience:
            return self._end(one, f"stopped improving at step {one.best_step}", keeper.steps)
        return None

    def _end(
        self, one: Running, reason: str, steps: int, *, pruned: bool = False, screened: bool = False
    ) -> TrialRecord:
        complete = not pruned and math.isfinite(one.best)
        value = (one.best if self.maximize else -one.best) if complete else math.nan
        self.proposals.tell(one.trial, value if complete else None)
        return TrialRecord(
            one.number, dict(one.trial.params), "COMPLETE" if complete else "PRUNED", value, steps, one.best_step,
            reason, one.curve, screened, distributions_json(one.trial), self.proposals.notes(one.trial),
        )  # fmt: skip

    def _fill(self) -> list[RunSpec]:
        """New runs for the free places, those refused by `inspect` already ended."""
        specs: list[RunSpec] = []
        keys = {trial_key(number): number for number in range(self.trials)}
        while len(self.running) < self.at_once:
            check()
            claimed = self.store.claim(list(keys), 1)
            if not claimed:
                break
            one = self._begin(keys[claimed[0]], claimed[0])
            finding = certain_not_to_train(self.task, one.spec) if self.screen else ""
            if finding:
                self._put([self._end(one, finding, 0, pruned=True, screened=True)])
            else:
                specs.append(one.spec)
        return specs

    def _begin(self, number: int, key: str) -> Running:
        """A claimed trial: with the choices of a worker that gave it up, or with new ones."""
        self.proposals.take_in(self.store.ended().values())
        earlier = self.store.proposal(key)
        trial, (policy, lr, decay) = self.proposals.ask(key, earlier)
        if earlier != trial.params:
            self.store.propose(key, trial.params)
        one = Running(number, trial, self._spec(number, policy, lr, decay))
        self.running[key] = one
        return one

    def _spec(self, number: int, policy: Any, lr: float, decay: float | None) -> RunSpec:
        return RunSpec(trial_key(number), "trial", policy, 0, lr, self.weight_decay if decay is None else decay)

    def result(self, notes: list[str], interrupted: bool, started: float) -> Search:
        """What the search has found, the best one measured on the test data."""
        records = tuple(sorted(self.store.ended().values(), key=lambda record: record.number))
        study = self._proposals()
        study.take_in(records)
        ours = [r for r in records if self.space.laws_of(r.params) is not None]
        complete = [r for r in ours if r.state == "COMPLETE"]
        best = max(complete, key=lambda r: r.score(self.maximize), default=None)
        test = None if best is None or interrupted else self._final_test(best)
        policy, lr, decay = (None, None, None) if best is None else self.space.settings(best.params)
        screened = sum(r.screened for r in records)
        said = (
            f"screen=True: inspect refused {screened} of {len(records)} starts as certain not to train, untrained"
            if self.screen
            else "screen=False: every start was trained"
        )
        others = len(records) - len(ours)
        foreign = (
            [f"{others} of {len(records)} trials lie outside the space: listed, not chosen from"] if others else []
        )
        return Search(
            trials=records,
            metric="accuracy" if self.maximize else "loss",
            best=best,
            policy=policy,
            lr=lr,
            weight_decay=self.weight_decay if decay is None else decay,
            test_loss=math.nan if test is None else test[0],
            test_accuracy=math.nan if test is None or test[1] is None else test[1],
            importances={} if interrupted else importances_of(study.study),
            space=self.space.describe(),
            settings={"trials": self.trials, "steps": self.task.steps, "optimizer": self.task.optimizer,
                      "batch size": self.task.batch_size, "pruning": self.pruning, "root seed": self.task.root_seed},
            engine=self.choice,
            notes=(said, *foreign, *notes),
            run_steps=self.run_steps,
            seconds=time.perf_counter() - started,
            study=study.study,
        )  # fmt: skip

    def _final_test(self, best: TrialRecord) -> tuple[float, float | None]:
        """The best trial trained again, up to its best step, and measured on the test data."""
        spec = self._spec(best.number, *self.space.settings(best.params))
        session = get_engine("sequential").open(
            replace(self.task, steps=max(1, best.best_step), device=here(self.task.device)), [spec]
        )
        try:
            with told("the final test"):
                while session.live:
                    check()
                    session.advance(STRETCH)
                return session.evaluate("test")[spec.key]
        finally:
            session.close()
