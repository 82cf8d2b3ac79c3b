"""One line where a forward fails, and what can be used as a model at all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from initlab.errors import InputError
from initlab.guest.check import check_materialised, check_module, module_of
from initlab.guest.run import Follower, hosted, run

X = torch.zeros(2, 4)


class Call(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.fc, self.function = nn.Linear(4, 4), function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def fail(m: Any, x: Any) -> None:
    raise KeyError("two\nlines")


class Wordless(nn.Module):
    def extra_repr(self) -> str:
        raise RuntimeError("no words")

    def forward(self, x: Any) -> None:
        raise ValueError("no")


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def mute(model: Any, x: Any) -> None:
    raise Mute


def chosen(model: nn.Module, x: torch.Tensor) -> Any:
    return torch.distributions.Categorical(logits=x, validate_args=True)


def spoilt(model: nn.Module) -> nn.Module:
    nn.init.constant_(model[0].weight, float("nan"))
    return model


FAILS = {
    "with an error that cannot be shown": (Call(mute), "on inputs (2, 4) cpu: Mute: it cannot be shown"),
    "in a layer": (nn.Sequential(nn.Linear(4, 8), nn.Linear(5, 2)), "module '1' (Linear(in_features=5, out_features=2, "
        "bias=True)), which got (2, 8) cpu, on inputs (2, 4) cpu: RuntimeError: mat1"),
    "in the model": (Call(fail), "the model itself (Call()), which got (2, 4) cpu, on inputs (2, 4) cpu: KeyError"),
    "of a weight that is no number": (
        spoilt(nn.Sequential(nn.Linear(4, 3), Call(chosen))),
        "; 0.weight holds nan or inf"),
    "on leaving": (Call(lambda m, x: sys.exit(3)), "SystemExit: 3"),
    "in a layer with no words": (nn.Sequential(Wordless()), "module '0' (Wordless()), which got (2, 4) cpu"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILS)
def test_a_failing_forward_is_one_line(name: str) -> None:
    model, words = FAILS[name]
    with pytest.raises(InputError) as caught:
        run(model, (X,), {}, "batch")
    assert str(caught.value).startswith("batch: the forward pass failed in ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not nn.modules.module._global_forward_hooks


def test_our_own_errors_and_interrupts_pass_through() -> None:
    def refuse(m: Any, x: Any) -> None:
        raise InputError("as it is")

    def interrupt(m: Any, x: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(InputError, match=r"^as it is$"):
        run(Call(refuse), (X,), {})
    with pytest.raises(KeyboardInterrupt):
        run(Call(interrupt), (X,), {})


def test_the_running_modules_are_followed() -> None:
    seen: list[list[tuple[str, str]]] = []
    model = nn.Sequential(nn.Linear(4, 4), Call(lambda m, x: seen.append(list(follower.stack)) or m.fc(x)))
    with Follower(model) as follower:
        run(model, (X,), {}, follower=follower)
    assert seen == [[("", "Sequential"), ("1", "Call")]]
    assert follower.stack == []


@pytest.mark.parametrize("outside", [torch.no_grad, torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("gradients", [True, False])
def test_gradients_are_as_asked_for(outside: Callable[[], Any], gradients: bool) -> None:
    with outside():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        with hosted(nn.Linear(4, 4), gradients=gradients):
            assert torch.is_grad_enabled() == gradients
            assert not (gradients and torch.is_inference_mode_enabled())
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before


@pytest.mark.parametrize(("quiet", "shown"), [(True, ""), (False, "hello\n")])
def test_what_a_model_prints_leaves_stdout_alone(quiet: bool, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with hosted(nn.Linear(4, 4), quiet=quiet):
        print("hello")
    assert capsys.readouterr() == ("", shown)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (len, {}, "model must be a torch.nn.Module; got builtin_function_or_method"),
        (nn.Linear, {}, r"got the class Linear: give one of it, such as Linear\(\)"),
        (nn.ReLU(), {"parameters": True}, "model must have parameters; ReLU has none"),
        (nn.Sequential(nn.LazyLinear(3)), {}, "'0.weight' is lazy and has no shape yet"),
        (nn.LazyBatchNorm1d(), {}, "is lazy"),
        (nn.Linear(2, 2, device="meta"), {}, "'weight' is on the meta device .*to_empty"),
    ],
)
def test_what_cannot_be_used_is_refused(model: Any, options: dict[str, bool], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_materialised(model, **options)


def test_a_compiled_model_is_the_one_it_was_compiled_from() -> None:
    model = nn.Linear(2, 2)
    assert module_of(torch.compile(model)) is model
    assert check_module(model) is model


@pytest.mark.parametrize(
    ("given", "right"),
    [
        (torch.zeros(2, 3), "an embedding reads whole numbers below 5, such as torch.randint (--input 3:5)"),
        (torch.tensor([[7]]), "it has the rows 0 to 4, and was asked for 7 to 7"),
    ],
)
def test_an_embedding_says_what_it_reads(given: torch.Tensor, right: str) -> None:
    with pytest.raises(InputError) as caught:
        run(nn.Embedding(5, 2), (given,), {})
    assert right in str(caught.value)


@pytest.mark.parametrize("layer", [nn.Linear(3, 2), nn.Conv1d(3, 2, 1)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float64, torch.float16])
def test_a_layer_of_floats_says_so_of_other_numbers(layer: nn.Module, dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match=rf"it holds torch.float32 and got {dtype}: .to\(torch.float32\) makes"):
        run(layer, (torch.ones(2, 3, 3, dtype=dtype),), {})


def test_a_layer_that_fails_on_its_own_kind_of_numbers_says_nothing_of_them() -> None:
    with pytest.raises(InputError) as caught:
        run(nn.Linear(3, 2), (torch.zeros(2, 7, 7),), {})
    assert "it holds" not in str(caught.value)
