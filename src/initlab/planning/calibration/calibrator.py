"""The torch function mode of a calibrating pass: weights stand in, what they make is measured, and stds corrected."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from initlab.graph.operations import TABLE, Op
from initlab.graph.operations.dropping import drops_in_place, mask_of
from initlab.graph.spelling import in_place
from initlab.guest.inputs import mapped, tensors_in
from initlab.guest.writes import unwatched
from initlab.planning.calibration.calls import Call, shift_of
from initlab.planning.calibration.found import Found, rounded
from initlab.planning.calibration.marks import Mark, Marked, Marks, carried
from initlab.planning.calibration.measuring import NOTHING, luck, misses, near, second_moment, spread, units
from initlab.planning.calibration.products import Products
from initlab.planning.calibration.read_outs import ReadOuts
from initlab.planning.calibration.scores import Scores
from initlab.planning.calibration.stand_ins import StandIns
from initlab.planning.calibration.sums import Sums
from initlab.planning.calibration.terms import Term, sampled_second
from initlab.planning.memory.values import is_identity
from initlab.planning.memory.zeros import all_zero
from initlab.planning.plan import PlanEntry
from initlab.planning.sizes.targets import Targets
from initlab.planning.writing.spectral import Vectors


class Calibrator(TorchFunctionMode):
    """Stands drawn tensors in for parameters while it is entered, measures, and corrects: `found`.

    Args:
        entries: the plan, by name.
        targets: what outputs are to be like.
        fixed: names whose laws are not to be changed.
        norms: by weight, its spectral norm.
    """

    def __init__(
        self,
        entries: Mapping[str, PlanEntry],
        targets: Targets,
        fixed: frozenset[str],
        norms: Mapping[str, Vectors],
    ) -> None:
        super().__init__()
        self.entries, self.targets = entries, targets
        self.found = Found(scales=targets.scales)
        self.marks = Marks(self.found.factor)
        self.drawn = StandIns(entries, fixed, self.found, self.marks, norms)
        self.sums, self.scores, self.read_outs = (
            Sums(targets, self.drawn),
            Scores(targets, self.drawn),
            ReadOuts(targets),
        )
        self.products = Products(targets, self.drawn)
        self._inverses = 0  # transforms brought back so far
        self._met: set[tuple[str, bool]] = set()
        self._beside: dict[str, frozenset[str]] = {}  # by read-out, the others of which one matrix is joined with it

    def know(self, owner: Mapping[str, str], names: Mapping[int, str]) -> None:
        """Takes the parameters of the running model: id -> the name of their entry."""
        self.drawn.know(owner, names)

    def finish(self, outputs: Any) -> None:
        """Takes what the model returned: the read-outs are brought to their first loss there."""
        for tensor in tensors_in(outputs):
            mark = self.marks.get(tensor)
            self.read_outs.end(tensor, mark.names)
            self.products.finish(mark.terms or mark.due)
        self.found.uses = {name: uses for name, uses in self.found.uses.items() if name not in self.read_outs.judged}
        for name, factor in self.read_outs.factors.items():
            self.found.measured[name] = self.read_outs.seconds(name)
            self.found.grown |= {name} if self.read_outs.shrunk(name) else set()
            if factor != 1.0 and self.drawn.free(name):
                self.drawn.scale({name}, factor)
                for part in filter(self.drawn.free, self._beside.get(name, ())):  # one matrix has one std
                    ratio = (self.entries[name].std or 1.0) / (self.entries[part].std or 1.0)
                    self.drawn.scale({part}, rounded(factor * ratio))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kind, writes = TABLE.kind_of(func), in_place(func)
        args, kwargs = mapped((args, kwargs or {}), self.drawn.current if kind and not writes else self.drawn.of)
        if not kind:
            return func(*args, **kwargs)
        op = TABLE[kind]
        if op.drops and (mask := mask_of(kind, args, kwargs)) is not None:
            kept = self.drawn.dropped(mask, args[0])
            kept = args[0].copy_(kept) if drops_in_place(args, kwargs) else kept
            return self._after(Call(func, op, args[:1], {}, kept))
        own = "" if op.norm else self._weight_of(op, args)  # a norm gives a weight another size
        if op.combines == "sum" and len(args) > 1:
            args = (*self.sums.before(args[0], args[1], writes), *args[2:])
        args = self.products.joined(op, args)
        if self.targets.codes:
            self._compared(args)
        if op.attends and kwargs.get("scale") is not None:
            args = (self.scores.fused(args, kwargs["scale"]), *args[1:])
        result = self._after(Call(func, op, args, kwargs, func(*args, **kwargs)))
        if own:
            self._rounded(own, result)
        return result

    def _weight_of(self, op: Op, args: tuple[Any, ...]) -> str:
        """The one weight that arguments are, or are computed from in its shape; "" where there is none."""
        if op.shaped_like is not None:  # of which only the shape is read
            args = tuple(arg for at, arg in enumerate(args) if at != op.shaped_like[0])
        found = {
            name for _, mark in self.marks.of(tensors_in(args))
            if (name := mark.rounding or (mark.of if self.drawn.is_weight(mark.of) else ""))
        }  # fmt: skip
        return found.pop() if len(found) == 1 else ""

    def _rounded(self, name: str, result: Any) -> None:
        """What is made of a weight and stays near it is that weight: quantised, pruned, with its gradient passed on."""
        weight = self.drawn.drawn(name)
        for tensor in tensors_in(result) if weight is not None else ():
            mark = self.marks.get(tensor)
            if weight is None or tensor.shape != weight.shape or mark.of or mark.names or mark.terms:
                continue
            if near(tensor, weight):
                self.marks.set(tensor, of=name)
            else:
                self.marks.set_rounding(tensor, name)

    def _after(self, call: Call) -> Any:
        with unwatched():
            return self._followed(call)

    def _followed(self, call: Call) -> Any:
        op, read = call.op, self.marks.of(tensors_in((call.args, call.kwargs)))
        weights = [(tensor, mark) for tensor, mark in read if mark.of]
        scales = frozenset(mark.of for _, mark in weights if mark.of in self.targets.scales)
        signals = [(tensor, mark) for tensor, mark in read if not mark.of and tensor.is_floating_point()]
        if not signals and (whole := self._composed(op, {mark.of for _, mark in weights})):
            self.marks.set_all(call.result, of=whole)
            return call.result
        if scales and signals and (op.norm or op.combines == "product"):
            self.marks.set_all(call.result, scales)
            return call.result
        if len(weights) == 1 and signals and op.combines == "sum" and self._is_noised(weights[0], signals, call.result):
            self.marks.set_all(call.result, of=weights[0][1].of)
            return call.result
        if weights and not signals and op.combines == "contraction":  # a layer's weight and what it is given, kept
            kept = [(tensor, mark) for tensor, mark in weights[:1] if not self.drawn.is_weight(mark.of)]
            signals, weights = kept, weights[len(kept) :]
        if weights and not signals:
            return self._from_parameters(call, weights, len(read))
        if op.combines == "product" and len(weights) == 1 and not any(mark.names for _, mark in signals):
            return self._scaled(*weights[0], call.result)
        if op.weights is not None and op.combines == "contraction" and weights:
            made_by = sorted({mark.of: None for _, mark in weights}, key=self.drawn.is_weight, reverse=True)[0]
            # else the weight was made of a parameter that sets no size, as a norm does, or rows are compared with it
            if not self._is_bias(made_by) and made_by not in self.targets.codes:
                return self._applied(call, made_by, weights)
        if "multi_head_attention_forward" in op.kinds and (last := self._out_projection(call)):
            self._mark(next(tensors_in(call.result)), last)
            return call.result
        if op.logits:
            for tensor, mark in signals[:1]:
                self.read_outs.read(tensor, mark.names)
        made = self._back(call.result) if op.inverse else call.result
        if op.combines == "contraction" and len(signals) == 2:
            made = self.scores.made(signals[0][1].names, made)
        terms, due = self.products.follow(op, call.args, signals, made)
        learned, names = any(mark.learned for _, mark in signals), carried(op, signals)
        self.marks.set_all(made, names, terms=terms, due=due, learned=learned)
        if op.combines == "contraction":
            self.read_outs.mapped(names, made, op.features)
        return made

    def _from_parameters(self, call: Call, weights: Marked, read: int) -> Any:
        weights = [(tensor, mark) for tensor, mark in weights if tensor.numel()] or weights
        op, name = call.op, weights[0][1].of
        if op.combines == "join" and self.targets.heads.issuperset(names := {mark.of for _, mark in weights}):
            self._beside[name] = frozenset(names - {name})
            self.marks.set_all(call.result, of=name)
            return call.result
        if op.rows and read > len(weights) and name in self.targets.tables:
            return self._applied(call, name, weights[:1])
        if op.combines == "product" and len(weights) == 1:
            return self._scaled(*weights[0], call.result)
        known = name in self.targets.composed or name in self.targets.scales or self.drawn.is_weight(name)
        added = op.combines in ("sum", "join") and known
        if (op.proportional or op.degree == 1 or added) and all(mark.of == name for _, mark in weights):
            self.marks.set_all(call.result, of=name)
        return call.result

    def _scaled(self, weight: torch.Tensor, mark: Mark, result: Any) -> Any:
        """A weight times a mask or a number of its layer's is that weight; times a signal, it is another tensor."""
        for tensor in tensors_in(result) if self.drawn.is_weight(mark.of) else ():
            if tensor.shape == weight.shape:
                self.marks.set(tensor, of=mark.of)
        return result

    def _is_noised(self, weight: tuple[torch.Tensor, Mark], added: Marked, result: Any) -> bool:
        """Whether little is added to a weight, that no weight made: noise, which leaves it the size that it has."""
        entry = self.entries.get(weight[1].of)
        if entry is None or entry.role != "weight" or any(mark.names for _, mark in added):
            return False
        if not isinstance(result, torch.Tensor) or result.shape != weight[0].shape:
            return False
        own, made = second_moment(weight[0]), second_moment(result)
        return own is not None and made is not None and own / 2 < made < 2 * own

    def _composed(self, op: Op, names: set[str]) -> str:
        """The factor by which a product of parameters is sized, if it makes a weight; "" of anything else.

        Products of the other factors alone go by the name of one of them.
        """
        if len(names) < 2 or op.combines not in ("product", "contraction"):
            return ""
        whole = {name: {name, *others} for name, others in self.targets.composed.items()}
        main = next((name for name, every in whole.items() if names <= every), "")
        return main if main in names or not main else min(names)

    def _is_bias(self, name: str) -> bool:
        entry = self.entries.get(name)
        return entry is not None and entry.role == "bias"

    def _out_projection(self, call: Call) -> str:
        """The weight that an attention layer in one call applies last; in-projections of their own are named."""
        weights = [of for tensor in tensors_in(call.args) if self.drawn.is_weight(of := self.marks.get(tensor).of)]
        return weights[-1] if weights else ""

    def _applied(self, call: Call, name: str, weights: Marked) -> Any:
        """What a weight makes, of the size that all its draws make it on average, and corrected at its first use."""
        made = next(tensors_in(call.result), None)
        if made is None or not made.is_floating_point() or made.numel() == 0:
            return call.result
        if name in self.targets.several and any(map(is_identity, tensors_in(call.args[:2]))):
            self.marks.set(made, of=name)  # a layer that is applied to the identity gives its matrix
            return call.result
        shift = shift_of(call, [tensor for tensor, mark in weights if mark.of != name and not all_zero(tensor)])
        if shift is None:
            return call.result
        entry, result = self.entries.get(name), call.result
        if isinstance(shift, torch.Tensor):  # what comes out is in proportion to the weight without its bias
            result = made = made - shift
        fortune = None
        second = call.args[1] if len(call.args) > 1 else None
        alone = name not in self.targets.composed
        if entry is not None and alone and (own := self.drawn.luck.get(name)) and any(w is second for w, _ in weights):
            fortune = luck(call.func, call.args, call.kwargs, entry, made, own)
        if fortune is not None:
            result = made = made * fortune
        head = call.op.combines == "contraction" and name in self.targets.heads
        second = second_moment(made)
        if entry is not None and second is not None:  # zeros, as of a state before its first step, tell nothing
            factor = 1.0
            if (name, head) not in self._met:
                self._met.add((name, head))
                factor = self._at_first(entry, made, second, head, 0 if fortune else units(made, entry))
            if factor != 1.0 and self.drawn.free(name):
                self.drawn.scale({name}, factor, weights)
                result = made = made * factor
                second *= factor * factor
            self.found.uses.setdefault(name, []).append(second)
        if isinstance(shift, torch.Tensor):
            result = made = made + shift
        if entry is None or entry.code != "frozen" or not self._mapped(call, made):
            self._mark(made, name)
        return result

    def _mapped(self, call: Call, made: torch.Tensor) -> bool:
        """Whether what a frozen weight makes is in proportion to weights that are drawn, and so marked."""
        signals = [(tensor, mark) for tensor, mark in self.marks.of(tensors_in(call.args)) if not mark.of]
        names = carried(call.op, signals)
        self.marks.set_all(made, names)
        self.read_outs.mapped(names, made, call.op.features)
        return bool(names)

    def _back(self, made: torch.Tensor) -> torch.Tensor:
        """What an inverse transform makes, brought to unit size by the weights that it reads."""
        names = {name for name, back in self.targets.transformed.items() if back.place == self._inverses}
        self._inverses += 1
        second = second_moment(made)
        if not names or second is None:
            return made
        target = self.targets.back(names)
        self.found.measured |= dict.fromkeys(names, (second, target))
        if not misses(second / target) or not all(map(self.drawn.free, names)):
            return made
        factor = rounded(math.sqrt(target / second))
        self.drawn.scale(names, factor)
        return made * factor

    def _compared(self, args: Any) -> None:
        """A codebook that a signal meets is made as large as what that is in proportion to: it is often doubled there.

        Rows that are looked up are the nearest, and so not of the size of all.
        """
        read, found = self.marks.of(tensors_in(args)), self.found
        signals = [(tensor, mark) for tensor, mark in read if not mark.of and tensor.is_floating_point()]
        for name in {mark.of for _, mark in read if signals} & self.targets.codes - found.measured.keys():
            made = [found.measured[maker][0] * found.factor(maker) ** 2 for maker in signals[0][1].names]
            second, own = max(made, default=second_moment(signals[0][0])), (self.entries[name].std or 1.0) ** 2
            if second is None or not self.drawn.free(name):
                continue
            found.measured[name] = (own, second)
            if misses(second / own):
                self.drawn.scale({name}, rounded(math.sqrt(second / own)), read)

    def _mark(self, made: torch.Tensor, name: str) -> None:
        """What a weight made, or the rows of a table: a table of one column holds scores."""
        column = name in self.targets.tables and made.shape[-1:] == (1,)
        term = Term.of(frozenset({name}), sampled_second(made) if column else None)
        self.marks.set(made, frozenset({name}), terms=(term,))

    def _at_first(self, entry: PlanEntry, made: torch.Tensor, second: float, head: bool, drawn: int) -> float:
        """What a std is to be multiplied by at a weight's first use, for what all of them make; read-outs wait."""
        growth = self.targets.growth.get(entry.name, 1.0)
        if head:
            self.read_outs.meet(entry, made if growth == 1.0 else made * math.sqrt(growth), second * growth)
            return 1.0
        return self._factor(entry, made, second * growth, drawn)

    def _factor(self, entry: PlanEntry, made: torch.Tensor, second: float, drawn: int) -> float:
        """What a std is to be multiplied by; `drawn` as for `misses`."""
        sized = self.targets.sized(entry.name)
        target = self.targets.of(entry.name, spread(made, entry) if sized or entry.name in self.targets.plain else 0.0)
        if target is None:
            return 1.0
        self.found.measured[entry.name] = (second, target)
        if second < target and entry.name in self.targets.bounded:
            return 1.0
        if second < NOTHING * target and entry.name in self.targets.behind:
            return 1.0
        if misses(second if sized else second / target, drawn):
            return rounded(math.sqrt(target / second))
        return rounded(math.sqrt(target / (1.0 if drawn else second))) if sized else 1.0
