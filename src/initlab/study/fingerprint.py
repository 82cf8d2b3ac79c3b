"""What a study was begun with: its model, data, settings and schemes in short, so that a change is found and named."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from initlab.errors import InputError
from initlab.training.task import Task

if TYPE_CHECKING:
    from initlab.planning import Plan

MOST_NAMED = 400  # parameters that are listed one by one; larger models by their hash
SOME_SAMPLES = 32  # of a source that is streamed, evenly spread
MOST_BYTES = 1 << 28  # bytes of a tensor that are hashed whole


def task_fingerprint(task: Task, model: nn.Module) -> dict[str, Any]:
    """Model, data and settings as plain JSON values."""
    settings = {
        name: getattr(task, name)
        for name in ("optimizer", "batch_size", "steps", "drop_last", "root_seed", "shared_order")
    }
    settings |= {"loss": loss_fingerprint(task.loss), "dtype": str(task.dtype), "options": _plain(dict(task.options))}
    data = {name: data_hash(getattr(task, name)) for name in ("train", "test", "valid")}
    return {"settings": settings, "data": data, "model": model_fingerprint(model)}


def model_fingerprint(model: nn.Module) -> dict[str, str]:
    """Parameter names with shape and dtype, and a hash of the modules' types and settings."""
    named = {
        name: f"{'×'.join(map(str, p.shape))} {str(p.dtype).removeprefix('torch.')}"
        for name, p in (*model.named_parameters(), *model.named_buffers())
    }
    modules = [(name, type(m).__qualname__, _no_addresses(m.extra_repr())) for name, m in model.named_modules()]
    found = {"structure": _short(modules)}
    return {**named, **found} if len(named) <= MOST_NAMED else {**found, "parameters": _short(sorted(named.items()))}


def loss_fingerprint(loss: Any) -> str:
    """A loss in a word: its name; of what names do not tell apart, what it is made of, too.

    >>> from functools import partial
    >>> [loss_fingerprint(loss) for loss in ("auto", torch.nn.functional.l1_loss)]
    ['auto', 'l1_loss']
    >>> loss_fingerprint(torch.nn.HuberLoss(delta=2.0)) == loss_fingerprint(torch.nn.HuberLoss())
    False
    """
    if isinstance(loss, str):
        return loss
    name = str(getattr(loss, "__qualname__", type(loss).__qualname__))
    made_of = _made_of(loss, name)
    return f"{name} {_short(made_of)}" if made_of else name


def _made_of(loss: Any, name: str) -> list[Any]:
    """What tells a loss from another of the same name; empty for a function whose name does."""
    if isinstance(loss, functools.partial):
        return [loss_fingerprint(loss.func), [_value(part) for part in loss.args], _values(loss.keywords)]
    if isinstance(loss, nn.Module):
        numbers = {key: value for key, value in vars(loss).items() if not key.startswith("_")}
        tensors = {key: data_hash((value,)) for key, value in loss.state_dict().items()}
        return [_no_addresses(repr(loss)), _values(numbers), tensors]
    code = getattr(loss, "__code__", None)
    if code is None:
        return [] if hasattr(loss, "__qualname__") else [_values(getattr(loss, "__dict__", {}))]
    if "<" not in name and name != "auto":  # a lambda or an inner function may stand for several
        return []
    cells = [_value(cell.cell_contents) for cell in loss.__closure__ or ()]
    constants = [_no_addresses(repr(constant)) for constant in code.co_consts]
    return [code.co_code.hex(), constants, code.co_names, [_value(part) for part in loss.__defaults__ or ()], cells]


def _values(named: Mapping[str, Any]) -> dict[str, str]:
    return {key: _value(value) for key, value in named.items()}


def _value(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return data_hash((value,))
    return loss_fingerprint(value) if callable(value) else _no_addresses(repr(value))


def plan_fingerprint(plan: Plan | None) -> str:
    """A hash of every parameter's law."""
    if plan is None:
        return "as built"
    laws = [(e.name, e.shape, e.action, None if e.law is None else e.law.describe()) for e in plan.entries]
    return _short(laws)


def data_hash(data: Any) -> str:
    """Shapes and a hash of a pair of tensors; of a source that is streamed, its length and a hash of some samples."""
    if data is None:
        return "none"
    if not isinstance(data, tuple):
        some = torch.linspace(0, len(data) - 1, min(len(data), SOME_SAMPLES), dtype=torch.float64).round().long()
        return f"{len(data)} streamed samples, such as {data_hash(data.gather(some))}"
    digest = hashlib.blake2b(digest_size=8)
    for part in data:
        values = part.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        if len(values) > MOST_BYTES:
            digest.update(str(int(values.sum(dtype=torch.int64))).encode())
            values = values[:: len(values) // MOST_BYTES + 1].contiguous()
        digest.update(memoryview(values.numpy()))
    shapes = " ".join("×".join(map(str, part.shape)) for part in data)
    return f"{shapes} {digest.hexdigest()}"


def differences(kept: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """Where two fingerprints differ, in words.

    >>> differences({"settings": {"steps": 10}}, {"settings": {"steps": 20}})
    ['steps: 10 → 20']
    """
    found = []
    for key in dict.fromkeys((*kept, *now)):
        old, new = kept.get(key), now.get(key)
        name = f"{path}{key}" if path else str(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, "" if key in ("settings",) else f"{name} ")
        elif old != new:
            found.append(f"{name}: {_word(old)} → {_word(new)}")
    return found


def refuse_drift(kept: Mapping[str, Any], now: Mapping[str, Any], name: str, shown: str) -> None:
    """Raise if a study was begun with something else.

    Raises:
        InputError: lists the differences.
    """
    found = differences(kept, now)
    if found:
        more = f"; and {len(found) - 6} more" if len(found) > 6 else ""
        raise InputError(
            f"study {name!r} in {shown} was begun differently ({'; '.join(found[:6])}{more}); "
            "use allow_drift=True to go on all the same, or another study name"
        )


def _word(value: Any) -> str:
    return "absent" if value is None else "noted" if isinstance(value, Mapping) else str(value)[:80]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _short(value: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(value, default=str, sort_keys=True).encode()).hexdigest()[:16]


def _no_addresses(text: str) -> str:
    return re.sub(r"0x[0-9a-fA-F]+", "0x", text)
