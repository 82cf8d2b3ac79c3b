"""Racing: run-steps go where the decision is open. Refuse, stop what is worse beyond chance, add seeds to the close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from initlab.comparison.arms import Arm
from initlab.comparison.driver import Driven, Driver
from initlab.comparison.leaving import affordable, last_ones, losers, scores_of
from initlab.comparison.race import FIRST_SEEDS, LEVEL, Race, Spending, look_steps
from initlab.comparison.scores import higher, score_of, worst_of
from initlab.comparison.screening import certain_not_to_train
from initlab.interrupts import INTERRUPTIONS, acknowledge, check
from initlab.statistics import paired_t, resolution
from initlab.training.group import Training
from initlab.training.records import RunRecord, Status, ended


def drive_race(
    driver: Driver, arms: Sequence[Arm], seeds: Sequence[int], at: Sequence[int], budget: int | None, metric: str
) -> Driven:
    """Race the arms over the seeds.

    1. Arms that `inspect` is certain about are refused.
    2. The rest begin with the first three seeds. At 5, 10, 20, 40 and 100% of the steps, an arm all of whose seeds have
       diverged leaves the race, and one that is worse than the leader beyond chance (paired t over seeds), and also
       worse than the leader was at half the steps, is stopped.
       Where the budget cannot take all others to the end, the last of them are set aside, and nothing is claimed.
    3. Then the two best get the next seed, one after another, until the difference is shown or seeds and budget end.

    Every decision is a function of the runs' numbers: a resumed race decides the same.

    Args:
        driver: trains runs through the study's store.
        arms, seeds: as in `compare`.
        at: steps at which runs are measured in any case.
        budget: the most run-steps, with seeds beyond `seeds` where it allows. None: two fifths of the whole study, or
            two arms with every seed where that is more; no seed beyond `seeds`.
        metric: what runs are scored by: "accuracy" or "loss".
    """
    most = _seed_numbers(seeds, len(arms), driver.task.steps, budget)
    looks = len(look_steps(driver.task.steps)) + max(0, len(most) - FIRST_SEEDS)
    race = Race(driver, {arm.label: arm for arm in arms}, most, at, budget, Spending(looks, len(arms)), metric)
    race.given = dict.fromkeys(race.arms, min(FIRST_SEEDS, len(most)))
    driver.labels.update({arm.spec(seed).key: arm.label for arm in arms for seed in most[:FIRST_SEEDS]})
    interrupted = False
    try:
        running = _refuse(race)
        running = _first_seeds(race, running)
        _close_ones(race, running)
        check()
    except INTERRUPTIONS:
        acknowledge()
        interrupted = True
    driven = driver.driven(arms, {label: most[:count] for label, count in race.given.items()})
    driven.notes = race.notes
    driven.interrupted = interrupted
    driven.level = race.spending.at(race.look) if race.look else LEVEL
    return driven


def _seed_numbers(seeds: Sequence[int], arms: int, steps: int, budget: int | None) -> list[int]:
    """The seeds in the order in which they are given out; with a budget, new ones follow those that were asked for."""
    if budget is None:
        return list(seeds)
    extra = max(0, budget // (2 * steps) - len(seeds))
    first = max(seeds) + 1
    return [*seeds, *range(first, first + min(extra, 1000))]


def _refuse(race: Race) -> list[str]:
    """The arms that may train; the others' runs are put away as refused."""
    running = []
    for label, arm in race.arms.items():
        check()
        specs = [arm.spec(seed) for seed in race.seeds[: race.given[label]]]
        done = race.driver.ended()
        if all(spec.key in done for spec in specs):
            reason = next((r.reason for r in map(done.get, race.keys(label)) if r and r.status == "refused"), "")
        else:
            reason = certain_not_to_train(race.driver.task, specs[0])
            reason = reason and certain_not_to_train(race.driver.task, specs[-1])
            claimed = race.driver.store.claim([s.key for s in specs], len(specs)) if reason else []
            race.driver.store.put(ended(s, label, "refused", reason=reason) for s in specs if s.key in claimed)
        if reason:
            race.notes.append(f"{label} was refused: {reason}")
        else:
            running.append(label)
    return running


