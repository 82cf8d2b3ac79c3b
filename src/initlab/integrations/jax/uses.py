"""What each array is by its use in a program: the axes a product sums over, a convolution's kernel, a table of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from initlab.graph.layers import Shape, conv_geometry, conv_transpose_geometry, embedding_geometry
from initlab.graph.views import regrouped
from initlab.integrations.jax.products import looks_up_rows
from initlab.integrations.jax.program import Program, Step
from initlab.integrations.layout import Layout
from initlab.integrations.weights import LEAVES, Weight, matrix, product_weight

Axes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class View:
    """A value that holds an array's numbers: for each of its axes, the array's axes that it runs over.

    Args:
        array: the array's place among the program's inputs.
        axes: for each axis of the value.
        apart: the array's axes along which independent weights lie.
        turned: whether it has been reversed.
    """

    array: int
    axes: Axes
    apart: tuple[int, ...] = ()
    turned: bool = False


def weights_by_use(program: Program, shapes: Sequence[Shape], words: Sequence[str]) -> dict[int, Weight]:
    """By place, what the first inputs of a program are, where its steps say so.

    Args:
        program: the forward pass.
        shapes: of the arrays that come first among its inputs.
        words: their names in the framework.
    """
    views = {
        value: View(place, tuple((axis,) for axis in range(len(shapes[place]))))
        for place, value in enumerate(program.inputs[: len(shapes)])
    }
    found: dict[int, Weight] = {}
    for step in program.steps:
        used = _applied(step, views, shapes)
        if used is not None:
            place, weight = used
            found.setdefault(place, replace(weight, leaf=LEAVES.get(words[place], words[place])))
            continue
        first = next(iter(step.values()), None)
        view = views.get(first) if first is not None else None
        made = None if view is None else _moved(step, view, program)
        if made is not None:
            views[step.outputs[0]] = made
    return found


_ALIKE = frozenset({"convert_element_type", "copy", "stop_gradient", "reduce_precision", "neg", "sharding_constraint"})


def _moved(step: Step, view: View, program: Program) -> View | None:
    """The view that a step on one value makes; None where it is no view."""
    if len(list(step.values())) != 1:
        return None
    if step.kind in _ALIKE or (step.kind in ("mul", "div") and len(step.shapes[0]) == len(view.axes)):
        return view
    if step.kind == "transpose":
        return replace(view, axes=tuple(view.axes[axis] for axis in step.params["permutation"]))
    if step.kind in ("reshape", "squeeze", "expand_dims"):
        groups = regrouped(program.shapes[next(step.values())], step.shapes[0])
        if groups is None:
            return None
        return replace(view, axes=tuple(tuple(a for old in group for a in view.axes[old]) for group in groups))
    if step.kind == "broadcast_in_dim":
        axes: list[tuple[int, ...]] = [()] * len(step.shapes[0])
        for old, new in enumerate(step.params["broadcast_dimensions"]):
            axes[int(new)] = view.axes[old]
        return replace(view, axes=tuple(axes))
    if step.kind == "row":
        return replace(view, axes=view.axes[1:], apart=(*view.apart, *view.axes[0]))
    return replace(view, turned=not view.turned) if step.kind == "rev" else None


def _applied(step: Step, views: dict[int, View], shapes: Sequence[Shape]) -> tuple[int, Weight] | None:
    """The array that a step applies to a signal, and what it is."""
    seen = [views.get(atom) if isinstance(atom, int) else None for atom in step.inputs]
    if step.kind == "dot_general":
        sums, batches = step.params["dimension_numbers"]
        for view, other, summed, batch in zip(seen, seen[::-1], sums, batches, strict=True):
            if view is not None and other is None:
                weight = _product(view, shapes[view.array], summed, batch)
                return None if weight is None else (view.array, weight)
    if step.kind == "conv_general_dilated" and seen[1] is not None and seen[0] is None:
        weight = _kernel(step, seen[1], shapes[seen[1].array])
        return None if weight is None else (seen[1].array, weight)
    if step.kind == "gather" and seen[0] is not None and seen[0].axes == ((0,), (1,)):
        shape = shapes[seen[0].array]
        if 0 not in shape and looks_up_rows(step, shape):
            return seen[0].array, matrix(embedding_geometry(shape), Layout.same(shape), role="embedding")
    return None


def _product(view: View, shape: Shape, summed: Sequence[int], batch: Sequence[int]) -> Weight | None:
    if len(shape) < 2:
        return None
    ins = [axis for place in summed for axis in view.axes[place]]
    apart = [*view.apart, *(axis for place in batch for axis in view.axes[place])]
    outs = [axis for axis in range(len(shape)) if axis not in ins and axis not in apart]
    return product_weight(shape, ins, outs, apart) if ins and len(set(ins)) == len(ins) else None


def _kernel(step: Step, view: View, shape: Shape) -> Weight | None:
    """A kernel in torch's order; that of a dilated input's convolution is a transposed one's, run backwards."""
    axes = [view.axes[axis] for axis in step.params["dimension_numbers"].rhs_spec]
    if view.apart or any(len(group) != 1 for group in axes) or len(axes) != len(shape):
        return None
    out, into, *window = (group[0] for group in axes)
    spread = tuple(step.params["lhs_dilation"])
    groups = int(step.params["feature_group_count"])
    if max(spread) > 1 and groups == 1:
        order = (into, out, *window)
        backwards = () if view.turned else tuple(range(2, len(shape)))
        layout = Layout(shape, order, tuple(shape[axis] for axis in order), backwards)
        return matrix(conv_transpose_geometry(layout.shape, spread, 1), layout)
    order = (out, into, *window)
    layout = Layout(shape, order, tuple(shape[axis] for axis in order))
    return matrix(conv_geometry(layout.shape, tuple(step.params["window_strides"]), groups), layout)
