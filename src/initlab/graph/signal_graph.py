"""`SignalGraph`: a recording, with what each parameter is used for and what arrives there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from initlab.graph.branches import Branches
from initlab.graph.feeds import Walked, walked
from initlab.graph.recording import Recording, Share
from initlab.graph.residual import projected_ends, residual_branches, residual_ends
from initlab.graph.uses import LayerCall, Use
from initlab.sampling import canonical_name


@dataclass(frozen=True)
class SignalGraph(Recording):
    """A recording with what each parameter is used for: how signals flowed in one forward pass."""

    def uses(self, parameter_name: str) -> tuple[Use, ...]:
        """The uses of a parameter, in forward order; () when this pass did not use it.

        Args:
            parameter_name: a name of `named_parameters()`, with or without wrapper prefixes.
        """
        found = self._uses.get(parameter_name)
        if found is None:
            found = self._uses.get(self._canonical.get(canonical_name(parameter_name), ""), ())
        return found

    def value_of(self, *names: str) -> int | None:
        """The first value of a parameter by any of its canonical names; None where the pass did not read it."""
        return next((self._read[name] for name in names if name in self._read), None)

    def layers(self) -> tuple[LayerCall, ...]:
        """Every use of a weight or embedding, in forward order."""
        calls = [
            LayerCall(name, use.operation, use.feeds)
            for name, uses in self._uses.items()
            for use in uses
            if use.role in ("weight", "embedding")
        ]
        return tuple(sorted(calls, key=lambda call: call.operation.index))

    def sized(
        self,
        sizes: Mapping[str, float],
        shares: Mapping[tuple[int, int], Share],
        scores: Mapping[int, float] = MappingProxyType({}),
        bounded: frozenset[str] = frozenset(),
        shifts: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    ) -> SignalGraph:
        """The same pass, where outputs are to have these sizes: what feeds each weight is then said of those."""
        return replace(self, sizes=sizes, shares=shares, scores=scores, bounded=bounded, shifts=shifts, coarse=False)

    def residual_ends(self) -> tuple[str, ...]:
        """The weights and norm weights that come last in a branch before it is added back to what it grew from."""
        return self._residual_ends

    def projected_ends(self) -> tuple[str, ...]:
        """The same of branches that are added to a projection of what they grew from."""
        return self._projected_ends

    def residual_branches(self) -> tuple[tuple[str, ...], ...]:
        """The parameters of every branch that is added back to what it grew from, or to a projection of that."""
        return self._residual_branches

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that this pass used, in order of first use."""
        return tuple(self._uses)

    @property
    def lessened(self) -> Mapping[str, float]:
        """By parameter, what brings the second moment of what it makes to its share of a stream."""
        return self._walked.lessened

    @property
    def scored(self) -> Mapping[int, float]:
        """By product of queries and keys, what brings its second moment to one where it is larger."""
        return self._walked.scored

    @cached_property
    def _walked(self) -> Walked:
        return walked(self)

    @property
    def _uses(self) -> Mapping[str, tuple[Use, ...]]:
        return self._walked.uses

    @cached_property
    def _read(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for value in self.values.values():
            if value.source == "parameter":
                found.setdefault(canonical_name(value.name), value.index)
        return found

    @cached_property
    def _canonical(self) -> dict[str, str]:
        return {canonical_name(name): name for name in self._uses}

    @cached_property
    def _branches(self) -> Branches:
        return Branches(self, self._uses)

    @cached_property
    def _residual_branches(self) -> tuple[tuple[str, ...], ...]:
        return residual_branches(self._branches)

    @cached_property
    def _residual_ends(self) -> tuple[str, ...]:
        return residual_ends(self._branches)

    @cached_property
    def _projected_ends(self) -> tuple[str, ...]:
        return projected_ends(self._branches)