def _first_seeds(race: Race, running: list[str]) -> list[str]:
    """Train the first seeds of the running arms with looks; those that are left at the end.

    A race puts all of them away at once. Where some have ended all the same, a study without a race has trained them:
    there is nothing to look at side by side, and the others are trained to their end.
    """
    looks = look_steps(race.steps)
    specs = [(race.arms[label].spec(s), label) for label in running for s in race.seeds[: race.given[label]]]
    keys = [spec.key for spec, _ in specs]
    while left := race.driver.left(keys):
        if len(left) < len(keys):
            race.driver.run_out(specs, race.at)
            before = f"{len(keys) - len(left)} of the first {len(keys)} runs"
            race.notes.append(f"{before} were done before the race, which took no looks then")
            continue
        mine = race.driver.store.claim(left, len(left))
        if len(mine) < len(keys):
            race.driver.store.release(mine)
            race.driver.wait()
            continue
        with race.driver.releasing(mine), race.driver.training([spec for spec, _ in specs]) as training:
            race.driver.store.put(_train_with_looks(race, training, running, looks))
    done = race.driver.ended()
    out = {done[key].arm: done[key] for key in keys if done[key].status in ("stopped", "set aside")}
    for label in running:
        _mark_broken(race, label, [done[key] for key in race.keys(label)])
    race.look = len(looks)
    race.notes += [
        f"{label} left the race: every seed diverged by step {max(race.broken[label])}"
        for label in running
        if label in race.broken
    ]
    race.notes += [
        f"{label} was {record.status} at step {record.steps}: {record.reason}" for label, record in out.items()
    ]
    return [label for label in running if label not in out and label not in race.broken]


def _mark_broken(race: Race, label: str, runs: Sequence[RunRecord]) -> None:
    if all(run.status == "diverged" for run in runs):
        race.broken[label] = [run.steps for run in runs]


def _train_with_looks(race: Race, training: Training, running: Sequence[str], looks: Sequence[int]) -> list[RunRecord]:
    records: list[RunRecord] = []
    live = list(running)
    step = 0
    for until in sorted({*looks, *race.at, *(max(1, look // 2) for look in looks)}):
        training.through([until - step])
        step = until
        if until not in looks[:-1]:
            continue
        for label in [label for label in live if all(training.keepers[key].diverged for key in race.keys(label))]:
            live.remove(label)
            gone = [training.end(key, "diverged") for key in race.keys(label)]
            _mark_broken(race, label, gone)
            records += gone
        scores = scores_of(training, {label: race.keys(label) for label in live}, race.metric)
        level = race.spending.pair(looks.index(until) + 1)
        out: dict[str, tuple[Status, str]] = {
            k: ("stopped", why) for k, why in losers(scores, until, level, race.metric).items()
        }
        rest = [label for label in live if label not in out]
        keep = affordable(len(rest), looks[looks.index(until) :], training.run_steps, race)
        last = last_ones({k: scores[k] for k in rest}, until, keep)
        out |= {k: ("set aside", why) for k, why in last.items()}
        for label, (status, reason) in out.items():
            live.remove(label)
            records += [training.end(key, status, reason) for key in race.keys(label)]
    return records + training.end_all()


def _close_ones(race: Race, running: list[str]) -> None:
    """Give the two best arms further seeds until the leader is shown to be better than every other, or all is spent."""
    while len(running) > 1:
        scores = {label: _final_scores(race, label) for label in running}
        ranked = sorted(running, key=lambda label: -float(np.mean(scores[label])))
        open_ones = [label for label in ranked[1:] if not _shown(race, scores, ranked[0], label)]
        if not open_ones:
            seeds = race.given[ranked[0]]
            race.notes.append(
                f"the race ended after {seeds} seeds: {ranked[0]} is better beyond chance than what was run out"
            )
            return
        pair = (ranked[0], open_ones[0])
        goal = max(race.given[label] for label in pair)
        if all(race.given[label] == goal for label in pair):
            goal += 1
        if goal > len(race.seeds):
            return
        behind = [label for label in pair if race.given[label] < goal]
        if not _afford(race, behind, goal):
            race.notes.append(f"the race ended with its budget of {race.budget:,} run-steps")
            return
        race.look = max(race.look, len(look_steps(race.steps)) + goal - FIRST_SEEDS)
        _give(race, behind, goal)


def _afford(race: Race, labels: Sequence[str], goal: int) -> bool:
    new = sum(goal - race.given[label] for label in labels)
    return race.spent() + new * race.steps <= race.budget


def _give(race: Race, labels: Sequence[str], goal: int) -> None:
    runs = [(race.arms[label].spec(s), label) for s in race.seeds[:goal] for label in labels]
    for label in labels:
        race.given[label] = goal
    race.driver.run_out(runs, race.at)


def _final_scores(race: Race, label: str) -> np.ndarray:
    """The score of each seed of an arm that has been run out, higher better."""
    done = race.driver.ended()
    worst = worst_of((done[key] for key in race.driver.labels if key in done), race.metric)
    return higher(race.metric) * np.array([score_of(done[key], race.metric, worst) for key in race.keys(label)])


def _shown(race: Race, scores: Mapping[str, np.ndarray], leader: str, other: str) -> bool:
    shared = min(len(scores[leader]), len(scores[other]))
    gap = scores[leader][:shared] - scores[other][:shared]
    step = resolution(value for values in scores.values() for value in values)
    return bool(gap.mean() > 0 and paired_t(gap, step) < race.spending.pair(race.look))
