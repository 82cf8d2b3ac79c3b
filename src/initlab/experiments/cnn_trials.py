"""The trials of `cnn-optuna`: TPE proposes, each trains until it stops improving and is scored on other images."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import optuna
import torch
from torch import Tensor, nn

from initlab.experiments.lab import Lab
from initlab.sampling import derive_seed
from initlab.schemes import get_scheme
from initlab.study.to_optuna import quiet_optuna
from initlab.training.engines import Session, get_engine
from initlab.training.engines.runs import make_models
from initlab.training.task import RunSpec, Task

CONV, LINEAR, RATE = "winit_conv", "winit_fc", "lr"
SELECTORS = {CONV: "@Conv2d", LINEAR: "@Linear"}
SCHEMES: Mapping[str, Any] = {
    "const_zero": "zeros",
    "const_0.5": get_scheme("constant", value=0.5),
    "gaussian": None,  # its std is searched
    "xavier_uniform": "xavier_uniform",
    "xavier_normal": "xavier_normal",
    "he_uniform": "he_uniform",
    "he_normal": "he_normal",
}
CONSTANTS = ("const_zero", "const_0.5")
STDS, RATES = (0.01, 4.0), (5e-4, 1e-2)
PATIENCE = 5  # epochs without a better accuracy on the per-epoch images after which a run ends
BATCH, DECAY = 32, 0.01
AT_ONCE = 4  # trials that are proposed together
STARTUP = 10  # trials that TPE draws at random before it models anything, as Optuna has it
PROBE = 256  # images whose signals are measured before training

Pair = tuple[Tensor, Tensor]
Build = Callable[[], nn.Module]


@dataclass(frozen=True)
class Images:
    """The four sets of the source: to train on, to stop by, to choose by, and to report."""

    train: Pair
    each_epoch: Pair
    each_trial: Pair
    test: Pair

    def task(self, build: Build, score_on: Pair, epochs: int, root_seed: int) -> Task:
        """AdamW in batches of 32; `valid` stops a run and `test` is `score_on`."""
        steps = epochs * math.ceil(len(self.train[0]) / BATCH)
        return Task(
            build=build, train=self.train, valid=self.each_epoch, test=score_on, optimizer="adamw", batch_size=BATCH,
            steps=steps, drop_last=False, eval_batch=250, root_seed=root_seed,
        )  # fmt: skip


def std_of(params: Mapping[str, Any], place: str) -> float | None:
    """The std that was drawn for a normal start of `CONV` or `LINEAR`; None under another scheme."""
    return params.get(f"{place}_std")


def policy(params: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's parameters as a policy; the biases are zero."""
    chosen: dict[str, Any] = {"*": "auto"}
    for place, selector in SELECTORS.items():
        std = std_of(params, place)
        chosen[selector] = SCHEMES[params[place]] if std is None else get_scheme("normal", std=std)
    return chosen


def search(lab: Lab, name: str, build: Build, images: Images, trials: int, epochs: int) -> list[dict[str, Any]]:
    """`trials` trials, `AT_ONCE` at a time; each such group is a stored part, so that a stopped search goes on.

    Returns:
        One dict a trial: `params`, `value` (accuracy on the per-trial images), `valid` (accuracy on the per-epoch
        images after each epoch), `epochs`, and what the start was like: `saturated`, `gradient`.
    """
    records: list[dict[str, Any]] = []
    for begun in range(0, trials, AT_ONCE):
        count = min(AT_ONCE, trials - begun)

        compute = partial(_group, lab, build, images, tuple(records), count, epochs)
        records += lab.part(f"{name} {len(images.train[0])} {epochs} trials {begun} to {begun + count}", compute)
    return records


def _group(
    lab: Lab, build: Build, images: Images, records: Sequence[Mapping[str, Any]], count: int, epochs: int
) -> list[dict[str, Any]]:
    task = images.task(build, images.each_trial, epochs, derive_seed(lab.seed, "training"))
    study = study_of(records, derive_seed(lab.seed, "tpe", len(records)))
    asked = [_suggest(study.ask()) for _ in range(count)]
    specs = [
        RunSpec(f"trial {len(records) + i}", "trial", policy(params), 0, params[RATE], DECAY)
        for i, params in enumerate(asked)
    ]
    starts = [at_start(task, spec) for spec in specs]
    runs = train_to_plateau(task, specs, epochs)
    return [
        {"params": params, **start, **runs[spec.key]} for params, start, spec in zip(asked, starts, specs, strict=True)
    ]


