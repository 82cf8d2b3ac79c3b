"""A scheme: a named rule that turns a weight's geometry into the law its values are drawn from."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from initlab.errors import InputError, finite_number, shown
from initlab.sampling import laws, sample
from initlab.sampling.request import check_shape
from initlab.schemes.geometry import Fans, Geometry, as_fans, as_geometry

Rule = Callable[[Geometry, Mapping[str, Any], float | None], "laws.Law"]
Check = Callable[[str, Any], Any]

_NO_FANS = frozenset({"bias", "recurrent_bias", "attention_bias", "norm_weight", "norm_bias", "prelu", "other"})
_NOWHERE = Geometry((1,), 1.0, 1.0, kind="other")


@dataclass(frozen=True, eq=False, repr=False)
class Scheme:
    """A named initialization method with its arguments set.

    Args:
        name: the name in the catalogue.
        formula: the law in plain text.
        latex: the law in LaTeX.
        keeps: what it keeps constant from layer to layer.
        why: the derivation in a few lines.
        source: the paper or code that it comes from.
        year: the source's year.
        suits: the activations (on the layer's input) it is right for.
        misuse: what happens outside them.
        arguments: the arguments it takes and the values they have here.
        rule: (geometry, arguments, gain) -> law.
        checks: for an argument, the function that checks a value or refuses it.
        uses: "values" (needs no fans), "fans" (needs fans), "matrix" (needs an output and an input axis; every packed
            block and group is drawn on its own), "kind" (needs the kind of layer; a packed tensor is one).
        aliases: the other names it is known by.
        defaults: the arguments' values in the catalogue; none for a scheme outside it.

    >>> from initlab.schemes import get_scheme
    >>> get_scheme("he_normal").std((100, 50)) ** 2
    0.02
    """

    name: str
    formula: str
    latex: str
    keeps: str
    why: str
    source: str
    year: int
    suits: tuple[str, ...]
    misuse: str
    arguments: Mapping[str, Any]
    rule: Rule = field(repr=False)
    checks: Mapping[str, Check] = field(default_factory=dict, repr=False)
    uses: str = "fans"
    aliases: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", MappingProxyType(dict(self.arguments)))
        object.__setattr__(self, "defaults", MappingProxyType(dict(self.defaults)))

    def with_(self, **arguments: Any) -> Scheme:
        """The same scheme with some arguments changed.

        Raises:
            InputError: an argument it does not take (the message names those it takes), or a value that is not allowed.

        >>> from initlab.schemes import get_scheme
        >>> get_scheme("he_normal").with_(mode="fan_out").label
        "he_normal(mode='fan_out')"
        """
        if not arguments:
            return self
        changed = replace(self, arguments={**self.arguments, **self._checked(arguments)})
        if changed.uses == "values":
            changed.rule(_NOWHERE, changed.arguments, None)  # bounds that contradict one another are refused here
        return changed

    def law(self, geometry: Geometry, gain: float | None = None) -> laws.Law:
        """The law for a weight of this geometry.

        Var(W) = gain² / fan for the schemes that use fans; a `gain` given here replaces the scheme's own, so that a
        plan can hand in the gain of the function that feeds the layer. Laws of fixed numbers take no notice of it.

        Args:
            geometry: the weight as a linear map.
            gain: a number at least 0, or None for the scheme's own gain.

        Returns:
            One law, or `Stacked` laws where packed blocks or groups each need their own.

        Raises:
            InputError: a tensor that the scheme has no law for, or a bad gain.

        >>> from initlab.schemes import Geometry, get_scheme
        >>> get_scheme("lecun_normal").law(Geometry.from_shape((10, 4))).std
        0.5
        """
        number = None if gain is None else finite_number("gain", gain, low=0)
        self._check_geometry(geometry)
        try:
            law = self._law(geometry, number)
        except OverflowError:
            raise InputError(f"{self!r} is beyond the range of numbers; give smaller arguments") from None
        if not isinstance(law, laws.Law):
            raise InputError(f"the rule of scheme {self.name!r} must return a law of sampling.laws; got {shown(law)}")
        law.check(geometry.shape)
        return law

    def std(self, fans: Fans | Geometry | Sequence[float]) -> float:
        """The standard deviation of a weight's elements, over all blocks when packed.

        Args:
            fans: `Fans`, a `Geometry`, or (fan_in, fan_out), which is read as a dense layer's.

        Raises:
            InputError: fans that are not positive finite numbers.

        >>> from initlab.schemes import Fans, get_scheme
        >>> get_scheme("xavier_normal").std(Fans(150, 50))
        0.1
        """
        geometry = as_geometry(fans)
        return self.law(geometry).std_of(geometry.shape)

    def sample(
        self,
        shape: Sequence[int],
        *,
        seed: int = 0,
        name: str = "weight",
        fans: Fans | Geometry | Sequence[float] | None = None,
        dtype: str = "float32",
    ) -> Any:
        """Values drawn from the scheme's law, as `init_` would write them into a parameter called `name`.

        Args:
            shape: the array's shape; torch's layout (out, in, *kernel) unless `fans` is a `Geometry`.
            seed: an integer in [0, 2^64).
            name: the parameter name whose stream is drawn.
            fans: the fans, where the shape alone does not tell them.
            dtype: "float32", "float64", "float16" or "bfloat16".

        Returns:
            A numpy array (for "bfloat16": the bits as uint16).

        Raises:
            InputError: a shape without fans, a bad seed, a dtype that does not exist.

        >>> from initlab.schemes import get_scheme
        >>> get_scheme("he_normal").sample((3, 2)).shape
        (3, 2)
        """
        dims = check_shape(shape)
        return sample(self.law(self._geometry(dims, fans)), dims, seed=seed, name=name, dtype=dtype)

    @property
    def label(self) -> str:
        """The name with the arguments that differ from the catalogue's, for tables."""
        plain = self.defaults
        changed = {k: v for k, v in self.arguments.items() if k not in plain or plain[k] != v}
        return f"{self.name}({_call(changed)})" if changed else self.name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scheme):
            return NotImplemented
        return self.name == other.name and self.rule == other.rule and dict(self.arguments) == dict(other.arguments)

    def __hash__(self) -> int:
        return hash((self.name, tuple(sorted((k, repr(v)) for k, v in self.arguments.items()))))

    def __repr__(self) -> str:
        return f"Scheme {self.name}({_call(self.arguments)}): {self.formula}"

    def _repr_html_(self) -> str:
        return (
            f"<code>{html.escape(self.name)}({html.escape(_call(self.arguments))})</code>: {html.escape(self.formula)}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {k: getattr(self, k) for k in self.__dataclass_fields__}
        plain = {"arguments": dict(self.arguments), "defaults": dict(self.defaults)}
        return _rebuild, ({**fields, **plain},)

    def _checked(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        checked = {}
        for key, value in arguments.items():
            if key not in self.checks and key not in self.arguments:
                accepted = ", ".join(self.arguments) or "no arguments"
                raise InputError(f"{self.name} has no argument {key!r}; it accepts {accepted}")
            checked[key] = self.checks[key](key, value) if key in self.checks else value
        return checked

    def _check_geometry(self, geometry: Geometry) -> None:
        shape = geometry.shape
        if self.uses in ("fans", "matrix") and 0 in shape:
            raise InputError(
                f"{self.name} needs every axis to be at least 1; a tensor of shape {shape} has no elements"
            )
        if self.uses == "matrix" and not geometry.matrix_like:
            raise InputError(f"{self.name} needs a tensor of at least 2 axes (out, in); got shape {shape}")
        if self.uses == "fans" and not geometry.matrix_like and geometry.kind in _NO_FANS:
            raise InputError(
                f"{self.name} needs fans, and a tensor of shape {shape} has none; "
                "use zeros, ones, constant, uniform or normal for it"
            )

    def _law(self, geometry: Geometry, gain: float | None) -> laws.Law:
        packing = geometry.packing
        if packing is not None and self._splits(geometry):
            fans = packing.fans or (geometry.fans,) * len(packing.sizes)
            blocks = [
                replace(geometry.block(size, packing.axis, own), groups=geometry.groups)
                for size, own in zip(packing.sizes, fans, strict=True)
            ]
            return laws.Stacked(packing.axis, packing.sizes, tuple(self._law(b, gain) for b in blocks), packing.labels)
        if geometry.groups > 1 and self.uses == "matrix":
            size = geometry.shape[geometry.group_axis] // geometry.groups
            block = geometry.block(size, geometry.group_axis, geometry.fans)
            count = geometry.groups
            return laws.Stacked(geometry.group_axis, (size,) * count, (self.rule(block, self.arguments, gain),) * count)
        return self.rule(geometry, self.arguments, gain)

    def _splits(self, geometry: Geometry) -> bool:
        if self.uses == "matrix":
            return True
        return self.uses == "fans" and geometry.packing is not None and len(set(geometry.packing.fans)) > 1

    def _geometry(self, shape: tuple[int, ...], fans: Fans | Geometry | Sequence[float] | None) -> Geometry:
        if isinstance(fans, Geometry):
            if fans.shape != shape:
                raise InputError(f"fans must be a Geometry of shape {shape}; got one of shape {fans.shape}")
            return fans
        if fans is not None:
            return Geometry.from_fans(as_fans(fans), shape)
        if self.uses == "values" or (self.uses == "kind" and len(shape) < 2):
            return Geometry(shape, 1.0, 1.0, kind="linear" if len(shape) > 1 else "other")
        return Geometry.from_shape(shape)


def _call(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in arguments.items())


def _rebuild(fields: dict[str, Any]) -> Scheme:
    return Scheme(**fields)
