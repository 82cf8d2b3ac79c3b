"""RBM and deep belief network: exact gradients on a machine small enough to enumerate, learning, resume, refusals."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from initlab import data
from initlab.errors import InputError
from initlab.fitting import RBM, evaluate, finetune_, pretrain_dbn_


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return data.digits(normalize=False).train


def bars(count: int = 400, seed: int = 0) -> Tensor:
    """4 × 4 images of whole rows and columns, each on with probability 1/4."""
    own = torch.Generator().manual_seed(seed)
    down, across = (
        (torch.rand(count, 4, generator=own) < 0.25).float(),
        (torch.rand(count, 4, generator=own) < 0.25).float(),
    )
    return torch.maximum(down[:, :, None].expand(-1, 4, 4), across[:, None, :].expand(-1, 4, 4)).reshape(count, 16)


def all_states(units: int) -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=units)))


def log_likelihood(machine: RBM, rows: Tensor) -> float:
    """Exact, by summing over all visible states."""
    partition = torch.logsumexp(-machine.free_energy(all_states(rows.shape[1])), 0)
    return float((-machine.free_energy(rows) - partition).mean())


def trained(visible: str = "bernoulli", **options: Any) -> RBM:
    rows = bars()[:, :6] if visible == "bernoulli" else torch.randn(300, 6, generator=torch.Generator().manual_seed(1))
    return RBM(4, visible=visible, batch_size=20, **options).fit(rows, epochs=3)


def test_free_energy_is_the_sum_over_hidden_states() -> None:
    machine, hidden = trained(), all_states(4)
    visible = all_states(6)
    energy = (
        -(visible @ machine.visible_bias)[:, None] - hidden @ machine.hidden_bias - visible @ machine.weight @ hidden.T
    )
    torch.testing.assert_close(machine.free_energy(visible), -torch.logsumexp(-energy, 1), atol=1e-5, rtol=1e-5)


def test_gaussian_free_energy_is_the_sum_over_hidden_states() -> None:
    machine, hidden = trained("gaussian"), all_states(4)
    visible = torch.randn(20, 6, generator=torch.Generator().manual_seed(2))
    quadratic = 0.5 * (visible - machine.visible_bias).square().sum(1)
    energy = quadratic[:, None] - hidden @ machine.hidden_bias - visible @ machine.weight @ hidden.T
    torch.testing.assert_close(machine.free_energy(visible), -torch.logsumexp(-energy, 1), atol=1e-5, rtol=1e-5)


def test_conditionals_are_those_of_the_energy() -> None:
    machine, hidden = trained(), all_states(4)
    visible = all_states(6)[17:18]
    weights = torch.softmax(hidden @ machine.hidden_bias + (visible @ machine.weight @ hidden.T)[0], 0)
    torch.testing.assert_close(machine.encode(visible)[0], weights @ hidden, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"k": 3}, {"persistent": True}, {"persistent": True, "k": 2}])
def test_training_raises_the_exact_likelihood(options: dict[str, Any]) -> None:
    """A machine of independent units is the baseline: what the visible biases alone can say.

    With 20 chains a rate of 0.05 or more makes steps as noisy as the gain, so that rounding decides where they end; at
    0.02 six seeds gained 2.2 to 3.8.
    """
    rows = bars(600)
    mean = rows.mean(0)
    independent = float((rows * mean.log() + (1 - rows) * (1 - mean).log()).sum(1).mean())
    machine = RBM(12, batch_size=20, lr=0.02, weight_decay=0.0, **options).fit(rows, epochs=40)
    assert log_likelihood(machine, rows) > independent + 1.8


def test_many_gibbs_steps_sample_the_models_own_distribution() -> None:
    """Means of the visible units over 4,000 chains against the exact ones: 99.99% intervals."""
    machine = trained()
    weights = torch.softmax(-machine.free_energy(all_states(6)), 0)
    exact = weights @ all_states(6)
    drawn = machine.sample(4000, steps=50, seed=3)
    half = 3.9 * drawn.std(0) / math.sqrt(4000)
    assert bool(((drawn.mean(0) - exact).abs() <= half).all())


def test_samples_depend_on_the_seed_alone() -> None:
    machine = trained()
    assert torch.equal(machine.sample(5, steps=3, seed=1), machine.sample(5, steps=3, seed=1))
    assert not torch.equal(machine.sample(5, steps=3, seed=1), machine.sample(5, steps=3, seed=2))
    start = bars()[:5, :6]
    assert machine.sample(5, steps=3, start=start).shape == (5, 6)
    assert machine.sample(5, steps=3, start=start[:1]).shape == (5, 6)
    with pytest.raises(InputError, match="a row for each of the 5 chains; got 3"):
        machine.sample(5, steps=3, start=start[:3])


def test_gaussian_machine_reconstructs_correlated_data() -> None:
    factor = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    rows = factor @ torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    machine = RBM(20, visible="gaussian", batch_size=20, lr=0.005).fit(rows, epochs=40)
    assert machine.history[-1].reconstruction_error < 0.5 * float(rows.var())
    assert machine.sample(3, steps=5).shape == (3, 4)


def test_history_says_what_happened(digits: tuple[Tensor, Tensor]) -> None:
    rows = digits[0]
    machine = RBM(32, batch_size=10).fit(rows[:1000], epochs=6, valid=rows[1000:1400])
    errors = [epoch.reconstruction_error for epoch in machine.history]
    assert errors[-1] < 0.7 * errors[0]
    assert all(math.isfinite(epoch.free_energy_gap) for epoch in machine.history)
    assert "6 epochs" in repr(machine)


@pytest.mark.parametrize("persistent", [False, True])
def test_resuming_gives_the_same_bits(persistent: bool) -> None:
    rows = bars()
    whole = RBM(5, batch_size=30, persistent=persistent).fit(rows, epochs=4)
    half = RBM(5, batch_size=30, persistent=persistent).fit(rows, epochs=2)
    state = half.state()
    half.fit(rows, epochs=3)  # which leaves the state alone
    rest = RBM(5, batch_size=30, persistent=persistent).restore(state).fit(rows, epochs=4)
    assert torch.equal(whole.weight, rest.weight)
    assert len(rest.history) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden"),
        ({"hidden": 2.5}, "hidden"),
        ({"visible": "binary"}, "visible"),
        ({"k": 0}, "k must"),
        ({"lr": math.nan}, "lr"),
        ({"lr": -1.0}, "lr"),
        ({"momentum": 1.0}, "momentum"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": 2**64}, "seed"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RBM(**{"hidden": 3, **options})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.full((4, 3), math.nan), "finite"),
        (torch.zeros(0, 3), "rows of features"),
        (torch.zeros(3), "rows of features"),
        (torch.ones(4, 3), "vary"),
        (bars()[:8] * 255, "lie in \\[0, 1\\]"),
        (bars()[:8] - 0.5, "visible='gaussian'"),
        ("text", "tensor or an array"),
        (torch.zeros(4, 3, dtype=torch.complex64), "real numbers"),
    ],
)
def test_bad_data_is_refused(rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        RBM(3).fit(rows)


def test_arrays_and_images_are_rows_as_well() -> None:
    machine, rows = RBM(5, batch_size=20).fit(bars().reshape(-1, 4, 4).numpy().astype(np.float64), epochs=1), bars()
    torch.testing.assert_close(machine.encode(rows.reshape(-1, 4, 4).numpy()), machine.encode(rows))
    with pytest.raises(InputError, match="rows of 16 units"):
        machine.encode(rows[:, :7])
    with pytest.raises(InputError, match="rows of 5 units"):
        machine.decode(rows)


INPUTS: dict[str, Any] = {
    "a data frame": pd.DataFrame(bars().numpy()),
    "a pair": (bars(), torch.zeros(len(bars()))),
    "a data frame and its target column": (pd.DataFrame(bars().numpy()).assign(kind=0).rename(columns=str), "kind"),
    "a Dataset": TensorDataset(bars(), torch.zeros(len(bars()), dtype=torch.int64)),
    "a DataLoader": DataLoader(TensorDataset(bars(), torch.zeros(len(bars()), dtype=torch.int64)), 7, shuffle=True),
}


@pytest.mark.parametrize("form", INPUTS)
def test_inputs_are_taken_as_they_are_at_hand(form: str) -> None:
    wanted = RBM(3).fit(bars(), epochs=1)
    assert torch.equal(RBM(3).fit(INPUTS[form], epochs=1, valid=INPUTS[form]).weight, wanted.weight)
    net = nn.Sequential(nn.Linear(16, 5), nn.Sigmoid(), nn.Linear(5, 2))
    found = pretrain_dbn_(net, INPUTS[form], epochs=1).rbms[0].weight
    assert torch.equal(found, pretrain_dbn_(net, bars(), epochs=1).rbms[0].weight)


def test_other_refusals() -> None:
    with pytest.raises(InputError, match="call fit"):
        RBM(3).encode(torch.zeros(1, 3))
    with pytest.raises(InputError, match="features"):
        trained().fit(bars(), epochs=5)
    with pytest.raises(InputError, match="lr must be smaller"):
        RBM(50, visible="gaussian", lr=50.0).fit(
            torch.randn(200, 20, generator=torch.Generator().manual_seed(0)), epochs=9
        )
    with pytest.raises(InputError, match="4 hidden"):
        RBM(4).restore(RBM(5).fit(bars(), epochs=1).state())


def stack(*sizes: int) -> nn.Sequential:
    pairs = itertools.pairwise(sizes)
    return nn.Sequential(*[m for a, b in pairs for m in (nn.Linear(a, b), nn.Sigmoid())][:-1])


def test_dbn_writes_each_machine_into_its_layer(digits: tuple[Tensor, Tensor]) -> None:
    net = stack(64, 30, 20, 10)
    last = net[4].weight.detach().clone()
    result = pretrain_dbn_(net, digits, epochs=2)
    assert result.names == ("0", "2")
    assert result.untouched == ("4",)
    for layer, machine in zip((net[0], net[2]), result.rbms, strict=True):
        assert torch.equal(layer.weight, machine.weight.T)
        assert torch.equal(layer.bias, machine.hidden_bias)
    assert torch.equal(net[4].weight, last)
    torch.testing.assert_close(net[:4](digits[0][:5]), result.encode(digits[0][:5]))
    assert result.reconstruct(digits[0][:5]).shape == (5, 64)
    assert "64-30" in repr(result)


def test_greedy_layers_learn_on_what_comes_before(digits: tuple[Tensor, Tensor]) -> None:
    net = stack(64, 30, 20, 10)
    result = pretrain_dbn_(net, digits[0], epochs=[3, 4], valid=digits[0][:200], batch_size=10)
    assert [len(machine.history) for machine in result.rbms] == [3, 4]
    error = (result.reconstruct(digits[0]) - digits[0]).square().mean()
    assert float(error) < 0.8 * float(digits[0].var(0).mean())


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_dbn_goes_on_from_its_checkpoint(tmp_path: Path, stop_after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, path = bars(), tmp_path / "dbn.npz"
    expected = stack(16, 6, 5, 2)
    pretrain_dbn_(expected, rows, epochs=3)
    from initlab.fitting import dbn

    calls = {"made": 0}
    save = dbn.save_checkpoint

    def save_then_stop(*args: Any) -> None:
        save(*args)
        calls["made"] += 1
        if calls["made"] == stop_after:
            raise KeyboardInterrupt

    net = stack(16, 6, 5, 2)
    before = [p.detach().clone() for p in net.parameters()]
    monkeypatch.setattr(dbn, "save_checkpoint", save_then_stop)
    with pytest.raises(KeyboardInterrupt):
        pretrain_dbn_(net, rows, epochs=3, checkpoint=path)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    monkeypatch.setattr(dbn, "save_checkpoint", save)
    result = pretrain_dbn_(net, rows, epochs=3, checkpoint=path)
    assert [len(machine.history) for machine in result.rbms] == [3, 3]
    assert torch.equal(net[0].weight, expected[0].weight)
    assert torch.equal(net[2].weight, expected[2].weight)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dbn.npz"
    pretrain_dbn_(stack(16, 6, 2), bars(), epochs=1, checkpoint=path)
    for change in ({"seed": 1}, {"lr": 0.2}, {"batch_size": 7}):
        with pytest.raises(InputError, match=f"another run \\({next(iter(change))}"):
            pretrain_dbn_(stack(16, 6, 2), bars(), epochs=2, checkpoint=path, **change)
    with pytest.raises(InputError, match="another run \\(data"):
        pretrain_dbn_(stack(16, 6, 2), bars(seed=1), epochs=2, checkpoint=path)
    np.savez(tmp_path / "other.npz", a=np.zeros(2))
    with pytest.raises(InputError, match="not written by this function"):
        pretrain_dbn_(stack(16, 6, 2), bars(), checkpoint=tmp_path / "other.npz")
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(
        InputError, match=r"checkpoint .* not written by this function \(.*npz file\); give another path"
    ):
        pretrain_dbn_(stack(16, 6, 2), bars(), checkpoint=tmp_path / "junk")
    assert (tmp_path / "junk").read_bytes() == b"junk"
    with pytest.raises(InputError, match="directory"):
        pretrain_dbn_(stack(16, 6, 2), bars(), checkpoint=tmp_path)


def test_units_that_are_not_logistic_are_said() -> None:
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 2)
    )
    result = pretrain_dbn_(net, bars().reshape(-1, 4, 4), epochs=1)
    assert any("fed by relu" in remark for remark in result.remarks)
    assert any("no bias" in remark for remark in result.remarks)


@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        (nn.Sequential(nn.Conv1d(1, 2, 3)), {}, "forward pass failed|none"),
        (nn.Sequential(nn.Linear(16, 6), nn.Linear(6, 6), nn.Linear(6, 2)), {"layers": 4}, "at most 3"),
        (nn.Sequential(nn.Linear(16, 6), nn.Linear(6, 2)), {"epochs": [1, 2]}, "one number"),
        (nn.Sequential(nn.Linear(16, 6), nn.Linear(6, 2)), {"epochs": 0}, "epochs"),
        (nn.Sequential(nn.Linear(12, 6), nn.Linear(6, 2)), {}, "data: the forward pass failed"),
    ],
)
def test_what_is_no_stack_is_refused(net: nn.Module, options: dict[str, Any], message: str) -> None:
    before = [p.detach().clone() for p in net.parameters()]
    with pytest.raises(InputError, match=message):
        pretrain_dbn_(net, bars(), **options)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_a_layer_used_twice_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(x))

    with pytest.raises(InputError, match="used 2 times"):
        pretrain_dbn_(Twice(), bars())


def test_fine_tuning_keeps_the_best_weights(digits: tuple[Tensor, Tensor]) -> None:
    net = stack(64, 40, 10)
    result = finetune_(net, digits, epochs=8, lr=1e-2, batch_size=20)
    best = min(epoch.valid_error for epoch in result.epochs)
    assert result.epochs[result.best_epoch - 1].valid_error == best
    assert best < 0.12
    assert evaluate(net, digits)[1] < 0.1


def test_dropout_while_fine_tuning_leaves_no_trace(digits: tuple[Tensor, Tensor]) -> None:
    plain, dropped = stack(64, 40, 10), stack(64, 40, 10)
    dropped.load_state_dict(plain.state_dict())
    first = finetune_(plain, digits, epochs=3, lr=1e-2, batch_size=20)
    second = finetune_(dropped, digits, epochs=3, lr=1e-2, batch_size=20, dropout=0.5)
    assert second.epochs[-1].train_loss > first.epochs[-1].train_loss
    assert not dropped[2]._forward_pre_hooks
    assert torch.equal(dropped(digits[0][:4]), dropped(digits[0][:4]))


@pytest.mark.parametrize(("options", "stopped"), [({"lr": 0.0, "patience": 2}, "no gain"), ({"epochs": 2}, "finished")])
def test_fine_tuning_says_why_it_stopped(options: dict[str, Any], stopped: str, digits: tuple[Tensor, Tensor]) -> None:
    assert finetune_(stack(64, 10), digits, **options).stopped == stopped


def test_finetuning_says_how_labels_were_numbered() -> None:
    rows = (torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), np.array(["owl", "cat"] * 20))
    result = finetune_(torch.nn.Linear(4, 2), rows, epochs=1)
    assert result.notes == ("targets: 2 labels are coded in sorted order: 'cat' = 0, 'owl' = 1",)
    assert "'owl' = 1" in repr(result)
    assert "'owl' = 1" in result.table().note


def test_a_run_that_diverges_ends_with_finite_weights(digits: tuple[Tensor, Tensor]) -> None:
    net = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10))
    result = finetune_(net, digits, optimizer="sgd", lr=1e6, epochs=3)
    assert result.stopped == "diverged"
    assert all(bool(p.isfinite().all()) for p in net.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))}, "rows"),
        ({"train": (torch.full((9, 4), math.nan), torch.arange(9) % 2)}, "NaN"),
        ({"train": (torch.rand(9, 4), torch.zeros(9, dtype=torch.int64))}, "two classes"),
        ({"train": (torch.rand(9, 4), torch.arange(9))}, r"Y must be class numbers in \[0, 3\) .* got 0 to 8"),
        ({"train": (torch.rand(9, 4), torch.rand(9))}, "train Y must be whole-number"),
        ({"valid": (torch.rand(9, 4), torch.ones(9))}, "valid Y must be whole-number"),
        ({"valid": (torch.rand(9, 4), torch.eye(9, 3).long())}, "valid Y must be whole-number"),
        ({"valid": (torch.rand(9, 4), torch.full((9,), -1))}, r"Y must be class numbers in \[0, 3\) .* got -1 to -1"),
        ({"optimizer": "adamm"}, "did you mean 'adam'"),
        ({"schedule": "step"}, "schedule"),
        ({"lr": math.nan}, "lr"),
        ({"epochs": 0}, "epochs"),
        ({"valid_share": 0.0}, "both sides"),
        ({"patience": 0}, "patience"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_fine_tuning_refuses_bad_input(change: dict[str, Any], message: str) -> None:
    net = nn.Linear(4, 3)
    before = net.weight.detach().clone()
    arguments = {
        "train": (torch.rand(20, 4, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3),
        **change,
    }
    with pytest.raises(InputError, match=message):
        finetune_(net, **arguments)
    assert torch.equal(net.weight, before)


def test_no_global_random_state_moves() -> None:
    states = random.getstate(), np.random.get_state()[1].copy(), torch.random.get_rng_state()
    net = nn.Sequential(nn.Linear(16, 6), nn.Sigmoid(), nn.Dropout(0.5), nn.Linear(6, 2))
    torch.random.set_rng_state(states[2])
    pretrain_dbn_(net, bars(), epochs=1)
    finetune_(net, (bars(), torch.arange(400) % 2), epochs=1)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.random.get_rng_state(), states[2])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_fine_tuning_takes_the_model_in_its_own_precision(dtype: torch.dtype) -> None:
    net = stack(16, 2).to(dtype)
    before = [parameter.clone() for parameter in net.parameters()]
    result = finetune_(net, (bars(), torch.arange(400) % 2), epochs=2)
    assert result.epochs[-1].train_loss < 2
    assert all(parameter.dtype == dtype for parameter in net.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True))


def test_fine_tuning_needs_something_to_train() -> None:
    with pytest.raises(InputError, match="must have a parameter to train"):
        finetune_(stack(16, 2).requires_grad_(False), (bars(), torch.arange(400) % 2))


def normalised() -> nn.Sequential:
    return nn.Sequential(nn.Linear(16, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))


def test_fine_tuning_puts_a_lone_last_row_in_the_batch_before_it() -> None:
    data = (bars()[:21], torch.arange(21) % 2)
    assert len(finetune_(normalised(), data, valid=data, epochs=1, batch_size=10).epochs) == 1


def test_interrupted_fine_tuning_leaves_buffers_and_gradients_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("initlab.fitting.finetune.evaluate", interrupted)
    net = normalised()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        finetune_(net, (bars(), torch.arange(400) % 2), epochs=1)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_nothing_is_no_data_to_evaluate_on() -> None:
    with pytest.raises(InputError, match="rows to evaluate on"):
        evaluate(nn.Identity(), (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)))
