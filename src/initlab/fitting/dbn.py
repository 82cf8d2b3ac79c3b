"""Deep belief networks: a stack of linear layers set greedily, one restricted Boltzmann machine after another."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from initlab.errors import InputError, argued, check_flags, known, seed_number, whole_number
from initlab.fitting.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from initlab.fitting.rbm import RBM
from initlab.fitting.rows import check_rows, inputs_of
from initlab.fitting.running import kept_on_failure, linears_used
from initlab.fitting.units import VISIBLE
from initlab.graph import record
from initlab.guest.check import check_materialised
from initlab.guest.run import own_precision
from initlab.reporting import Column, Shown, Table
from initlab.sampling import derive_seed


@dataclass(frozen=True, repr=False)
class DbnResult(Shown):
    """What pre-training did.

    Args:
        names: the linear layers that were set, in order.
        rbms: the machine of each.
        untouched: linear layers that were left as they were (the output layer).
        remarks: what to know, such as units that are not logistic.
    """

    names: tuple[str, ...]
    rbms: tuple[RBM, ...]
    untouched: tuple[str, ...]
    remarks: tuple[str, ...]

    def encode(self, x: Tensor) -> Tensor:
        """The data through all machines: P(h = 1) of the top layer, of shape (n, hidden)."""
        rows = x.reshape(len(x), -1)
        for rbm in self.rbms:
            rows = rbm.encode(rows)
        return rows

    def decode(self, hidden: Tensor) -> Tensor:
        """Top-layer probabilities back to the data's units, of shape (n, features)."""
        for rbm in reversed(self.rbms):
            hidden = rbm.decode(hidden)
        return hidden

    def reconstruct(self, x: Tensor) -> Tensor:
        """The data up through all machines and back."""
        return self.decode(self.encode(x))

    def table(self) -> Table:
        """One row a layer: sizes, epochs, reconstruction error of the first and the last epoch."""
        columns = (
            Column("layer", kind="code", keep=9),
            Column("units", kind="text", keep=8),
            Column("epochs", "right", "number", 5),
            Column("error, first epoch", "right", "number", 6),
            Column("last", "right", "number", 7),
            Column("free-energy gap", "right", "number", 4),
        )
        rows = [
            (
                name, f"{rbm.weight.shape[0]}-{rbm.hidden}", len(rbm.history), rbm.history[0].reconstruction_error,
                rbm.history[-1].reconstruction_error, _known(rbm.history[-1].free_energy_gap),
            )
            for name, rbm in zip(self.names, self.rbms, strict=True)
        ]  # fmt: skip
        notes = [*self.remarks, *(f"{name} was left as it was" for name in self.untouched)]
        return Table("Deep belief network", columns, rows, note="; ".join(notes))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


@argued
@own_precision()
def pretrain_dbn_(
    model: nn.Module,
    data: Any,
    *,
    epochs: int | Sequence[int] = 10,
    layers: int | None = None,
    visible: str = "bernoulli",
    k: int = 1,
    persistent: bool = False,
    lr: float | None = None,
    momentum: float = 0.9,
    weight_decay: float = 2e-4,
    batch_size: int = 100,
    valid: Any = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
    seed: int = 0,
) -> DbnResult:
    """Greedy layer-by-layer pre-training of a stack of `nn.Linear` layers, as a deep belief network.

    Each linear layer becomes an RBM on the hidden probabilities of the one before it, which stays fixed; at the end
    weight = Wᵀ and bias = c are written into all of them at once. Fine-tune the whole as an ordinary network then
    (`initlab.fit.finetune_`, or a loop of your own).

    Args:
        model: any module whose forward passes its input through `nn.Linear` layers one after another.
        data: inputs of shape (n, ...), in [0, 1] for bernoulli units: a tensor, array or data frame; or (X, Y), (a data
            frame, the name of its target column), a Dataset or a DataLoader, whose labels are not used.
        epochs: epochs of each machine: one number, or one a layer.
        layers: how many layers to set, from the input on; None for all but the last, which is the output layer.
        visible: units of the first machine: "bernoulli", or "gaussian" for standardised data.
        k, persistent, lr, momentum, weight_decay, batch_size: as for `RBM`; lr None takes each machine's usual one.
        valid: held-out inputs for the free-energy gap.
        checkpoint: a file that keeps what is done after each epoch; called again, the same training goes on from it.
        progress: whether to show a bar.
        seed: an integer in [0, 2^64).

    Returns:
        `DbnResult` with the machines, which also decode and sample.

    Raises:
        InputError: no stack of linear layers, a frozen one, data that a machine cannot learn from, a checkpoint of
            another run. The model is as it was, also after Ctrl-C.

    Source: Hinton, Osindero & Teh 2006; Hinton & Salakhutdinov 2006.

    >>> net = nn.Sequential(nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 3), nn.Sigmoid(), nn.Linear(3, 2))
    >>> result = pretrain_dbn_(net, torch.eye(4).repeat(25, 1), epochs=2)
    >>> result.names, result.untouched
    (('0', '2'), ('4',))
    """
    check_flags(progress=progress)
    module = check_materialised(model, parameters=True)
    inputs = inputs_of(data)
    rows = check_rows(inputs, known("visible units", visible, VISIBLE))
    held_out = None if valid is None else check_rows(inputs_of(valid, "valid"), visible, "valid")
    sample = torch.as_tensor(inputs[:2]).float()
    chain = linear_chain(module, sample)
    chosen = _chosen(chain, layers, rows.shape[1])
    counts = _counts(epochs, len(chosen))
    options = {"k": k, "persistent": persistent, "lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    rbms = [
        RBM(layer.out_features, visible=visible if i == 0 else "bernoulli", batch_size=batch_size,
            seed=derive_seed(seed_number(seed), "dbn", name), **options)  # type: ignore[arg-type]  # mixed option types
        for i, (name, layer) in enumerate(chosen)
    ]  # fmt: skip
    settings = {
        **options, "batch_size": batch_size, "visible": visible, "seed": seed, "data": fingerprint(rows),
        "layers": [(name, layer.in_features, layer.out_features) for name, layer in chosen],
    }  # fmt: skip
    remarks = _remarks(module, sample, chosen)
    _train(rbms, rows, held_out, counts, checkpoint, settings, progress)
    _write(module, [layer for _, layer in chosen], rbms)
    untouched = tuple(name for name, _ in chain[len(chosen) :])
    return DbnResult(tuple(name for name, _ in chosen), tuple(rbms), untouched, remarks)


