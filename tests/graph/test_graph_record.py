"""`record`: what it sees, what it leaves as it was, and what it refuses."""

from __future__ import annotations

import random
import re
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import graph_zoo as zoo
import numpy as np
import pytest
import torch
from torch import nn

from initlab.errors import InputError
from initlab.graph import geometry_of, record

F = nn.functional


class Call(nn.Module):
    """A model whose forward is the given function of (module, *inputs)."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.fc, self.fc2 = nn.Linear(4, 4), nn.Linear(4, 4)
        self.register_buffer("seen", torch.zeros(()))
        self.function = function

    def forward(self, *args: object, **kwargs: object) -> object:
        return self.function(self, *args, **kwargs)


def kinds(function: object, inputs: object) -> list[str]:
    return [operation.kind for operation in record(Call(function), inputs).operations]


X = torch.ones(2, 4)
SPELLINGS = {
    "plus": (lambda m, x: x + 1, ["add"]),
    "plus from the left": (lambda m, x: 1 + x, ["add"]),
    "torch.add": (lambda m, x: torch.add(x, 1), ["add"]),
    "in place": (lambda m, x: x.clone().add_(1), ["clone", "add"]),
    "augmented": (lambda m, x: x.mul(2).__iadd__(1), ["mul", "add"]),
    "matmul sign": (lambda m, x: x @ m.fc.weight, ["matmul"]),
    "F.linear": (lambda m, x: F.linear(x, m.fc.weight), ["linear"]),
    "einsum": (lambda m, x: torch.einsum("bi,oi->bo", x, m.fc.weight), ["einsum"]),
    "addmm": (lambda m, x: torch.addmm(m.fc.bias, x, m.fc.weight), ["addmm"]),
    "attention": (lambda m, x: F.scaled_dot_product_attention(x, x, x), ["scaled_dot_product_attention"]),
    "properties are no operations": (lambda m, x: x.T.reshape(x.shape[0], x.size(1)), ["T", "reshape"]),
    "concat": (lambda m, x: torch.concat([x, x]), ["cat"]),
    "three names of one function": (lambda m, x: torch.relu(F.relu(x.relu())), ["relu", "relu", "relu"]),
    "float": (lambda m, x: x.half().float(), ["half", "float"]),
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_one_spelling_for_each_operation(case: str) -> None:
    function, expected = SPELLINGS[case]
    assert kinds(function, X) == expected


def test_module_path_parameters_and_values_of_each_operation() -> None:
    graph = record(zoo.ResNet(), torch.zeros(2, 3, 8, 8))
    conv = next(operation for operation in graph.operations if operation.module == "blocks.1.conv2")
    assert (conv.kind, conv.parameters, conv.module_type) == ("conv", ("blocks.1.conv2.weight",), "Conv2d")
    assert graph.values[conv.outputs[0]].shape == (2, 8, 8, 8)
    assert graph.producer(conv.inputs[0]).module == "blocks.1"
    assert [operation.module for operation in graph.consumers(conv.outputs[0])] == ["blocks.1.bn2"]
    assert graph.values[graph.outputs[0]].shape == (2, 4)


def feeds_fc2(function: object) -> object:
    return record(Call(function), X).uses("fc2.weight")[0].feeds


def write_through_view(m: Call, x: torch.Tensor) -> torch.Tensor:
    hidden = m.fc(x)
    hidden.view(-1).relu_()
    return m.fc2(hidden)


def write_into_base(m: Call, x: torch.Tensor) -> torch.Tensor:
    hidden = m.fc(x)
    view = hidden.view(1, 2, 4)
    hidden.relu_()
    return m.fc2(view)


def write_by_index(m: Call, x: torch.Tensor) -> torch.Tensor:
    hidden = m.fc(x)
    hidden[:, :2] = hidden[:, :2].tanh()
    return m.fc2(hidden)


def test_a_write_in_place_gives_a_new_value() -> None:
    found = feeds_fc2(lambda m, x: m.fc2(F.relu(m.fc(x), inplace=True)))
    assert (found.activation, found.second_moment) == ("relu", pytest.approx(0.5))


@pytest.mark.parametrize("function", [write_through_view, write_into_base, write_by_index])
def test_a_write_through_an_alias_is_seen(function: object) -> None:
    graph = record(Call(function), X)
    source = graph.uses("fc2.weight")[0]
    ancestors = set()
    stack = list(source.operation.inputs)
    while stack:
        operation = graph.producer(stack.pop())
        if operation is not None and operation.index not in ancestors:
            ancestors.add(operation.index)
            stack.extend(operation.inputs)
    assert {"relu", "tanh"} & {graph.operations[i].kind for i in ancestors}
    assert source.feeds.source in ("activation", "concat")


@dataclass
class Output:
    logits: torch.Tensor
    extra: object = None


OUTPUTS = {
    "tensor": lambda y: y,
    "tuple": lambda y: (y, y),
    "nested": lambda y: [(y, {"a": y})],
    "dict": lambda y: {"logits": y, "name": "x"},
    "dataclass": lambda y: Output(y),
    "plain object": lambda y: SimpleNamespace(logits=y),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_outputs_of_every_form(case: str) -> None:
    graph = record(Call(lambda m, x: OUTPUTS[case](m.fc(x))), X)
    assert set(graph.outputs) == {graph.operations[-1].outputs[0]}


INPUTS = {
    "tensor": (X, lambda m, x: m.fc(x)),
    "tuple": ((X, 2 * X), lambda m, x, y: m.fc(x) + y),
    "dict": ({"x": X, "scale": 2.0}, lambda m, x, scale: m.fc(x) * scale),
    "nested": (({"a": X},), lambda m, x: m.fc(x["a"])),
    "integers": (torch.ones(2, 4, dtype=torch.long), lambda m, x: m.fc(x.float())),
    "shape": ((2, 4), lambda m, x: m.fc(x)),
    "shape, data looked at": ((2, 4), lambda m, x: m.fc(x) if x.sum() > 0 else m.fc(-x)),
}


@pytest.mark.parametrize("case", INPUTS)
def test_inputs_of_every_form(case: str) -> None:
    inputs, function = INPUTS[case]
    assert record(Call(function), inputs).uses("fc.weight")


def test_a_meta_model_is_recorded_without_memory() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(1 << 20, 1 << 20), nn.ReLU(), nn.Linear(1 << 20, 4))
    for inputs in (torch.empty(2, 1 << 20), (2, 1 << 20)):
        graph = record(model, inputs)
        assert graph.uses("2.weight")[0].feeds.activation == "relu"
        assert geometry_of(model, graph)["0.weight"].geometry.fan_in == 1 << 20


def test_a_model_and_its_tokens_may_both_be_on_meta() -> None:
    model = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 3)).to("meta")
    graph = record(model, torch.empty(2, 5, dtype=torch.long, device="meta"))
    assert graph.uses("1.weight")[0].feeds.second_moment == pytest.approx(1.0)


class Counted(nn.Module):
    """Places that are counted from the tokens, past padding, as in RoBERTa."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.out = nn.Embedding(8, 4), nn.Embedding(12, 4), nn.Linear(4, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        there = tokens.ne(0).int()
        places = (there.cumsum(1).type_as(there) * there).long() + torch.arange(1, device=tokens.device)
        return self.out(self.words(tokens) + self.places(places))


