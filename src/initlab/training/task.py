"""What every run of a study shares (`Task`), what makes one run itself (`RunSpec`), how far it came (`Progress`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from initlab.errors import InputError, finite_number, seed_number, shown, whole_number
from initlab.training.losses import check_loss, named_loss
from initlab.training.optimizers import in_torch, optimizer_options
from initlab.training.sources import Pair, Source

Loss = Callable[[Any, torch.Tensor], torch.Tensor]

DTYPES = (torch.float32, torch.float64)


def check_dtype(dtype: Any) -> None:
    """Refuse a dtype that no run is trained in.

    >>> check_dtype(torch.float32)
    """
    if not isinstance(dtype, torch.dtype) or dtype not in DTYPES:
        raise InputError(f"dtype must be torch.float32 or torch.float64; got {shown(dtype)}")


@dataclass(frozen=True)
class Factors:
    """What a run's rate, decay and eps are multiplied by, for one parameter.

    Args:
        lr: the rate.
        weight_decay: the decay, which torch's optimizers multiply by the rate.
        eps: of Adam and its kin.
    """

    lr: float = 1.0
    weight_decay: float = 1.0
    eps: float = 1.0

    def on(self, spec: RunSpec) -> tuple[float, float]:
        """A run's (rate, decay) with them."""
        return spec.lr * self.lr, spec.weight_decay * self.weight_decay

    def options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """An optimizer's options with them."""
        return {**options, **({"eps": options["eps"] * self.eps} if "eps" in options else {})}


@dataclass(frozen=True, eq=False)
class Task:
    """What every run of a study shares: the model's builder, the data, the loss, the optimizer, the order of the data.

    The batch of step t is a function of (root_seed, seed of the run, t) alone: each epoch is a fresh permutation of
    the training samples, cut into consecutive batches. With `shared_order` every run sees one order.

    Args:
        build: makes the model; called once for each run, under a seeded RNG that is put back afterwards.
        train: (X, Y) tensors of n samples, or a `Source` that fetches batches of samples by index.
        test: as `train`; what `Session.evaluate("test")` measures.
        valid: as `train`, optional; what `Session.evaluate("valid")` measures.
        loss: "auto" (integer targets: cross-entropy; float targets: mean squared error), the name of a loss ("mse",
            "cross_entropy", "l1", …), or a callable (output, target) -> scalar tensor that is a mean over the batch.
        optimizer: a name in `optimizers.trained()`: "sgd", "adam", "adamw", …
        options: the optimizer's own, as its row lists them: momentum and nesterov; or betas and eps.
        batch_size: samples in a batch; more than n means n.
        steps: optimizer steps of a whole run.
        drop_last: leave out the short batch at the end of an epoch.
        eval_batch: samples in one forward pass of an evaluation.
        root_seed: the study's seed, in [0, 2^64).
        shared_order: one data order for all runs rather than one for each seed.
        dtype: torch.float32 or torch.float64, of parameters and floating-point inputs.
        device: where runs are trained.
        factors: parameter name -> what the run's rate, decay and eps are multiplied by for it; 1 where there is none.
        vectors: the parameters that an optimizer of matrices leaves to the one for what it does not take.
        own_modes: modules stay in the mode in which `build` leaves them, in training and in evaluation.

    Raises:
        InputError: an argument that cannot be meant.
    """

    build: Callable[[], nn.Module]
    train: Pair | Source
    test: Pair | Source
    valid: Pair | Source | None = None
    loss: str | Loss = "auto"
    optimizer: str = "adamw"
    options: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 128
    steps: int = 1000
    drop_last: bool = True
    eval_batch: int = 2048
    root_seed: int = 0
    shared_order: bool = False
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    factors: Mapping[str, Factors] = field(default_factory=dict)
    vectors: frozenset[str] = frozenset()
    own_modes: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps", "eval_batch"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        seed_number(self.root_seed, "root_seed")
        if not callable(self.build):
            raise InputError(f"build must be a callable that returns an nn.Module; got {type(self.build).__name__}")
        check_dtype(self.dtype)
        check_loss(self.loss)
        object.__setattr__(self, "options", optimizer_options(self.optimizer, self.options, self.optimizers))
        for name in ("train", "test", "valid"):
            _check_pair(name, getattr(self, name))
        if isinstance(self.loss, str) and self.loss != "auto":
            object.__setattr__(self, "loss", _by_name(self.loss, first_samples(self.train, 1)[1]))

    @property
    def optimizers(self) -> list[str] | None:
        """The optimizers that it may name: where every parameter is told what takes it, those of matrices too."""
        return in_torch() if self.factors else None

    def factors_of(self, name: str) -> Factors:
        """What the run's rate, decay and eps are multiplied by for a parameter."""
        return self.factors.get(name, Factors())


@dataclass(frozen=True)
class RunSpec:
    """One training: a scheme (or policy) with a seed, a learning rate and a weight decay.

    Args:
        key: unique within the study and the same each time it is resumed; dropout derives from it.
        scheme_label: what reports call the policy.
        policy: a name, a `Scheme`, or {selector: scheme}; None keeps the weights that `build` made.
        seed: pairs runs: every scheme with this seed sees the same data order.
        lr: learning rate, at least 0.
        weight_decay: at least 0; decoupled for "adamw", added to the gradient otherwise.
    """

    key: str
    scheme_label: str
    policy: Any
    seed: int
    lr: float
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        seed_number(self.seed, "seed")
        finite_number("lr", self.lr, low=0)
        finite_number("weight_decay", self.weight_decay, low=0)


@dataclass(frozen=True, eq=False)
class Progress:
    """What one call of `Session.advance` did to one run.

    Args:
        steps: optimizer steps done since the run began.
        losses: (steps of this call,) training loss of each step, float64. A run that diverged ends with its first
            loss that is not finite; that step changed no weight.
        diverged: the loss became nan, +inf or -inf: an outcome; the run has stopped.
    """

    steps: int
    losses: np.ndarray
    diverged: bool


def first_samples(data: Pair | Source, count: int) -> Pair:
    """(X, Y) of the first `count` samples, or of all where there are fewer."""
    if isinstance(data, tuple):
        return data[0][:count], data[1][:count]
    return data.gather(torch.arange(min(count, len(data)), device="cpu"))


def _by_name(name: str, targets: torch.Tensor) -> str | Loss:
    """A named loss; "auto" where that is what these targets mean anyway, which every engine knows how to stack."""
    chosen = named_loss(name)
    usual = "mse" if targets.is_floating_point() else "cross_entropy"
    return "auto" if chosen.kind == usual else chosen.call


def _check_pair(name: str, data: Any) -> None:
    if data is None and name == "valid":
        return
    if not isinstance(data, tuple):
        if hasattr(data, "gather") and hasattr(data, "__len__"):
            return
        raise InputError(f"{name} must be (X, Y) tensors or a batch source; got {type(data).__name__}")
    if len(data) != 2 or not all(isinstance(part, torch.Tensor) for part in data):
        raise InputError(f"{name} must be a pair (X, Y) of tensors; got {tuple(type(p).__name__ for p in data)}")
    x, y = data
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise InputError(f"{name} must hold as many targets as samples; got X {tuple(x.shape)} and Y {tuple(y.shape)}")
    if len(x) == 0:
        raise InputError(f"{name} must hold at least one sample; got X {tuple(x.shape)}")
