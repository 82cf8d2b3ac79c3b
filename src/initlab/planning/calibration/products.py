"""Scores that are products: of the rows of two tables, of two projections, of lengths of differences.

Rows of unit size and width d make scores of variance d, where a read-out of one matrix makes some near zero. What reads
such a score is a loss, so its size is chosen as a read-out's, and shared out between the factors: each gets the k-th
root, of k factors. One that meets a signal with a size of its own, as tanh's, has all of it.

How large? C logits of variance m cost m/2 above ln C, two m/8: m = 0.1 keeps both below 5%. A score of two rows that
never met is noise, which is unlearnt row by row, each row being seen rarely: for two tables m = 10⁻³. Zero would be a
saddle: of a product of k factors of size a, each grows by ∂s/∂u ~ a^(k−1), relative to itself by a^(k−2), so that the
small factors of three or more would be slow to leave it: 0.1 again. Lengths of differences of rows are compared with
margins and have the size of one: 1.

Trained on pairs of a low-rank truth (80 × 120 things of rank 3; widths 8 and 64; squared, logistic and softmax losses;
Adam and SGD, two rates, two seeds), two tables end at m = 10⁻³ within 4% of the best of eight sizes at the better rate
in eleven of twelve settings (21% above it for width 8, squared loss and Adam), and up to 12 times below scores of
variance d. Factors of three (DistMult, ComplEx) end 2 and 2.6 times lower at 0.1 than at 10⁻³ under SGD, and level
under Adam. Narrow fields (width 6, three pairs) leave the saddle late under SGD: 28% above tables of Xavier's law.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from initlab.graph.operations import Op
from initlab.guest.inputs import tensors_in
from initlab.planning.calibration.found import rounded
from initlab.planning.calibration.marks import Marked
from initlab.planning.calibration.measuring import SLACK
from initlab.planning.calibration.stand_ins import StandIns
from initlab.planning.calibration.terms import Factor, Term, Terms, as_one, sampled_second, together
from initlab.planning.memory.zeros import all_zero
from initlab.planning.sizes.targets import Targets

PAIR = 1e-3  # second moment of scores of the rows of two tables
MATCH = 0.1  # and of projections, or of more factors
LENGTH = 1.0  # and of lengths of differences of rows


class Products:
    """The products of one pass: what each tensor is the sum of, and the stds that bring scores to their size."""

    def __init__(self, targets: Targets, drawn: StandIns) -> None:
        self.targets, self.drawn = targets, drawn
        self._used: set[Term] = set()  # what shares and gates are made of: they are for more than to be returned

    def follow(self, op: Op, args: Any, signals: Marked, made: Any) -> tuple[Terms, Terms]:
        """(what an operation's output is the sum of, what it is a function of that a loss reads).

        Args:
            op: the operation.
            args: what it was given by position.
            signals: what it reads besides parameters.
            made: what it made.
        """
        output = next(tensors_in(made), None)
        if output is None or not any(mark.terms or mark.due for _, mark in signals):
            return (), ()
        if op.combines in ("product", "contraction") and len(signals) > 1:
            self._used.update(term for _, mark in signals for term in mark.due)
        terms = self._made(op, args, signals, output)
        due = () if terms else _due(op, signals, output)
        return terms, due

    def _made(self, op: Op, args: Any, signals: Marked, output: torch.Tensor) -> Terms:
        named = [(tensor, mark.terms) for tensor, mark in signals if mark.terms]
        if op.gathers:
            others = [
                tensor for tensor, mark in signals if not mark.terms and (op.combines == "join" or _counts(tensor))
            ]
            return together(named, output) if named and not others else ()
        if op.combines in ("product", "contraction"):
            return self._product(op, named, _others(op, signals), output)
        if op.combines == "choice":
            return together(named, output)
        power = op.degree or _exponent(op, args)
        if power and named:
            whole = as_one(tuple(term for _, terms in named for term in terms))
            whole = None if whole is None or len(named) < len(signals) else whole.to_the(power, op.even)
            return () if whole is None else _seen(whole, output, signals[0][0])
        return self._passed(named, output) if op.proportional and len(signals) == 1 else ()

    def _product(self, op: Op, named: list[tuple[torch.Tensor, Terms]], others: int, output: torch.Tensor) -> Terms:
        weighed = _weighed(named, _power(op)) if op.combines == "product" else None
        if weighed is not None:
            return self._passed([weighed], output)
        wholes = [whole for whole in (as_one(terms) for _, terms in named) if whole is not None]
        if len(named) == 1 and not (others and wholes):
            return self._passed(named, output)
        if len(wholes) != len(named) or len(named) not in (1, 2):
            return ()
        made = wholes[0].times_another() if len(wholes) == 1 else wholes[0].times(wholes[1], _power(op))
        if made is None:
            return ()
        score = made.score or (op.combines == "contraction" and made.multiplied)
        return (made.seen(output, score),) if score else (made,)

    def _passed(self, named: list[tuple[torch.Tensor, Terms]], output: torch.Tensor) -> Terms:
        """Terms that are scaled, moved or summed: each keeps its share."""
        if not named:
            return ()
        before, terms = named[0]
        if len(terms) == 1:
            return _seen(terms[0], output, before)
        if not any(term.score for term in terms):
            return terms
        old, new = sampled_second(before), sampled_second(output)
        ratio = new / old if old and new else 1.0
        return tuple(replace(term, second=(term.second or 0.0) * ratio) for term in terms)

    def joined(self, op: Op, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments of a join, in which scores stand beside other numbers: at their unit size, or as `_beside` has
        it."""
        if op.combines != "join":
            return args
        read = self.drawn.marks.of(tensors_in(args))
        if all(mark.terms for _, mark in read) and as_one(tuple(term for _, mark in read for term in mark.terms)):
            return args
        if _written_distance(read):
            return args
        scaled: dict[int, torch.Tensor] = {}
        for tensor, mark in read:
            if any(term.score for term in mark.terms):
                factor = self._bring(mark.terms, self._beside(mark.terms))
                scaled |= {id(tensor): tensor * factor} if factor != 1.0 else {}
        return _replaced(args, scaled)

    def finish(self, terms: Terms) -> None:
        """Takes what the model returned, or what its loss was made of: scores are brought to the size of read-outs."""
        if any(term.score for term in terms):
            found = self.drawn.found
            terms = tuple(term for term in terms if not term.names & found.products.keys() and term not in self._used)
            alike: dict[tuple[Factor, ...], list[Term]] = {}  # as of many steps: their factors are scaled once
            for term in terms:
                alike.setdefault(term.factors, []).append(term)
            for of in alike.values():
                self._bring(tuple(of), self._size(of[0]) * len(of) / len(terms))

    def _beside(self, terms: Terms) -> float:
        """The size of scores among other numbers: where rows of tables are in them, of those that never met."""
        of_rows = all(term.names & self.targets.tables and term.degree <= 2 and not term.beside for term in terms)
        return PAIR if of_rows else 1.0

    def _size(self, term: Term) -> float:
        if not term.names <= self.targets.tables or term.degree > 2 or term.beside:
            return MATCH
        return LENGTH if term.even and term.degree == 1 else PAIR

    def _bring(self, terms: Terms, target: float) -> float:
        """Correct the stds behind terms that are larger than they should be; what they are multiplied by."""
        second = sum(term.second or 0.0 for term in terms)
        whole = as_one(terms)
        if whole is None or second <= SLACK * target:
            return 1.0
        factors = [(names, k) for names, k in whole.factors if all(map(self._free, names)) and k > 0]
        tables = [(names, k) for names, k in factors if names <= self.targets.tables]
        factors = tables or factors
        degree = sum(power for _, power in factors)
        if not degree:
            return 1.0
        factor = rounded((target / second) ** (0.5 / degree))
        names = frozenset[str]().union(*(names for names, _ in factors))
        self.drawn.scale(names, factor)
        self.drawn.found.products |= dict.fromkeys(names, (second, target))
        return float(factor**degree)

    def _free(self, name: str) -> bool:
        return self.drawn.free(name) and name not in self.targets.heads


def _seen(term: Term, output: torch.Tensor, before: torch.Tensor) -> Terms:
    """A term as one operation left it: a score where it sums a product, or where it is a length."""
    summed = output.numel() < before.numel() and (term.multiplied or term.even)
    return (term.seen(output, summed),) if summed or term.score else (term,)


def _others(op: Op, signals: Marked) -> int:
    """How many signals of other weights, of a size of their own, an operation multiplies with all that it reads.

    One that is the same for all features is a gate or a mask, and sums over them add no products up.
    """
    shapes = {tensor.shape for tensor, _ in signals}
    whole = op.combines == "contraction" or ("div" not in op.kinds and len(shapes) == 1)
    return sum(mark.learned and not mark.terms for _, mark in signals) if whole else 0


def _weighed(named: list[tuple[torch.Tensor, Terms]], power: float) -> tuple[torch.Tensor, Terms] | None:
    """Of two factors the one with features, where the other is one number for all of them: a sum is no match then.

    Rows of a history that an attention unit weighs (Zhou et al., DIN, 2018), summed over places. A length that a vector
    is divided by weighs nothing: it undoes the size that the vector has.

    Args:
        named: the factors and their terms.
        power: that of the second: of a quotient −1.
    """
    if len(named) != 2 or not all(tensor.dim() for tensor, _ in named):
        return None
    widths = [tensor.shape[-1] for tensor, _ in named]
    wide = widths.index(max(widths))
    narrow = sum(term.degree for term in named[1 - wide][1]) * (power if wide == 0 else 1.0)
    return named[wide] if min(widths) == 1 < max(widths) and narrow >= 0 else None


def _written_distance(read: Marked) -> bool:
    """Whether a signal's squared length stands beside it, as where |x|² − 2xz + |z|² is written as one product."""
    lengths = [term.names for _, mark in read for term in mark.terms if term.score and term.is_square]
    return any(term.names in lengths and term.degree == 1 for _, mark in read for term in mark.terms)


def _counts(tensor: torch.Tensor) -> bool:
    """Whether a summand is more than a number beside the others."""
    return tensor.numel() > 1 and not all_zero(tensor)


def _power(op: Op) -> float:
    """The power of the second factor of a product: of a quotient −1."""
    return -1.0 if "div" in op.kinds else 1.0


def _exponent(op: Op, args: Any) -> float:
    """The power of `pow`; 0 of all else."""
    power = args[1] if "pow" in op.kinds and len(args) > 1 else 0.0
    return float(power) if isinstance(power, int | float) else 0.0


def _due(op: Op, signals: Marked, output: torch.Tensor) -> Terms:
    """The scores that a function of one number, or a loss, was made of; products with other signals are no losses."""
    of = [mark.due or mark.terms for _, mark in signals if mark.due or any(term.score for term in mark.terms)]
    alone = len(signals) == 1 and (op.logits or op.proportional or signals[0][0].shape == output.shape)
    if not of or op.norm or not (op.gathers or op.logits or alone):
        return ()
    return tuple(dict.fromkeys(term for terms in of for term in terms))


def _replaced(args: tuple[Any, ...], scaled: dict[int, torch.Tensor]) -> tuple[Any, ...]:
    """Arguments with other tensors in place of some."""
    if not scaled:
        return args
    return tuple(
        type(arg)(scaled.get(id(item), item) for item in arg) if isinstance(arg, list | tuple) else arg for arg in args
    )
