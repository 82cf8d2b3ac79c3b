"""Terms: what a tensor is the sum of, and how each term grows with the weights and tables that it was made by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from initlab.guest.doubles import doubled
from initlab.guest.transformed import of_whole

SAMPLED = 2**14  # numbers of a tensor that its second moment is read off

Factor = tuple[frozenset[str], float]


@dataclass(frozen=True)
class Term:
    """One summand: c · Π a_i, where a_i grows as the k_i-th power of the weights that it was made by.

    Args:
        factors: (weights, k) for each a_i: where their stds are multiplied by s, the term is by s^k.
        second: its second moment; None where nobody asked.
        score: whether it sums over the features of a product or is a length: a number that says how two things match.
        even: whether it is of no sign: a length, or numbers that add up to one.
        beside: how many signals of other weights multiply it that have a size of their own, as tanh's.
    """

    factors: tuple[Factor, ...]
    second: float | None = None
    score: bool = False
    even: bool = False
    beside: int = 0

    @classmethod
    def of(cls, names: frozenset[str], second: float | None = None) -> Term:
        """What weights make, or the rows of a table; a table of one column gives scores."""
        return cls(((names, 1.0),), second, second is not None)

    @property
    def names(self) -> frozenset[str]:
        return frozenset().union(*(names for names, _ in self.factors))

    @property
    def degree(self) -> float:
        """The power with which it grows where all the stds do."""
        return sum(power for _, power in self.factors)

    @property
    def is_square(self) -> bool:
        """Whether it is the square of what one weight, or a few together, make."""
        return len(self.factors) == 1 and self.degree == 2

    @property
    def multiplied(self) -> bool:
        """Whether it is a product of signals, whose sum over features grows with how many there are."""
        return self.degree + self.beside > 1.0

    def to_the(self, power: float, even: bool) -> Term | None:
        """The term that a function of this power makes of it."""
        factors = tuple((names, k * power) for names, k in self.factors)
        return _kept(replace(self, factors=factors, second=None, even=self.even or even))

    def times(self, other: Term, power: float = 1.0) -> Term | None:
        """Its product with another; of one and the same weights the powers add up."""
        powers: dict[frozenset[str], float] = dict(self.factors)
        for names, k in other.factors:
            powers[names] = powers.get(names, 0.0) + k * power
        score, even = self.score or other.score, self.even and other.even
        return _kept(Term(tuple(powers.items()), None, score, even, self.beside + other.beside))

    def times_another(self) -> Term:
        """Its product with a signal of other weights that has a size of its own."""
        return replace(self, second=None, even=False, beside=self.beside + 1)

    def seen(self, tensor: torch.Tensor, score: bool = False) -> Term:
        """The term as a tensor holds it alone."""
        return replace(self, second=sampled_second(tensor), score=self.score or score)


Terms = tuple[Term, ...]


def _kept(term: Term) -> Term | None:
    """The term without what it does not grow with; None of what grows with nothing, as cosines."""
    factors = tuple((names, power) for names, power in term.factors if power)
    return replace(term, factors=factors) if factors else None


def as_one(terms: Terms) -> Term | None:
    """Terms that all grow alike, taken as one; None of those that do not, and of none.

    (Σ vᵢ)² − Σ vᵢ² grows with the square of the one table, h·r·t + h'·r'·t' with the cube of all six.
    """
    if len({term.factors for term in terms}) == 1:
        return replace(terms[0], second=None, score=any(term.score for term in terms))
    if len({term.degree for term in terms}) != 1:
        return None
    names = frozenset[str]().union(*(term.names for term in terms))
    score, even = any(term.score for term in terms), all(term.even for term in terms)
    return Term(((names, terms[0].degree),), None, score, even, max(term.beside for term in terms))


def together(parts: Iterable[tuple[torch.Tensor, Terms]], whole: torch.Tensor) -> Terms:
    """What the sum of tensors, or the tensors side by side, are the sum of: what grows alike is one term.

    Args:
        parts: the tensors and their terms.
        whole: the sum.
    """
    parts = list(parts)
    if len(parts) == 1:  # beside numbers, which are no part of its size
        return parts[0][1]
    every = tuple(term for _, terms in parts for term in terms)
    alike = (
        as_one(every) if not any(term.score for term in every) or len({term.factors for term in every}) == 1 else None
    )
    if alike is not None:
        return (alike.seen(whole),) if alike.score else (alike,)
    seen = [_seen(tensor, terms) for tensor, terms in parts] if any(term.score for term in every) else [every]
    return tuple(term for terms in seen for term in terms)


def _seen(tensor: torch.Tensor, terms: Terms) -> Terms:
    """A tensor's terms with second moments, where it is one term whose size nobody asked."""
    return (terms[0].seen(tensor),) if len(terms) == 1 and terms[0].second is None else terms


@of_whole
def sampled_second(tensor: torch.Tensor) -> float | None:
    """The second moment of a regular sample of a tensor's finite numbers; None where it has none."""
    flat = tensor.detach().reshape(-1)
    numbers = doubled(flat[:: max(1, flat.numel() // SAMPLED)])
    numbers = numbers[numbers.isfinite()]
    return float(numbers.square().mean()) if numbers.numel() else None
