"""Restricted Boltzmann machines: Bernoulli or Gaussian visible and Bernoulli hidden units, trained by CD-k or PCD."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from initlab.errors import InputError, check_flags, finite_number, known, seed_number, whole_number
from initlab.fitting.progress import progress_bar
from initlab.fitting.rbm_epoch import RbmEpoch, as_rows, from_rows
from initlab.fitting.rows import as_tensor, check_rows, inputs_of
from initlab.fitting.running import generator
from initlab.fitting.units import VISIBLE, Units, drawn
from initlab.guest.run import own_precision
from initlab.schemes import get_scheme

LARGEST = 1e18  # of two factors whose product torch takes as a float32

_WEIGHTS = ("weight", "visible_bias", "hidden_bias")
_WATCHED = 2_000  # rows over which the free-energy gap is measured


class RBM:
    """A restricted Boltzmann machine.

    Bernoulli visible units: E(v, h) = −bᵀv − cᵀh − vᵀWh. Gaussian ones (unit variance): E = ½‖v − b‖² − cᵀh − vᵀWh.
    Training follows ΔW = lr · (⟨v hᵀ⟩_data − ⟨v hᵀ⟩_model − weight_decay · W) with momentum, the model's average taken
    after k Gibbs steps from the data (CD-k) or along chains that live on between batches (PCD). Everything is a matrix
    product over the batch.

    Args:
        hidden: number of hidden units.
        visible: "bernoulli" for data in [0, 1], "gaussian" for standardised data.
        k: Gibbs steps for each update.
        persistent: whether the chains live on (PCD).
        lr: learning rate; None for 0.1 (bernoulli), 0.01 (bernoulli with persistent chains) or 0.001 (gaussian).
        momentum: from the sixth epoch on; 0.5 before (at most), while the weights are still growing fast.
        weight_decay: L2 cost.
        batch_size: rows for each update.
        seed: an integer in [0, 2^64); all random numbers come from it.

    Raises:
        InputError: an argument outside its range.

    Source: Hinton 2002 (CD); Tieleman 2008 (PCD); Hinton 2010, A practical guide to training RBMs, for the defaults.

    >>> data = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]).repeat(50, 1)
    >>> machine = RBM(2, batch_size=10, seed=0).fit(data, epochs=60)
    >>> bool(machine.history[-1].reconstruction_error < 0.05)
    True
    """

    def __init__(
        self,
        hidden: int,
        *,
        visible: str = "bernoulli",
        k: int = 1,
        persistent: bool = False,
        lr: float | None = None,
        momentum: float = 0.9,
        weight_decay: float = 2e-4,
        batch_size: int = 100,
        seed: int = 0,
    ) -> None:
        check_flags(persistent=persistent)
        self.hidden = whole_number("hidden", hidden)
        self.visible = known("visible units", visible, VISIBLE)
        self.k = whole_number("k", k)
        self.persistent = bool(persistent)
        usual = self._units.lr_of_chains if persistent else self._units.lr
        self.lr = usual if lr is None else finite_number("lr", lr, low=0, high=LARGEST)
        self.momentum = finite_number("momentum", momentum, low=0, high=0.999)
        self.weight_decay = finite_number("weight_decay", weight_decay, low=0, high=LARGEST)
        self.batch_size = whole_number("batch_size", batch_size)
        self.seed = seed_number(seed)
        self.history: list[RbmEpoch] = []
        self.weight = torch.empty(0, self.hidden, device="cpu")
        self.visible_bias = torch.empty(0, device="cpu")
        self.hidden_bias = torch.zeros(self.hidden, device="cpu")
        self._velocity: tuple[Tensor, Tensor, Tensor] | None = None
        self._chain: Tensor | None = None
        self._generator = generator(self.seed)

    @property
    def _units(self) -> Units:
        return VISIBLE[self.visible]

    @own_precision()
    def fit(
        self,
        data: Any,
        *,
        epochs: int = 10,
        valid: Any = None,
        progress: bool = False,
        after_epoch: Callable[[RBM], None] | None = None,
    ) -> RBM:
        """Train until `epochs` epochs have been made in all; a machine that was restored goes on where it stood.

        Args:
            data: rows of shape (n, ...), flattened; in [0, 1] for bernoulli units. As `pretrain_dbn_` takes them.
            epochs: how many epochs in all.
            valid: held-out rows for the free-energy gap.
            progress: whether to show a bar.
            after_epoch: called after each epoch (to save a checkpoint).

        Returns:
            The machine itself.

        Raises:
            InputError: data with NaN, no rows, no variation, or outside [0, 1] for bernoulli units; a learning rate
                with which the weights leave the range of numbers.
        """
        rows = check_rows(inputs_of(data), self.visible)
        held_out = None if valid is None else check_rows(inputs_of(valid, "valid"), self.visible, "valid")
        total = whole_number("epochs", epochs)
        self._begin(rows)
        with progress_bar(f"RBM {rows.shape[1]}-{self.hidden}", total, progress, len(self.history)) as step:
            while len(self.history) < total:
                epoch = self._epoch(rows, held_out)
                self.history.append(epoch)
                step(f"reconstruction error {epoch.reconstruction_error:.4f}")
                if after_epoch is not None:
                    after_epoch(self)
        return self

    def _begin(self, rows: Tensor) -> None:
        if self.weight.numel() == 0:
            size, start = (rows.shape[1], self.hidden), get_scheme("normal", std=0.01)
            values = start.sample(size, seed=self.seed, name="rbm.weight")
            self.weight = torch.from_numpy(values)
            self.visible_bias = self._units.bias(rows.mean(0))
        elif self.weight.shape[0] != rows.shape[1]:
            raise InputError(
                f"data must have {self.weight.shape[0]} features, as this machine was trained on; got {rows.shape[1]}"
            )
        if self._velocity is None:
            zeros = torch.zeros_like
            self._velocity = (zeros(self.weight), zeros(self.visible_bias), zeros(self.hidden_bias))

    def _epoch(self, rows: Tensor, valid: Tensor | None) -> RbmEpoch:
        number = len(self.history) + 1
        momentum = min(self.momentum, 0.5) if number <= 5 else self.momentum
        order = torch.randperm(len(rows), generator=self._generator, device="cpu")
        error = 0.0
        for start in range(0, len(rows), self.batch_size):
            batch = rows[order[start : start + self.batch_size]]
            error += self._update(batch, momentum) * len(batch)
        rms = float(self.weight.square().mean().sqrt())
        if not math.isfinite(rms) or not math.isfinite(error):
            raise InputError(
                f"lr must be smaller: with {self.lr:g} the weights left the range of numbers in epoch {number}"
            )
        return RbmEpoch(number, error / len(rows), self._gap(rows, valid), rms)

    def _update(self, batch: Tensor, momentum: float) -> float:
        """One step of contrastive divergence; returns the batch's mean squared reconstruction error."""
        positive = self.encode(batch)
        one_step = self.decode(first := drawn(positive, self._generator))
        visible, negative = self._chain_steps(first) if self.persistent else self._steps_from_data(one_step)
        self._step(batch, positive, visible, negative, momentum)
        return float((batch - one_step).square().mean())

    def _steps_from_data(self, visible: Tensor) -> tuple[Tensor, Tensor]:
        """CD-k: visible means and hidden probabilities after k steps; means have less noise (Hinton 2010)."""
        negative = self.encode(visible)
        for _ in range(self.k - 1):
            visible = self.decode(drawn(negative, self._generator))
            negative = self.encode(visible)
        return visible, negative

    def _chain_steps(self, first: Tensor) -> tuple[Tensor, Tensor]:
        """PCD: k steps along chains that start at the first batch and then live on; here both layers are drawn."""
        hidden = first if self._chain is None else self._chain
        for _ in range(self.k):
            visible = self._units.drawn(self.decode(hidden), self._generator)
            negative = self.encode(visible)
            hidden = drawn(negative, self._generator)
        self._chain = hidden
        return visible, negative

    def _step(self, data: Tensor, positive: Tensor, model: Tensor, negative: Tensor, momentum: float) -> None:
        assert self._velocity is not None
        weight, visible_bias, hidden_bias = self._velocity
        up, down = self.lr / len(data), self.lr / len(model)
        weight.mul_(momentum).addmm_(data.T, positive, alpha=up).addmm_(model.T, negative, alpha=-down)
        weight.add_(self.weight, alpha=-self.lr * self.weight_decay)
        visible_bias.mul_(momentum).add_(data.mean(0) - model.mean(0), alpha=self.lr)
        hidden_bias.mul_(momentum).add_(positive.mean(0) - negative.mean(0), alpha=self.lr)
        self.weight.add_(weight)
        self.visible_bias.add_(visible_bias)
        self.hidden_bias.add_(hidden_bias)

    def _gap(self, rows: Tensor, valid: Tensor | None) -> float:
        if valid is None:
            return math.nan
        count = min(len(rows), len(valid), _WATCHED)
        return float(self.free_energy(valid[:count]).mean() - self.free_energy(rows[:count]).mean())

    def encode(self, visible: Any) -> Tensor:
        """P(h = 1 | v) = σ(vW + c), of shape (n, hidden)."""
        visible = self._rows(visible, "visible", 0)
        return torch.addmm(self.hidden_bias, visible, self.weight).sigmoid_()

    def decode(self, hidden: Any) -> Tensor:
        """E[v | h]: σ(hWᵀ + b) for bernoulli units, hWᵀ + b for gaussian ones; of shape (n, visible)."""
        hidden = self._rows(hidden, "hidden", 1)
        return self._units.mean(torch.addmm(self.visible_bias, hidden, self.weight.T))

    def reconstruct(self, visible: Any) -> Tensor:
        """The data through the hidden probabilities and back."""
        return self.decode(self.encode(visible))

    def free_energy(self, visible: Any) -> Tensor:
        """F(v) with P(v) ∝ exp(−F(v)), of shape (n,): −bᵀv − Σ softplus(vW + c), or ½‖v − b‖² − Σ softplus(vW + c)."""
        rows = self._rows(visible, "visible", 0)
        hidden = torch.nn.functional.softplus(torch.addmm(self.hidden_bias, rows, self.weight)).sum(1)
        return self._units.energy(rows, self.visible_bias) - hidden

    def sample(self, count: int, *, steps: int = 1000, start: Tensor | None = None, seed: int = 0) -> Tensor:
        """Means of the visible units after `steps` Gibbs steps, of shape (count, visible).

        Args:
            count: how many independent chains.
            steps: Gibbs steps of each.
            start: visible rows to start from, one a chain or one for all; random hidden states without.
            seed: an integer in [0, 2^64).

        Raises:
            InputError: a machine without weights, or fewer rows in `start` than chains.
        """
        own = generator(seed_number(seed))
        chains = whole_number("count", count)
        self._check_trained()
        hidden = drawn(torch.full((chains, self.hidden), 0.5, device="cpu"), own)
        if start is not None:
            given = self.encode(start[:chains])
            if len(given) not in (1, chains):
                raise InputError(f"start must have a row for each of the {chains} chains; got {len(given)}")
            hidden = drawn(given.expand(chains, -1), own)
        mean = self.decode(hidden)
        for _ in range(whole_number("steps", steps) - 1):
            mean = self.decode(drawn(self.encode(self._units.drawn(mean, own)), own))
        return mean

    def state(self) -> dict[str, Any]:
        """All that training needs to go on exactly where it stands, as numpy arrays of its own."""
        self._check_trained()
        arrays = {name: getattr(self, name).numpy().copy() for name in _WEIGHTS}
        if self._velocity is not None:
            arrays.update({f"velocity_{i}": part.numpy().copy() for i, part in enumerate(self._velocity)})
        if self._chain is not None:
            arrays["chain"] = self._chain.numpy()  # a new tensor at every step
        arrays["generator"] = self._generator.get_state().numpy()
        arrays["history"] = as_rows(self.history)
        return arrays

    def restore(self, state: dict[str, Any]) -> RBM:
        """Take over what `state` gave; `fit` then goes on with the next epoch.

        Raises:
            InputError: a state of a machine of another size.
        """
        if "weight" not in state or state["weight"].ndim != 2 or state["weight"].shape[1] != self.hidden:
            raise InputError(f"state must be that of an RBM with {self.hidden} hidden units")
        for name in _WEIGHTS:
            setattr(self, name, torch.from_numpy(state[name].copy()))
        if "velocity_0" in state:
            first, second, third = (torch.from_numpy(state[f"velocity_{i}"].copy()) for i in range(3))
            self._velocity = (first, second, third)
        self._chain = torch.from_numpy(state["chain"].copy()) if "chain" in state else None
        self._generator.set_state(torch.from_numpy(state["generator"].copy()))
        self.history = from_rows(state["history"])
        return self

    def __repr__(self) -> str:
        shape = f"{self.weight.shape[0] or '?'}-{self.hidden}"
        trained = f"{len(self.history)} epochs" if self.history else "not trained"
        error = f", reconstruction error {self.history[-1].reconstruction_error:.4g}" if self.history else ""
        method = f"{'PCD' if self.persistent else 'CD'}-{self.k}"
        return f"RBM({shape}, {self.visible}, {method}, lr={self.lr:g}: {trained}{error})"

    def _rows(self, values: Any, argument: str, axis: int) -> Tensor:
        """`values` as rows of as many floats as the weight has along `axis`."""
        self._check_trained()
        rows: Tensor = values if isinstance(values, Tensor) else as_tensor(values, argument)
        width = self.weight.shape[axis]
        if rows.ndim != 2:
            rows = torch.reshape(rows, (len(rows) if rows.ndim else 1, -1))
        if rows.shape[1] != width:
            raise InputError(f"{argument} must be rows of {width} units; got shape {tuple(rows.shape)}")
        return rows.to(torch.float32)

    def _check_trained(self) -> None:
        if self.weight.numel() == 0:
            raise InputError("this RBM has no weights yet: call fit(data) first")
