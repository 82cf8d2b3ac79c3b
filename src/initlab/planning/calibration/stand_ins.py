"""What stands in during a pass: weights drawn by their laws, corrected as the pass finds, and the masks of dropout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch

from initlab.graph.operations.dropping import Mask
from initlab.guest.transformed import is_transformed, like, of_whole, plain
from initlab.guest.writes import unwatched
from initlab.planning.calibration.found import Found, correctable
from initlab.planning.calibration.marks import Mark, Marks
from initlab.planning.calibration.measuring import second_moment
from initlab.planning.memory.drawing import job_of, write_one
from initlab.planning.plan import PlanEntry
from initlab.planning.sizes.magnitudes import magnitudes_of
from initlab.planning.writing.spectral import Vectors
from initlab.sampling import canonical_name
from initlab.sampling.laws import Constant, Law, Uniform

HELD = 2**29  # bytes of drawn weights that a pass holds; older ones are drawn again where they are used again
FEWEST = 2**10  # numbers of a dropout mask from which it is drawn


class StandIns:
    """The drawn tensors of one pass.

    Args:
        entries: the plan, by name.
        fixed: names whose laws are not to be changed.
        found: what the pass finds.
        marks: what is known of live tensors.
        norms: by weight, its spectral norm. What such a weight makes has a size of its own, whatever its std.
    """

    def __init__(
        self,
        entries: Mapping[str, PlanEntry],
        fixed: frozenset[str],
        found: Found,
        marks: Marks,
        norms: Mapping[str, Vectors],
    ) -> None:
        self.entries, self.fixed, self.found, self.marks, self.norms = entries, fixed, found, marks, norms
        self.magnitudes = magnitudes_of(entries)  # a direction's std is that of its weight by its magnitude alone
        self.luck: dict[str, float] = {}  # by weight, its law's second moment over that of what was drawn
        self._parameters: dict[int, str] = {}
        self._drawn: dict[str, torch.Tensor] = {}
        self._places: dict[str, int] = {}
        self._bytes = 0
        self._masks = 0

    def know(self, owner: Mapping[str, str], names: Mapping[int, str]) -> None:
        """Takes the parameters of the running model: id -> the name of their entry."""
        self._parameters = {key: owner[canonical_name(name)] for key, name in names.items()}

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """What stands in for a tensor; itself where it is no parameter."""
        name = self._parameters.get(id(plain(tensor)))
        if name is None:
            return tensor
        made = self._draw(name, plain(tensor))
        if is_transformed(tensor):
            made = like(tensor, made)
            self.marks.set(made, of=name)
        return made

    def current(self, tensor: torch.Tensor) -> torch.Tensor:
        """What stands in for a tensor; a signal that a weight made before its std was corrected as it would be now.

        So is a part of what one weight makes (the shifts and scales of a modulation) that is read after another part
        (its gate) ended a branch.
        """
        if (ratio := self.marks.outgrown(tensor)) == 1.0:
            return self.of(tensor)
        mark, grown = self.marks.get(tensor), tensor * ratio
        self.marks.set(grown, mark.names, terms=mark.terms, due=mark.due, learned=mark.learned)
        return grown

    def drawn(self, name: str) -> torch.Tensor | None:
        """What stands in for a parameter, where it is held."""
        return self._drawn.get(name)

    def is_weight(self, name: str) -> bool:
        entry = self.entries.get(name)
        return entry is not None and entry.role in ("weight", "embedding")

    def free(self, name: str) -> bool:
        """Whether a std may be corrected."""
        return correctable(name, self.entries, self.fixed, self.found.scales)

    @of_whole
    def scale(self, names: Iterable[str], factor: float, copies: Iterable[tuple[torch.Tensor, Mark]] = ()) -> None:
        """Correct the std of parameters, in what stands in for them and in copies of it.

        By their data, since a model may hold them for gradients that it takes as it runs, as a flow's Jacobian.
        """
        copies = tuple(copies)
        for name in names:
            drawn = self._drawn.get(name)
            for held in (drawn, self._drawn.get(self.magnitudes.get(name, ""))):
                if held is not None:
                    root = self.found.scales.get(name, 0.0)
                    held.data.sub_(root).mul_(factor).add_(root)
            own = None if drawn is None else drawn.untyped_storage().data_ptr()
            self.found.factors[name] = self.found.factor(name) * factor
            for tensor, mark in copies:
                if mark.of == name and tensor.untyped_storage().data_ptr() != own:
                    tensor.data.mul_(factor)

    def dropped(self, mask: Mask, signal: torch.Tensor) -> torch.Tensor:
        """What dropout leaves of a signal, by a mask of its own stream.

        Where few numbers would decide, the mask's root mean square takes its place.
        """
        shape = mask.shape(tuple(signal.shape))
        self._masks += 1
        if math.prod(shape) < FEWEST:
            return signal.clone() if mask.alpha else signal * math.sqrt(mask.second)
        drawn = torch.empty(shape, dtype=torch.float32, device=signal.device)
        write_one(job_of(f"mask {self._masks}", drawn, Uniform(0.0, 1.0)), 0)
        return mask.applied(signal, drawn >= mask.rate)

    def _draw(self, name: str, parameter: torch.Tensor) -> torch.Tensor:
        made = self._drawn.get(name)
        if made is None:
            entry, made = self.entries.get(name), parameter.detach()
            place = self._places.setdefault(name, len(self._places))
            if entry is not None and entry.law is not None:
                with unwatched():
                    made = self._made(entry, entry.law, parameter, place)
            self._hold(name, made)
            if name in self.norms:
                self.norms[name].follow(made)
            else:
                self.marks.set(made, of=name)
        return made

    @of_whole
    def _made(self, entry: PlanEntry, law: Law, parameter: torch.Tensor, place: int) -> torch.Tensor:
        made = torch.empty(parameter.shape, dtype=parameter.dtype, device=parameter.device)
        if isinstance(law, Constant):  # most parameters of a model with norms and biases: nothing of them is drawn
            return made.fill_(self.found.scale(entry.name, law.value))
        job = f"drawn {place}"  # by order of use: wrappers and renames change no measurement
        write_one(job_of(job, made, law), 0)
        self.luck[entry.name] = (entry.std or 0.0) ** 2 / (second_moment(made) or 1.0)
        factor = self.found.factor(entry.name)
        return made if factor == 1.0 else made.mul_(factor)

    def _hold(self, name: str, made: torch.Tensor) -> None:
        self._drawn[name] = made
        self._bytes += made.nbytes
        while self._bytes > HELD and len(self._drawn) > 1:
            self._bytes -= self._drawn.pop(next(iter(self._drawn))).nbytes
