"""`geometry_of`: what each parameter of a model is, and its true fans: by use, then by layer type, then by shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn

from initlab.graph.layers import Part, Shape, by_layer_type, vector
from initlab.graph.signal_graph import SignalGraph
from initlab.guest.check import check_module, check_shaped
from initlab.guest.modules import WEIGHT_NORM, dotted, made_of, modules_of
from initlab.schemes.geometry import Geometry


@dataclass(frozen=True)
class ParameterInfo:
    """What one parameter is.

    Args:
        name: its first name in the model.
        role: "weight", "bias", "norm_weight", "norm_bias", "embedding", "recurrent_bias" or "other".
        geometry: its fans and axes; None where it has none.
        module_type: class name of the module that holds it.
        module_name: path of that module.
        tied_to: its other names.
        source: what said so: "use" (the recording), "layer type" or "shape".
    """

    name: str
    role: str
    geometry: Geometry | None
    module_type: str
    module_name: str
    tied_to: tuple[str, ...] = ()
    source: str = "shape"


@dataclass
class _Place:
    path: str
    leaf: str
    module: nn.Module
    shape: Shape
    names: list[str]


def geometry_of(model: nn.Module, graph: SignalGraph | None = None) -> dict[str, ParameterInfo]:
    """The role and the geometry of every parameter, in the order of the model's modules.

    Fans are counted on the layer's linear map: fan_in is the number of inputs that one output unit sums over, fan_out
    the number of outputs that one input unit reaches, both averages where a stride makes them vary, both per block of a
    packed tensor. Tied parameters come once, under their first name.

    Args:
        model: any module.
        graph: a recording of its forward pass; with it, parameters are read by their use, so that raw parameters in
            functional code get their fans too.

    Raises:
        InputError: no module, or lazy parameters.

    >>> info = geometry_of(nn.Sequential(nn.ConvTranspose2d(8, 4, 2, stride=2)))["0.weight"]
    >>> info.geometry.fan_in, info.geometry.fan_out, info.source
    (8.0, 16.0, 'layer type')
    """
    return {place.names[0]: _info(place, typed, graph) for place, typed in _typed(check_module(model), graph)}


def _typed(model: nn.Module, graph: SignalGraph | None) -> list[tuple[_Place, Part | None]]:
    """Every parameter with what its layer's type says of it: a recording holds that of the model it was asked for."""
    computed = {} if graph is None else graph.computed
    held = cast("tuple[nn.Module, list[tuple[_Place, Part | None]]] | None", computed.get("places"))
    if held is None or held[0] is not model:
        held = model, [(place, _by_type(place)) for place in _places(model)]
        computed["places"] = held
    return held[1]


def _places(model: nn.Module) -> Iterator[_Place]:
    found: dict[int, _Place] = {}
    for path, module in modules_of(model).values():
        for leaf, parameter in module._parameters.items():
            if parameter is None:
                continue
            name = dotted(path, leaf)
            check_shaped(name, parameter)
            if id(parameter) in found:
                found[id(parameter)].names.append(name)
                continue
            owner_path, owner, owner_leaf = _owner(model, path, module, leaf)
            shape = tuple(int(size) for size in parameter.shape)
            found[id(parameter)] = _Place(owner_path, owner_leaf, owner, shape, [name])
    return iter(found.values())


def _owner(model: nn.Module, path: str, module: nn.Module, leaf: str) -> tuple[str, nn.Module, str]:
    """The layer that a parametrization belongs to: `fc.parametrizations.weight.original1` and `fc.weight_v` are `fc`'s
    weight."""
    head, found, tail = path.rpartition("parametrizations.")
    if not found:
        made = made_of(module, leaf)
        return path, module, f"{made}:{leaf}" if made else leaf
    owner = head.rstrip(".")
    try:
        return owner, model.get_submodule(owner), f"{tail}:{leaf}"
    except AttributeError:
        return path, module, leaf


def _info(place: _Place, typed: Part | None, graph: SignalGraph | None) -> ParameterInfo:
    part, source = _part(place, typed, graph)
    return ParameterInfo(
        place.names[0],
        part.role,
        part.geometry,
        type(place.module).__name__,
        place.path,
        tuple(place.names[1:]),
        source,
    )