def test_what_a_model_on_meta_counts_of_its_inputs_is_known() -> None:
    tokens = torch.randint(1, 8, (2, 5), generator=torch.Generator().manual_seed(0))
    usual, meta = (record(model, tokens).uses("out.weight")[0].feeds for model in (Counted(), Counted().to("meta")))
    assert meta == usual


def test_shapes_alone_run_without_arithmetic() -> None:
    graph = record(nn.Linear(4, 3), (1 << 40, 4))
    assert graph.values[graph.outputs[0]].shape == (1 << 40, 3)


def snapshot(model: nn.Module) -> list[object]:
    tensors = [*model.parameters(), *model.buffers()]
    return [
        [module.training for module in model.modules()],
        [id(tensor) for tensor in tensors],
        [tensor.detach().clone().flatten().tolist() for tensor in tensors],
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),
        random.getstate(),
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
        len(torch.nn.modules.module._global_forward_hooks) + len(torch.nn.modules.module._global_forward_pre_hooks),
        torch.is_grad_enabled(),
    ]


def noisy(m: Call, x: torch.Tensor) -> torch.Tensor:
    m.seen += 1
    m.seen = m.seen + torch.rand(())
    np.random.rand()
    random.random()
    return m.fc(F.dropout(x, training=True))


def failing(m: Call, x: torch.Tensor) -> torch.Tensor:
    noisy(m, x)
    raise ValueError("no")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "model",
    [nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout()), Call(noisy), Call(failing)],
    ids=["batch norm and dropout", "all that moves", "raises"],
)
def test_model_and_world_are_as_before(model: nn.Module, training: bool) -> None:
    model.train(training)
    next(model.children()).eval()
    before = snapshot(model)
    try:
        record(model, X)
    except InputError:
        assert model.function is failing
    assert snapshot(model) == before