def linear_chain(model: nn.Module, sample: Tensor) -> list[tuple[str, nn.Linear]]:
    """The `nn.Linear` layers in the order in which a forward pass uses them.

    Raises:
        InputError: a forward that raises, no linear layers, a layer used twice, or layers that do not follow on.
    """
    used = linears_used(model, sample, "data")
    if not used:
        raise InputError("model must be a stack of nn.Linear layers; its forward uses none")
    names = [name for name, _ in used]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"model must use each layer once; {twice!r} is used {names.count(twice)} times")
    for (name, layer), (after, following) in itertools.pairwise(used):
        if layer.out_features != following.in_features:
            raise InputError(
                f"layers must follow on one another: {name!r} gives {layer.out_features} units and {after!r} takes "
                f"{following.in_features}"
            )
    return used


def _chosen(chain: list[tuple[str, nn.Linear]], layers: int | None, features: int) -> list[tuple[str, nn.Linear]]:
    count = max(1, len(chain) - 1) if layers is None else whole_number("layers", layers)
    if count > len(chain):
        raise InputError(f"layers must be at most {len(chain)}, the linear layers of the model; got {count}")
    if chain[0][1].in_features != features:
        raise InputError(f"data must have {chain[0][1].in_features} features, as {chain[0][0]!r} takes; got {features}")
    for name, layer in chain[:count]:
        frozen = next((n for n, p in layer.named_parameters() if not p.requires_grad), None)
        if frozen is not None:
            raise InputError(
                f"parameter '{name}.{frozen}' is frozen (requires_grad is False), and would be overwritten"
            )
    return chain[:count]


def _counts(epochs: int | Sequence[int], layers: int) -> list[int]:
    counts = list(epochs) if isinstance(epochs, Iterable) else [epochs] * layers
    if len(counts) != layers:
        raise InputError(f"epochs must be one number, or one for each of the {layers} layers; got {len(counts)}")
    return [whole_number("epochs", count) for count in counts]


def _train(
    rbms: list[RBM],
    rows: Tensor,
    valid: Tensor | None,
    counts: list[int],
    checkpoint: str | os.PathLike[str] | None,
    settings: dict[str, Any],
    progress: bool,
) -> None:
    """Each machine to its number of epochs, on the probabilities of those before it."""
    saved = None if checkpoint is None else load_checkpoint(checkpoint, settings)
    states: dict[int, dict[str, Any]] = {}
    for key, array in (saved or {}).items():
        number, _, name = key.partition(":")
        states.setdefault(int(number), {})[name] = array
    for index, state in states.items():
        rbms[index].restore(state)

    def keep(rbm: RBM) -> None:
        if checkpoint is not None:
            states[rbms.index(rbm)] = rbm.state()
            flat = {f"{i}:{name}": array for i, state in states.items() for name, array in state.items()}
            save_checkpoint(checkpoint, flat, settings)

    for rbm, count in zip(rbms, counts, strict=True):
        rbm.fit(rows, epochs=count, valid=valid, progress=progress, after_epoch=keep)
        rows = rbm.encode(rows)
        valid = None if valid is None else rbm.encode(valid)


def _write(model: nn.Module, layers: list[nn.Linear], rbms: list[RBM]) -> None:
    with kept_on_failure(model), torch.no_grad():
        for layer, rbm in zip(layers, rbms, strict=True):
            layer.weight.copy_(rbm.weight.T)
            if getattr(layer, "bias", None) is not None:
                layer.bias.copy_(rbm.hidden_bias)


def _remarks(model: nn.Module, sample: Tensor, chosen: list[tuple[str, nn.Linear]]) -> tuple[str, ...]:
    """The machines' units are logistic; where the model's are not, that is said."""
    graph = record(model, (sample,))
    remarks = []
    for name, layer in chosen:
        if getattr(layer, "bias", None) is None:
            remarks.append(f"{name} has no bias, so its machine's hidden biases were dropped")
    for name, _ in chosen[1:]:
        uses = graph.uses(f"{name}.weight")
        activation = uses[0].feeds.activation if uses and uses[0].feeds is not None else None
        if activation not in ("sigmoid", None):
            remarks.append(f"{name} is fed by {activation}, while the machines' hidden units are logistic")
    return tuple(remarks)
