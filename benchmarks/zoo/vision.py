"""Models of timm and torchvision: the smallest of each kind, at 64 pixels or as near as it can be built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.zoo.families import CLASSES, Family, pictures

SMALL = ("atto", "femto", "pico", "nano", "tiny", "xxs", "_s0", "18", "_b0", "050", "xs", "0_5", "11", "_s", "small")
SIDE = 64


def timm_models(side: int = SIDE) -> Iterator[Family]:
    """The smallest model of each of timm's files, then of each kind of name in it; pictures of `side` pixels or so."""
    import timm

    found: dict[tuple[str, str], list[str]] = {}
    for module in timm.list_modules():
        for name in timm.list_models(module=module):
            found.setdefault((module, _kind(name)), []).append(name)
    files = {module: _smallest([n for (other, _), names in found.items() if other == module for n in names])
             for module, _ in found}  # fmt: skip
    for name in dict.fromkeys([*files.values(), *map(_smallest, found.values())]):
        yield timm_family(name, "timm", side)


def timm_family(name: str, part: str, side: int = SIDE) -> Family:
    """One of timm's models; `part` is what its name in the zoo begins with."""
    import timm

    return _family(f"{part}/{name}", partial(timm.create_model, name, num_classes=CLASSES), side)


def torchvision_models(side: int = SIDE) -> Iterator[Family]:
    """The smallest classifier of each kind of torchvision."""
    from torchvision import models

    kinds: dict[str, list[str]] = {}
    for name in models.list_models(module=models):
        kinds.setdefault(_kind(name), []).append(name)
    for names in kinds.values():
        name = _smallest(names)
        make = lambda name=name, **more: models.get_model(name, num_classes=CLASSES, **more)  # noqa: E731
        yield _family(f"torchvision/{name}", make, side)


def _kind(name: str) -> str:
    found = re.match("[a-z]+", name)
    return found.group() if found else name


def _smallest(names: list[str]) -> str:
    ranked = [name for word in SMALL for name in names if word in name]
    return (ranked or names)[0]


def _family(name: str, make: Any, least: int) -> Family:
    """A classifier of pictures of `least` pixels, of a usual size above, or of its own where it takes no other."""
    sides: list[int] = []

    def build() -> nn.Module:
        for more in ({"img_size": least}, {"image_size": least}, {}):
            try:
                made: nn.Module = make(**more)
                break
            except (TypeError, ValueError, AssertionError):
                continue
        else:
            raise RuntimeError(f"{name} cannot be built")
        own = getattr(made, "default_cfg", {}).get("input_size", (3, 224, 224))[-1]
        sides[:] = [next((side for side in (least, SIDE, 128, own) if _runs(made, side)), own)]
        return made

    return Family(name, build, lambda: pictures(3, sides[0] if sides else least), CLASSES)


def _runs(model: nn.Module, side: int) -> bool:
    try:
        with torch.no_grad():
            model.eval()(pictures(3, side)[:1])
    except (RuntimeError, AssertionError, ValueError):
        return False
    finally:
        model.train()
    return True