def test_parts_that_only_training_uses_are_found() -> None:
    model = Call(lambda m, x: m.fc2(m.fc(x)) if m.training else m.fc(x))
    assert record(model, X).uses("fc2.weight")
    assert not record(model.eval(), X).uses("fc2.weight")


def test_a_batch_of_one_passes_batch_norm() -> None:
    assert record(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).train(), X[:1]).operations


def test_gradients_inside_forward_are_allowed() -> None:
    def energy(m: Call, x: torch.Tensor) -> torch.Tensor:
        x = x.clone().requires_grad_()
        return m.fc2(torch.autograd.grad(m.fc(x).tanh().sum(), x)[0])

    model = Call(energy)
    assert record(model, X).uses("fc.weight")
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_forward_that_asks_for_gradients_in_words_of_its_own_gets_them() -> None:
    """Whether they are missing was read out of torch's words."""

    def forward(m: Call, x: torch.Tensor) -> torch.Tensor:
        y = m.fc(x)
        if not y.requires_grad:
            raise RuntimeError("the physics needs a gradient")
        return m.fc2(y)

    assert record(Call(forward), X).uses("fc2.weight")


def test_prints_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    record(Call(lambda m, x: print("hello") or m.fc2(m.fc(x))), X)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")


def leave(m: Call, x: torch.Tensor) -> None:
    sys.exit(3)


class Inner(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise KeyError("gone")


REFUSED = {
    "wrong shape": (nn.Sequential(nn.Linear(4, 8), nn.Linear(5, 2)), X, r"'1' \(Linear.*got \(2, 8\) cpu.*RuntimeErr"),
    "wrong rank": (nn.Conv2d(3, 4, 3), X, r"the model itself \(Conv2d\(.*got \(2, 4\) cpu.*RuntimeError"),
    "wrong dtype": (nn.Embedding(3, 2), X, r"the model itself \(Embedding\(.*RuntimeError"),
    "deep inside": (nn.Sequential(nn.Sequential(Inner())), X, r"'0\.0' \(Inner.*got \(2, 4\) cpu.*KeyError: 'gone'"),
    "exits": (Call(leave), X, r"the model itself \(Call\(.*SystemExit: 3"),
    "returns None": (Call(lambda m, x: None), X, r"forward of Call returned None; it must return a tensor"),
    "returns no tensor": (Call(lambda m, x: {"a": 1}), X, r"returned dict with no tensor in it"),
    "missing argument": (Call(lambda m, x, y: x), X, r"TypeError: .*missing 1 required positional argument"),
    "unknown keyword": (nn.Linear(4, 4), {"y": X}, r"TypeError: .*unexpected keyword argument 'y'"),
    "no tensor": (nn.Linear(4, 4), "abc", r"example_inputs must be a tensor.*got the str 'abc'"),
    "None": (nn.Linear(4, 4), None, r"example_inputs must be a tensor"),
    "a shape beyond 64 bits": (nn.Linear(4, 4), (10**30, 4), r"example_inputs of shape .* do not fit in memory"),
    "wrong shape as a shape": (nn.Linear(4, 4), (2, 5), r"the model itself \(Linear\(.*RuntimeError"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case: str) -> None:
    model, inputs, message = REFUSED[case]
    with pytest.raises(InputError) as caught:
        record(model, inputs)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shape_that_does_not_fit_is_not_logged_besides(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InputError, match="cannot be multiplied"):
        record(nn.Linear(4, 4), (2, 5))
    assert caplog.text == ""


def test_an_error_that_the_model_catches_itself_is_no_failure() -> None:
    def forgiving(m: Call, x: torch.Tensor) -> torch.Tensor:
        try:
            m.fc(torch.zeros(2, 5))
        except RuntimeError:
            return m.fc2(x)
        return x

    graph = record(Call(forgiving), X)
    assert graph.uses("fc2.weight")[0].operation.module == "fc2"


def test_interrupt_is_not_swallowed() -> None:
    def interrupted(m: Call, x: torch.Tensor) -> None:
        raise KeyboardInterrupt

    model = Call(interrupted).train()
    with pytest.raises(KeyboardInterrupt):
        record(model, X)
    assert model.training
    assert not torch.nn.modules.module._global_forward_hooks


def test_deep_and_wide_models() -> None:
    model: nn.Module = nn.Linear(4, 4)
    for _ in range(150):
        model = nn.Sequential(model)
    assert record(model, X).uses("0." * 150 + "weight")
    for _ in range(2_000):
        model = nn.Sequential(model, nn.Identity())
    assert len(geometry_of(model)) == 2
