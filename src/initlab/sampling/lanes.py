"""Numbers side by side: an expression over `Lanes` becomes vector instructions, one operation for each operator.

A compiler that finds vectors in loops by itself makes one vector at a time of a long transform, whose operations wait
for each other. Lanes wider than a register are split into several, which do not.
"""

# mypy: disable-error-code="no-untyped-call, no-any-unimported"
# (llvmlite's types are not known to mypy.)

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

_INTEGERS = {32: ir.IntType(32), 64: ir.IntType(64)}
_FLOATS = {32: ir.FloatType(), 64: ir.DoubleType()}


class Lanes:
    """A vector of integers or floats in a function that is being compiled.

    Operators take lanes of the same type, or a Python number for all lanes. Arithmetic is IEEE with each operation
    rounded on its own; integers wrap.
    """

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def count(self) -> int:
        return int(self.value.type.count)

    @property
    def is_float(self) -> bool:
        return isinstance(self.value.type.element, ir.FloatType | ir.DoubleType)

    @property
    def width(self) -> int:
        """Bits of one lane."""
        element = self.value.type.element
        return int(element.width) if not self.is_float else 32 if isinstance(element, ir.FloatType) else 64

    def _with(self, value: Any) -> Lanes:
        return Lanes(self.builder, value)

    def _other(self, number: Any) -> Any:
        """Lanes as they are; a number in every lane (a float32's own decimals, so that no lane rounds it)."""
        if isinstance(number, Lanes):
            return number.value
        exact = float(np.float32(number) if self.width == 32 else number) if self.is_float else int(number)
        return ir.Constant(self.value.type, [exact] * self.count)

    def __add__(self, other: Any) -> Lanes:
        add = self.builder.fadd if self.is_float else self.builder.add
        return self._with(add(self.value, self._other(other)))

    def __sub__(self, other: Any) -> Lanes:
        subtract = self.builder.fsub if self.is_float else self.builder.sub
        return self._with(subtract(self.value, self._other(other)))

    def __mul__(self, other: Any) -> Lanes:
        multiply = self.builder.fmul if self.is_float else self.builder.mul
        return self._with(multiply(self.value, self._other(other)))

    def __truediv__(self, other: Any) -> Lanes:
        return self._with(self.builder.fdiv(self.value, self._other(other)))

    def __and__(self, other: Any) -> Lanes:
        return self._with(self.builder.and_(self.value, self._other(other)))

    def __or__(self, other: Any) -> Lanes:
        return self._with(self.builder.or_(self.value, self._other(other)))

    def __xor__(self, other: Any) -> Lanes:
        return self._with(self.builder.xor(self.value, self._other(other)))

    def __lshift__(self, bits: int) -> Lanes:
        return self._with(self.builder.shl(self.value, self._other(bits)))

    def __rshift__(self, bits: int) -> Lanes:
        """With zeros from above."""
        return self._with(self.builder.lshr(self.value, self._other(bits)))

    def shift_signed(self, bits: int) -> Lanes:
        """To the right, with the sign from above."""
        return self._with(self.builder.ashr(self.value, self._other(bits)))

    def equals(self, other: Any) -> Lanes:
        return self._with(self.builder.icmp_signed("==", self.value, self._other(other)))

    def less(self, other: Any) -> Lanes:
        """Of floats, or of integers without sign."""
        compare = self.builder.fcmp_ordered if self.is_float else self.builder.icmp_unsigned
        return self._with(compare("<", self.value, self._other(other)))

    def more(self, other: Any) -> Lanes:
        compare = self.builder.fcmp_ordered if self.is_float else self.builder.icmp_unsigned
        return self._with(compare(">", self.value, self._other(other)))

    def at_least(self, other: Any) -> Lanes:
        """Of floats."""
        return self._with(self.builder.fcmp_ordered(">=", self.value, self._other(other)))

    def choose(self, one: Lanes, other: Any) -> Lanes:
        """`one` in the lanes where this comparison holds, else `other`."""
        return self._with(self.builder.select(self.value, one.value, one._other(other)))

    def rarely(self, fixed: Callable[[], Lanes], usual: Lanes) -> Lanes:
        """`choose` where few lanes need the first, which is computed only if one does."""
        some = self.builder.bitcast(self.value, ir.IntType(self.count))
        before = self.builder.block
        with self.builder.if_then(self.builder.icmp_unsigned("!=", some, ir.Constant(some.type, 0)), likely=False):
            chosen, after = self.choose(fixed(), usual), self.builder.block
        merged = self.builder.phi(usual.value.type)
        merged.add_incoming(usual.value, before)
        merged.add_incoming(chosen.value, after)
        return self._with(merged)

    def beside(self, other: Lanes) -> Lanes:
        """These lanes, then the other's."""
        return self._with(self.builder.shuffle_vector(self.value, other.value, _places(0, 2 * self.count)))

    def halves(self) -> tuple[Lanes, Lanes]:
        """The first half of the lanes, and the second."""
        cuts = _places(0, self.count // 2), _places(self.count // 2, self.count)
        first, second = (self.builder.shuffle_vector(self.value, self.value, cut) for cut in cuts)
        return self._with(first), self._with(second)

    def to_float(self) -> Lanes:
        """Signed integers as the nearest floats of the same width."""
        kind = ir.VectorType(_FLOATS[self.width], self.count)
        return self._with(self.builder.sitofp(self.value, kind))

    def bits(self) -> Lanes:
        """A float's bits as an integer."""
        return self._with(self.builder.bitcast(self.value, ir.VectorType(_INTEGERS[self.width], self.count)))

    def from_bits(self) -> Lanes:
        """The float with these bits."""
        return self._with(self.builder.bitcast(self.value, ir.VectorType(_FLOATS[self.width], self.count)))

    def narrow(self, width: int) -> Lanes:
        """The lowest bits of integers."""
        return self._with(self.builder.trunc(self.value, ir.VectorType(ir.IntType(width), self.count)))

    def widen(self, width: int) -> Lanes:
        """Integers with zeros above."""
        return self._with(self.builder.zext(self.value, ir.VectorType(ir.IntType(width), self.count)))

    def negative(self) -> Lanes:
        return self._with(self.builder.fneg(self.value))

    def sqrt(self) -> Lanes:
        name = f"llvm.sqrt.v{self.count}f{self.width}"
        module, kind = self.builder.module, self.value.type
        function = module.globals.get(name) or ir.Function(module, ir.FunctionType(kind, [kind]), name)
        return self._with(self.builder.call(function, [self.value]))


def _places(start: int, stop: int) -> Any:
    return ir.Constant(ir.VectorType(_INTEGERS[32], stop - start), list(range(start, stop)))


def polynomial(x: Lanes, table: Sequence[Any]) -> Lanes:
    """table[0] + x · (table[1] + x · (…)), each multiply and add rounded."""
    total: Lanes = x * table[-1] + table[-2]
    for entry in table[-3::-1]:
        total = total * x + entry
    return total


def splat(builder: Any, number: Any, count: int) -> Lanes:
    """One number in every lane."""
    kind = ir.VectorType(number.type, count)
    blank = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(blank, number, ir.Constant(_INTEGERS[32], 0))
    places = ir.Constant(ir.VectorType(_INTEGERS[32], count), [0] * count)
    return Lanes(builder, builder.shuffle_vector(first, blank, places))


def counting(builder: Any, count: int) -> Lanes:
    """0, 1, 2, … as 64-bit integers."""
    return Lanes(builder, ir.Constant(ir.VectorType(_INTEGERS[64], count), list(range(count))))


def store(lanes: Lanes, pointer: Any) -> None:
    """To memory of any alignment."""
    stored = lanes.builder.store(lanes.value, _as_vector(lanes.builder, pointer, lanes.count))
    stored.align = _bytes(pointer)


def _as_vector(builder: Any, pointer: Any, count: int) -> Any:
    return builder.bitcast(pointer, ir.PointerType(ir.VectorType(pointer.type.pointee, count)))


def _bytes(pointer: Any) -> int:
    kind = pointer.type.pointee
    return 4 if isinstance(kind, ir.FloatType) else 8 if isinstance(kind, ir.DoubleType) else int(kind.width) // 8
