"""One spelling for each operation: `+`, `add_`, `__radd__` and `torch.add` are all "add"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# What gives the same numbers in the same order: in another dtype, or merely elsewhere. One list, for every question.
CASTS = frozenset({"to", "float", "half", "bfloat16", "double", "type_as", "type"})
UNCHANGED = CASTS | {"contiguous", "clone", "detach", "data"}

_SAME: dict[str, str] = {
    "rsub": "rsub",
    "truediv": "div",
    "true_divide": "div",
    "divide": "div",
    "multiply": "mul",
    "subtract": "sub",
    "rtruediv": "rdiv",
    "radd": "add",
    "rmul": "mul",
    "rmatmul": "rmatmul",
    "negative": "neg",
    "absolute": "abs",
    "threshold": "threshold",
    "log_sigmoid": "logsigmoid",
    "clip": "clamp",
    "special_expit": "sigmoid",
    "expit": "sigmoid",
    "special_erf": "erf",
    "softmax": "softmax",
    "special_softmax": "softmax",
    "safe_softmax": "softmax",
    "concat": "cat",
    "concatenate": "cat",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "rnn_tanh_cell": "rnn_cell",
    "rnn_relu_cell": "rnn_cell",
    "square": "square",
    "arctan": "atan",
    "fix": "trunc",
    "alpha_dropout": "dropout",
    "feature_dropout": "dropout",
    "dropout1d": "dropout",
    "dropout2d": "dropout",
    "dropout3d": "dropout",
    "feature_alpha_dropout": "dropout",
    "upsample": "interpolate",
    "silu": "silu",
    "_weight_norm": "weight_norm",
    "convolution": "conv",
    "conv1d": "conv",
    "conv2d": "conv",
    "conv3d": "conv",
    "conv_transpose1d": "conv_transpose",
    "conv_transpose2d": "conv_transpose",
    "conv_transpose3d": "conv_transpose",
    "chain_matmul": "multi_dot",
}
_PROPERTIES = frozenset({"T", "mT", "H", "mH", "data", "real", "imag"})
_known: dict[Any, str] = {}


def kind_of(function: Callable[..., Any]) -> str:
    """The operation's one name; "" for what only reads a property such as `.shape`."""
    try:
        kind = _known.get(function)
    except TypeError:
        return _spell(function)
    if kind is None:
        kind = _known[function] = _spell(function)
    return kind


def in_place(function: Callable[..., Any]) -> bool:
    """Whether the call changes its first argument."""
    name = str(getattr(function, "__name__", ""))
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in ("__invert__", "__index__", "__int__"))
    return name.endswith("_")


def _spell(function: Callable[..., Any]) -> str:
    name = str(getattr(function, "__name__", type(function).__name__))
    if name in ("__get__", "__set__"):
        name = str(getattr(getattr(function, "__self__", None), "__name__", ""))
        return name if name in _PROPERTIES else ""
    if name.startswith("__") and name.endswith("__"):
        inner = name[2:-2]
        if inner.startswith("i") and inner[1:] in _IN_PLACE_OPERATORS:
            inner = inner[1:]
        return _SAME.get(inner, inner)
    plain = name.strip("_")
    return _SAME.get(plain, plain)


_IN_PLACE_OPERATORS = frozenset(
    {"add", "sub", "mul", "truediv", "div", "pow", "matmul", "and", "or", "xor", "floordiv", "mod"}
)
