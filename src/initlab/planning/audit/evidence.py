"""What an audit knows of a model before it judges: every parameter's values, law, structure and role."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from initlab.graph import record
from initlab.guest.check import dtype_name
from initlab.planning.audit.naming import BOUNDS, depth_of, name_of
from initlab.planning.audit.results import ParameterStart
from initlab.planning.audit.structure import Structure, structure_of
from initlab.planning.memory.fitted import FittedLaw, fit_law
from initlab.planning.memory.samples import values_of
from initlab.planning.parameters.scene import Scene, Subject, scene_of
from initlab.planning.parameters.walk import walk

ROLES_OF_MAPS = ("weight", "embedding")


@dataclass(frozen=True)
class Seen:
    """One parameter with what its values show."""

    subject: Subject
    start: ParameterStart
    values: np.ndarray[Any, Any] = field(repr=False)
    nonfinite: int
    structure: Structure

    @property
    def name(self) -> str:
        return self.start.name

    @property
    def law(self) -> FittedLaw:
        return self.start.law

    @property
    def tensor(self) -> torch.Tensor:
        return self.subject.slot.tensor

    @property
    def is_random(self) -> bool:
        """Whether its values were drawn, so far as they show."""
        return self.law.family not in ("", "constant") and not self.structure.family


@dataclass(frozen=True)
class Evidence:
    """A model as an audit sees it."""

    scene: Scene
    seen: tuple[Seen, ...]
    depth: int

    def of(self, name: str) -> Seen | None:
        return next((one for one in self.seen if name == one.name or name in one.start.tied_to), None)

    @property
    def maps(self) -> list[Seen]:
        """Weights and embeddings."""
        return [one for one in self.seen if one.start.role in ROLES_OF_MAPS]


def gathered(model: nn.Module, example_inputs: Any) -> Evidence:
    """All that is known of a model's start."""
    found = walk(model)
    scene = scene_of(model, found, None if example_inputs is None else record(model, example_inputs))
    depth = depth_of(slot.name for slot in found.parameters)
    return Evidence(scene, tuple(_seen(subject, depth) for subject in scene.subjects()), depth)


def _seen(subject: Subject, depth: int) -> Seen:
    slot = subject.slot
    values = values_of(slot.tensor)
    finite = np.isfinite(values)
    law = fit_law(values[_kept(subject, values, finite)])
    structure = structure_of(slot.tensor, subject.geometry)
    named = name_of(law, structure, subject.geometry, depth)
    start = ParameterStart(
        slot.name, subject.shape, dtype_name(slot.tensor.dtype), subject.role,
        type(subject.module).__name__ if subject.info is None else subject.info.module_type,
        law, structure.describe() if structure.family else "", named.scheme, named.also, named.sure, slot.ties,
    )  # fmt: skip
    return Seen(subject, start, values, int((~finite).sum()), structure)


def _kept(subject: Subject, values: np.ndarray[Any, Any], finite: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The finite values that a law was drawn for: a padding row of zeros is none of them."""
    padded = isinstance(subject.module, nn.Embedding | nn.EmbeddingBag) and subject.module.padding_idx is not None
    return finite & (values != 0) if padded and bool(values.any()) else finite


def numberless(name: str) -> str:
    """A name with every number in it left out, which is the same for every layer of a stack."""
    return ".".join("*" if part.isdigit() else part for part in name.split("."))


def is_number(scheme: str) -> bool:
    """Whether a scheme is a number that someone wrote, and no rule of fans or depth."""
    return scheme in BOUNDS or ("std=" in scheme and "√" not in scheme)
