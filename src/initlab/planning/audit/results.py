"""What an audit returns: each parameter's start, the findings, and the differences from a reference."""

from __future__ import annotations

from dataclasses import dataclass

from initlab.planning.by_name import ByName
from initlab.planning.memory.fitted import FittedLaw
from initlab.reporting import Shown
from initlab.reporting.finding import Finding


@dataclass(frozen=True)
class ParameterStart:
    """What start one parameter has.

    Args:
        name: its canonical name.
        shape, dtype: as the model holds it; the global shape.
        role: "weight", "bias", "norm_weight", "norm_bias", "embedding", "recurrent_bias" or "other".
        layer: the type of the layer that holds it.
        law: what its values look drawn from.
        structure: what a matrix is beyond that, in words: orthogonal, identity, sparse; "" for none.
        scheme: the likeliest scheme; "" where no law fits.
        also: other schemes that the values fit as well.
        sure: how likely `scheme` is among those, in [0, 1].
        tied_to: the other names that reach the same tensor.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    role: str
    layer: str
    law: FittedLaw
    structure: str
    scheme: str
    also: tuple[str, ...]
    sure: float
    tied_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class Departure:
    """One parameter that is not what the reference says.

    Args:
        name: the parameter.
        what: "law", "std", "values", "shape", "missing" or "extra".
        expected, found: in words.
    """

    name: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what} {self.found} where the reference has {self.expected}"


@dataclass(frozen=True, repr=False)
class Audit(Shown, ByName[ParameterStart]):
    """What `initlab.audit` found.

    Args:
        model: the model's type.
        parameters: one `ParameterStart` each, in `named_parameters()` order; tied weights once.
        findings: most severe first.
        differences: what is not as the reference says; empty without one.
        reference: the reference in words; "" without one.
        notes: what could not be judged.
    """

    model: str
    parameters: tuple[ParameterStart, ...]
    findings: tuple[Finding, ...]
    differences: tuple[Departure, ...] = ()
    reference: str = ""
    notes: tuple[str, ...] = ()

    def rows(self) -> tuple[ParameterStart, ...]:
        """The starts of the parameters."""
        return self.parameters
