"""BAD_INPUTS rows 16 to 23: one typed error of one line, or a finding, or a note; never a crash."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initlab

X, Y = torch.linspace(-1, 1, 16 * 6).reshape(16, 6).sin(), torch.arange(16) % 3


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


class Returning(nn.Module):
    """A model that runs `last` on what its one layer returns."""

    def __init__(self, last: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.fc, self.last = nn.Linear(6, 3), last

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(self.fc(x))


def boom(x: torch.Tensor) -> Any:
    raise KeyError("planted\nacross lines")


def leave(x: torch.Tensor) -> Any:
    sys.exit(3)


def overwritten(x: torch.Tensor) -> torch.Tensor:
    y = x.sigmoid()
    x = y * 2
    y.zero_()
    return x


def differentiated_already(x: torch.Tensor) -> torch.Tensor:
    y = x.tanh()
    torch.autograd.grad(y.sum(), x)
    return y


class Backward(torch.autograd.Function):
    """Twice its input, whose backward pass raises."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        raise KeyError("planted\nacross lines")


def once() -> Callable[[Any, Any], torch.Tensor]:
    """A loss that can be taken a single time."""
    calls = iter([F.cross_entropy])
    return lambda output, targets: next(calls)(output, targets)


def within_inference() -> nn.Module:
    with torch.inference_mode():
        return mlp()


class Sharded(nn.Linear):
    """Its weight has what a DTensor has."""

    def __init__(self) -> None:
        super().__init__(6, 3)
        for name in ("_local_tensor", "placements", "device_mesh"):
            setattr(self.weight, name, None)