def _part(place: _Place, typed: Part | None, graph: SignalGraph | None) -> tuple[Part, str]:
    used = None if graph is None else _by_use(place, graph, typed)
    if used is not None:
        return used, "use"
    if typed is not None:
        return typed, "layer type"
    return _by_shape(place), "shape"


def _by_type(place: _Place) -> Part | None:
    leaf, _, original = place.leaf.partition(":")
    if not original:
        return by_layer_type(place.module, leaf, place.shape)
    part = _plain_part(place, leaf)
    if part is None or part.geometry is None or part.geometry.shape == place.shape:
        return part
    return Part("other", vector(place.shape, "other"))


def _plain_part(place: _Place, leaf: str) -> Part | None:
    """What the layer says of the tensor that its parametrization makes."""
    length = f".{place.leaf.partition(':')[2]}".endswith(tuple(length for length, _ in WEIGHT_NORM))
    if length and len(place.shape) and place.shape != _shape_of(place.module, leaf):
        return Part("other", vector(place.shape, "other"))
    return by_layer_type(place.module, leaf, place.shape)


def _shape_of(module: nn.Module, leaf: str) -> Shape | None:
    parametrization = getattr(module, "parametrizations", {})
    if leaf not in parametrization:
        made = getattr(module, leaf, None)
        return tuple(made.shape) if isinstance(made, torch.Tensor) else None
    originals = [tensor for _, tensor in parametrization[leaf].named_parameters(recurse=False)]
    return max((tuple(tensor.shape) for tensor in originals), key=lambda shape: (len(shape), shape), default=None)


def _by_use(place: _Place, graph: SignalGraph, typed: Part | None) -> Part | None:
    uses = [use for name in place.names for use in graph.uses(name)]
    if not uses or (typed is not None and all(use.role == "other" for use in uses)):
        return None
    agrees = typed is not None and any(use.role == typed.role.removeprefix("recurrent_") for use in uses)
    if any(use.role == "other" and use.operation.traits.combines == "product" for use in uses):
        uses = [use for use in uses if use.role not in ("bias", "norm_bias")]  # a factor elsewhere is no mere shift
    role = (
        typed.role if typed is not None and agrees else next((use.role for use in uses if use.role != "other"), "other")
    )
    geometry = next((use.geometry for use in uses if use.role == role and use.geometry is not None), None)
    return _merged(role, geometry, typed, place.shape)


def _merged(role: str, geometry: Geometry | None, typed: Part | None, shape: Shape) -> Part:
    """The use decides; where the layer type tells of the same map, its finer words (gates, kinds) stand."""
    if typed is not None and typed.role == role and typed.geometry is not None:
        other = typed.geometry
        same = geometry is None or (geometry.fan_in, geometry.fan_out) == (other.fan_in, other.fan_out)
        if other.packing is not None or (same and (geometry is None or geometry.packing is None)):
            return typed
        assert geometry is not None
        return Part(role, replace(geometry, kind=other.kind, native_fan_in=other.native_fan_in))
    if geometry is None and len(shape) < 2:
        return Part(role, vector(shape, role if role in ("bias", "norm_weight", "norm_bias") else "other"))
    return Part(role, geometry)


_BIASES = ("bias", "beta", "shift")
_SCALES = ("weight", "gamma", "scale", "g")


def _by_shape(place: _Place) -> Part:
    """The last resort: two axes and called a weight is a weight; one axis in something called a norm is its scale."""
    leaf = place.leaf.partition(":")[0].lower()
    shape, kind = place.shape, type(place.module).__name__.lower()
    if leaf.endswith(_BIASES) and len(shape) <= 1:
        role = "norm_bias" if "norm" in kind else "bias"
        return Part(role, vector(shape, role))
    if len(shape) == 1 and "norm" in kind and leaf.endswith(_SCALES):
        return Part("norm_weight", vector(shape, "norm_weight"))
    if len(shape) >= 2 and 0 not in shape and ("weight" in leaf or leaf in ("w", "kernel")):
        return Part("weight", Geometry.from_shape(shape))
    return Part("other", vector(shape, "other") if len(shape) < 2 else None)