def study_of(records: Sequence[Mapping[str, Any]], seed: int) -> Any:
    """An Optuna study with a seeded TPE sampler that knows what the trials so far have given."""
    with quiet_optuna(), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=STARTUP, constant_liar=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
    every: dict[str, optuna.distributions.BaseDistribution] = {
        **{place: optuna.distributions.CategoricalDistribution(tuple(SCHEMES)) for place in SELECTORS},
        **{f"{place}_std": optuna.distributions.FloatDistribution(*STDS, log=True) for place in SELECTORS},
        RATE: optuna.distributions.FloatDistribution(*RATES, log=True),
    }
    for record in records:
        params = dict(record["params"])
        laws = {name: every[name] for name in params}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=laws, value=record["value"]))
    return study


def _suggest(trial: Any) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for place in SELECTORS:
        params[place] = trial.suggest_categorical(place, tuple(SCHEMES))
        if params[place] == "gaussian":
            params[f"{place}_std"] = trial.suggest_float(f"{place}_std", *STDS, log=True)
    params[RATE] = trial.suggest_float(RATE, *RATES, log=True)
    return params


def importances(records: Sequence[Mapping[str, Any]], seed: int) -> dict[str, float]:
    """fANOVA shares of the variance of the per-trial accuracy that the choices every trial made account for."""
    study = study_of(records, seed)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed % 2**32)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=[CONV, LINEAR, RATE])
    return {name: float(share) for name, share in found.items()}


def at_start(task: Task, spec: RunSpec) -> dict[str, float]:
    """Before training, on the first images: what the sigmoid layer sees, and what reaches the first convolution.

    Returns:
        `saturated`: share of the sigmoid's outputs within 1% of 0 or 1. `gradient`: rms of the loss's gradient with
        respect to the weights of the first convolution.
    """
    model = make_models(task, [spec])[0]
    assert isinstance(model, nn.Sequential)
    assert isinstance(task.train, tuple)
    x, y = task.train[0][:PROBE], task.train[1][:PROBE]
    place = next(i for i, layer in enumerate(model) if isinstance(layer, nn.Sigmoid))
    hidden = model[: place + 1](x)
    loss = nn.functional.cross_entropy(model[place + 1 :](hidden), y)
    (gradient,) = torch.autograd.grad(loss, [next(model.parameters())])
    edge = ((hidden < 0.01) | (hidden > 0.99)).float().mean()
    return {"saturated": float(edge), "gradient": float(gradient.double().square().mean().sqrt())}


def train_to_plateau(task: Task, specs: Sequence[RunSpec], epochs: int) -> dict[str, dict[str, Any]]:
    """Each run until `PATIENCE` epochs without a better accuracy on `task.valid`, or to its last epoch.

    Returns:
        key -> `valid` (accuracy after each epoch), `epochs`, and `value`: the accuracy on `task.test` at the end, 0
        for a run that diverged.
    """
    runs: dict[str, dict[str, Any]] = {spec.key: {"valid": [], "epochs": 0} for spec in specs}
    left = set(runs)
    session = _open(task, specs)
    try:
        for epoch in range(1, epochs + 1):
            session.advance(task.steps // epochs)
            for key, (_, accuracy) in session.evaluate("valid").items():
                runs[key]["valid"].append(_number(accuracy))
            ended = {key for key in left if epoch == epochs or plateau(runs[key]["valid"])}
            scores = session.evaluate("test") if ended else {}
            for key in ended:
                runs[key] |= {"epochs": epoch, "value": _number(scores[key][1])}
            left -= ended
            if not left:
                break
            session.drop(ended)
    finally:
        session.close()
    return runs


def _open(task: Task, specs: Sequence[RunSpec]) -> Session:
    """Runs in worker processes of one thread each, convolutions channels last."""
    return get_engine("processes:sequential:channels_last").open(task, specs)


def plateau(accuracies: Sequence[float]) -> bool:
    """Whether the last `PATIENCE` epochs brought no accuracy above the best before them.

    >>> plateau([0.1, 0.5, 0.5, 0.4, 0.5, 0.5, 0.5]), plateau([0.1, 0.5, 0.5, 0.4, 0.5, 0.5, 0.6])
    (True, False)
    """
    return len(accuracies) > PATIENCE and max(accuracies[-PATIENCE:]) <= max(accuracies[:-PATIENCE])


def _number(accuracy: float | None) -> float:
    return float(accuracy) if accuracy is not None and math.isfinite(accuracy) else 0.0