REFUSED: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "inputs of the wrong shape": (
        lambda: initlab.inspect(mlp(), torch.randn(16, 7), Y), ("module '0'", "in_features=6", "(16, 7)")),
    "inputs of the wrong shape, deep inside": (
        lambda: initlab.inspect(nn.Sequential(mlp(), nn.ModuleDict({"head": nn.Linear(4, 2)})["head"]), X, Y),
        ("module '1'", "(16, 3)")),
    "inputs on another device": (lambda: initlab.inspect(mlp(), X.to("meta"), Y), ("meta",)),
    "integer inputs to a linear layer": (lambda: initlab.inspect(mlp(), X.long(), Y), ("module '0'",)),
    "no tensor in the inputs": (lambda: initlab.inspect(mlp(), "digits"), ("inputs must be", "str")),
    "a model of inference tensors": (lambda: initlab.inspect(within_inference(), X, Y), ("'0.weight'", "inference")),
    "a sharded model": (lambda: initlab.inspect(Sharded(), X, Y), ("'weight'", "sharded")),
    "no inputs": (lambda: initlab.inspect(mlp(), None), ("inputs must be",)),
    "no samples": (lambda: initlab.inspect(mlp(), torch.empty(0, 6)), ("at least one sample", "(0, 6)")),
    "NaN features": (lambda: initlab.inspect(mlp(), X.masked_fill(X > 0.5, torch.nan)), ("NaN",)),
    "no model": (lambda: initlab.inspect(lambda x: x, X), ("torch.nn.Module", "function")),
    "a lazy model": (lambda: initlab.inspect(nn.LazyLinear(3), X), ("lazy",)),
    "a model on the meta device": (lambda: initlab.inspect(nn.Linear(6, 3, device="meta"), X), ("meta",)),
    "a forward that raises": (lambda: initlab.inspect(Returning(boom), X), ("KeyError", "the model itself")),
    "a forward that exits": (lambda: initlab.inspect(Returning(leave), X), ("SystemExit",)),
    "a forward that returns None": (lambda: initlab.inspect(Returning(lambda y: None), X), ("returned None",)),
    "a forward that returns text": (lambda: initlab.inspect(Returning(lambda y: "y"), X), ("returned str",)),
    "a forward that returns classes": (lambda: initlab.inspect(Returning(lambda y: y.argmax(1)), X), ("no floating",)),
    "a loss that is no scalar": (
        lambda: initlab.inspect(mlp(), X, Y, lambda o, t: F.cross_entropy(o, t, reduction="none")), ("(16,)", "mean")),
    "a loss that is no tensor": (lambda: initlab.inspect(mlp(), X, Y, lambda o, t: 1.0), ("float",)),
    "a loss that raises": (lambda: initlab.inspect(mlp(), X, Y.float(), F.cross_entropy), ("cross_entropy", "(16,)")),
    "a loss that wants targets": (lambda: initlab.inspect(mlp(), X, loss=F.cross_entropy), ("without targets",)),
    "a loss that is no function": (lambda: initlab.inspect(mlp(), X, Y, loss=3), ("loss", "callable")),
    "a loss by an unknown name": (lambda: initlab.inspect(mlp(), X, Y, loss="cross_entrpy"), ("cross_entropy",)),
    "targets out of range": (lambda: initlab.inspect(mlp(), X, Y + 1), ("[0, 3)", "1 to 3")),
    "targets out of range, loss given": (lambda: initlab.inspect(mlp(), X, Y - 1, F.cross_entropy), ("[0, 3)", "-1")),
    "class numbers that are floats": (lambda: initlab.inspect(mlp(), X, Y.float()), ("targets.long()",)),
    "targets for another batch": (lambda: initlab.inspect(mlp(), X, Y[:5]), ("(5,)", "(16, 3)")),
    "targets of another shape": (lambda: initlab.inspect(mlp(), X, torch.randn(16, 5)), ("(16, 5)", "(16, 3)")),
    "values that the backward pass needs, overwritten": (
        lambda: initlab.inspect(Returning(overwritten), X, Y), ("backward pass", "inplace operation")),
    "a graph that was differentiated": (
        lambda: initlab.inspect(Returning(differentiated_already), X, Y), ("backward pass", "second time")),
    "a backward that raises": (lambda: initlab.inspect(Returning(Backward.apply), X, Y), ("backward pass", "KeyError")),
    "a loss that raises the second time": (lambda: initlab.inspect(mlp(), X, Y, once()), ("StopIteration",)),
    "an unknown optimizer": (lambda: initlab.inspect(mlp(), X, Y, optimizer="adamm"), ("adamm", "adam")),
    "a learning rate of nan": (lambda: initlab.inspect(mlp(), X, Y, lr=float("nan")), ("lr",)),
    "a learning rate below 0": (lambda: initlab.inspect(mlp(), X, Y, lr=-1), ("lr must be greater than 0", "-1")),
    "a loss that is a float": (
        lambda: initlab.inspect(mlp(), X, Y, lambda output, targets: 1.0), ("loss", "float", "no gradient flows")
    ),
    "a learning rate of 0": (lambda: initlab.inspect(mlp(), X, Y, lr=0), ("lr",)),
    "a report of another kind": (lambda: initlab.inspect(mlp(), X, Y).save("report.pdf"), (".pdf", ".html")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_typed_error_of_one_line(name: str) -> None:
    call, parts = REFUSED[name]
    with pytest.raises(initlab.InputError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert [part for part in parts if part not in message] == []


class Pair(NamedTuple):
    logits: torch.Tensor
    hidden: torch.Tensor


@dataclasses.dataclass
class Result:
    hidden: torch.Tensor
    logits: torch.Tensor


class Plain:
    def __init__(self, y: torch.Tensor) -> None:
        self.logits = y


OUTPUTS: dict[str, tuple[Callable[[torch.Tensor], Any], str]] = {
    "a dict": (lambda y: {"hidden": y.exp(), "logits": y}, "output['logits']"),
    "a tuple": (lambda y: (y, y.exp()), "output[0]"),
    "a nested tuple": (lambda y: (None, [("text", y)]), "output[1][0][1]"),
    "a named tuple": (lambda y: Pair(y, y), "output.logits"),
    "a dataclass": (lambda y: Result(y.exp(), y), "output.logits"),
    "an object": (Plain, "output.logits"),
}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("loss", [None, F.cross_entropy])
def test_any_output_with_a_tensor_will_do(name: str, loss: Any) -> None:
    last, path = OUTPUTS[name]
    model = Returning(last)
    report = initlab.inspect(model, X, Y, loss)
    assert report.loss == pytest.approx(F.cross_entropy(model.fc(X), Y).item(), rel=1e-6)
    assert any(path in note for note in report.notes)


def test_a_loss_may_take_the_whole_output() -> None:
    def elbo(output: dict[str, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        return F.mse_loss(output["mean"], target) + output["kl"].mean()

    report = initlab.inspect(Returning(lambda y: {"mean": y, "kl": y.square()}), X, torch.zeros(16, 3), elbo)
    assert report.loss_name == "elbo"
    assert report.parameters[0].grad_rms > 0


def test_prints_go_to_stderr_so_that_stdout_stays_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    initlab.inspect(Returning(lambda y: print("shape", y.shape) or y), X, Y)
    out, err = capsys.readouterr()
    assert out == ""
    assert "shape" in err


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_model_that_returns_no_number_is_a_finding(value: float) -> None:
    class Bad(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.tanh(self.a(x)) + torch.full((5,), value))

    report = initlab.inspect(Bad(), X, Y)
    assert report.verdict == "untrainable"
    assert [(f.kind, f.where) for f in report.findings] == [("non-finite", "b")]
    assert report.loss is None


def test_a_parameter_of_nan_is_named() -> None:
    model = mlp()
    with torch.no_grad():
        model[2].weight[1, 1] = torch.nan
    (finding,) = initlab.inspect(model, X, Y).findings
    assert (finding.kind, finding.where) == ("non-finite", "2.weight")


def test_a_gradient_of_nan_is_named() -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.a(x) * 0).abs().sqrt()

    report = initlab.inspect(Root(), X, torch.zeros(16, 3))
    assert [f.kind for f in report.findings] == ["non-finite"]
    assert "gradient" in report.findings[0].evidence


def test_a_batch_of_one_says_what_it_cannot_judge() -> None:
    report = initlab.inspect(mlp(), X[:1], Y[:1])
    assert any("batch of one" in note for note in report.notes)
    assert all(x.between is None for x in report.layers)
    assert report.verdict != "untrainable"


def test_batch_norm_on_a_batch_of_one_names_the_layer() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5))
    with pytest.raises(initlab.InputError, match=r"module '1' \(BatchNorm1d"):
        initlab.inspect(model, X[:1])


@pytest.mark.parametrize(
    ("model", "note"),
    [(nn.ReLU(), "no parameters"), (mlp().requires_grad_(False), "every parameter is frozen")],
)
def test_a_model_with_nothing_to_train_says_so(model: nn.Module, note: str) -> None:
    report = initlab.inspect(model, X)
    assert report.verdict == "untrainable"
    assert any(note in n for n in report.notes)
    with pytest.raises(initlab.UntrainableError, match=note):
        report.assert_healthy()


def test_frozen_and_unused_parameters_are_noted_not_judged() -> None:
    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head, self.spare = nn.Linear(6, 40), nn.Linear(40, 3), nn.Linear(4, 4)
            self.backbone.requires_grad_(False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.backbone(x).relu())

    report = initlab.inspect(Partly(), X, Y)
    assert report.verdict in ("healthy", "slow")
    assert any("frozen" in n and "backbone.weight" in n for n in report.notes)
    assert any("spare.weight" in n for n in report.notes)


def test_integer_inputs_go_to_embeddings() -> None:
    model = nn.Sequential(nn.Embedding(20, 8), nn.Flatten(), nn.Linear(32, 3))
    report = initlab.inspect(model, torch.randint(0, 20, (16, 4)), Y)
    assert [x.kind for x in report.layers] == ["embedding", "linear"]
    assert report.verdict == "healthy"


@pytest.mark.parametrize("case", ["one class", "constant features"])
def test_data_that_cannot_tell_samples_apart(case: str) -> None:
    report = initlab.inspect(
        mlp(), X if case == "one class" else torch.ones_like(X), Y * 0 if case == "one class" else Y
    )
    assert report.verdict != "untrainable"
    assert not any(f.kind == "collapsed" for f in report.findings)


def test_equal_samples_that_do_not_part_are_no_fact_about_the_model() -> None:
    """Near the best constant answer the loss hardly falls, whatever the model is."""
    model, ones = mlp(), torch.ones_like(X)
    with torch.no_grad():
        model[-1].bias += (torch.bincount(Y) / len(Y)).log() - model(ones)[0] + torch.tensor([0.02, 0.0, 0.0])
    assert initlab.inspect(model, ones, Y).verdict == "uncertain"


@pytest.mark.parametrize(
    "inputs",
    [X.numpy(), X.numpy().astype(np.float64), (X,), [X], {"input": X}],
    ids=["float32 array", "float64 array", "tuple", "list", "dict"],
)
def test_inputs_may_be_arrays_tuples_and_dicts(inputs: Any) -> None:
    model = mlp()
    assert initlab.inspect(model, inputs, Y.numpy()).loss == pytest.approx(initlab.inspect(model, X, Y).loss)


@pytest.mark.parametrize(
    ("output", "targets", "name"),
    [
        (lambda y: y, Y, "cross-entropy"),
        (lambda y: y, torch.zeros(16, 3), "mean squared error"),
        (lambda y: y.log_softmax(1), Y, "negative log-likelihood"),
        (lambda y: y[:, :1], (Y > 0).long(), "binary cross-entropy"),
        (lambda y: y.unsqueeze(1).expand(-1, 4, -1), Y.unsqueeze(1).expand(-1, 4), "cross-entropy"),
        (lambda y: y.unsqueeze(2).expand(-1, -1, 4), Y.unsqueeze(1).expand(-1, 4), "cross-entropy"),
        (lambda y: y, None, "random targets"),
    ],
)
def test_a_guessed_loss_is_said(output: Callable[[torch.Tensor], torch.Tensor], targets: Any, name: str) -> None:
    report = initlab.inspect(Returning(output), X, targets)
    assert name in report.loss_name
    assert any(name in note for note in report.notes)
