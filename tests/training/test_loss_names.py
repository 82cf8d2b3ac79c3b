"""`compare` takes a loss by the name by which `inspect` takes it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.errors import InputError

F = nn.functional
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def losses(loss: Any) -> list[float]:
    settings: dict[str, Any] = dict(optimizer="sgd", lr=0.05, batch_size=16, steps=8)  # noqa: C408
    result = initlab.compare(build, (X, Y), (X, Y), schemes=["he_normal"], seeds=2, loss=loss, **settings)
    return [run.loss for run in result.runs]


def test_the_usual_loss_by_name_is_the_default() -> None:
    assert losses("mse") == losses("mse_loss") == losses("auto")


@pytest.mark.parametrize(("name", "function"), [("l1", F.l1_loss), ("huber", F.huber_loss)])
def test_a_named_loss_is_the_function_of_that_name(name: str, function: Any) -> None:
    assert losses(name) == losses(function)
    assert losses(name) != losses("auto")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="mse"):
        losses("mze")


def test_what_is_no_loss_is_refused() -> None:
    with pytest.raises(InputError, match="loss must be"):
        losses(3)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, nn.MSELoss])
def test_a_class_of_losses_is_no_loss(loss: Any) -> None:
    rows, model = (torch.randn(8, 3), torch.arange(8) % 3), nn.Linear(3, 3)
    for call in (
        lambda: losses(loss),
        lambda: initlab.inspect(model, *rows, loss=loss),
        lambda: initlab.fit.gradinit_(model, rows, loss=loss, steps=1),
    ):
        with pytest.raises(InputError, match=f"got the class {loss.__name__}: give one of it"):
            call()


class Language(nn.Module):
    """Class numbers of shape (N, T), logits of shape (N, T, classes)."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(20, 8), nn.Linear(8, 20)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.head(self.table(words).tanh())  # type: ignore[no-any-return]


WORDS = torch.randint(0, 20, (32, 12), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("loss", ["auto", "cross_entropy"])
def test_a_language_models_classes_are_found_on_the_last_axis(loss: str) -> None:
    given: dict[str, Any] = dict(optimizer="adamw", lr=0.1, batch_size=16, steps=20, loss=loss)  # noqa: C408
    result = initlab.compare(Language, (WORDS, WORDS), (WORDS, WORDS), schemes=["torch_default"], seeds=1, **given)
    assert result.runs[0].accuracy > 0.9
    assert initlab.inspect(Language(), WORDS, WORDS, loss).loss == pytest.approx(3.1, abs=0.4)  # about ln 20


def test_classes_on_axis_1_stay_there() -> None:
    model = nn.Conv1d(3, 5, 1)
    x, y = torch.randn(8, 3, 7), torch.randint(0, 5, (8, 7))
    assert initlab.inspect(model, x, y, "cross_entropy").loss == pytest.approx(F.cross_entropy(model(x), y).item())


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_zeros_and_ones_may_be_integers(name: str) -> None:
    model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    wanted = initlab.inspect(model, X, (Y > 0).float(), name).loss
    assert initlab.inspect(model, X, (Y > 0).long(), name).loss == wanted
