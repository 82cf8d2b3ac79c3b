"""The second moment of a recurrent layer's state once it has settled, with unit signals at its gates."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from initlab.theory import moments


@functools.cache
def settled_state(kind: str) -> float | None:
    """E[h²] of an LSTM, GRU, tanh or relu RNN after many steps of unit inputs, with the LSTM's forget bias
    at its usual 1 and other biases zero; None when it grows for ever.

    Inputs and state reach each gate through weights that keep their size, so a gate's pre-activation has second moment
    1 + E[h²]. LSTM: c' = σ(f) c + σ(i) tanh(g), h = σ(o) tanh(c); GRU: h' = (1 − z) n + z h; RNN: h' = φ(a). Gates and
    state are taken as independent and Gaussian.

    >>> round(settled_state("rnn_tanh"), 3)
    0.464
    """
    step = _STEPS[kind]
    state = 0.0
    for _ in range(200):
        after = step(state)
        if abs(after - state) < 1e-9:
            return after
        if after > 1e3:
            return None
        state = after
    return state


def _open_gate(x: Any) -> Any:
    return 1 / (1 + np.exp(-1 - x))


def _lstm(h: float) -> float:
    gate, cell = moments("sigmoid", 1 + h).second, moments("tanh", 1 + h).second
    forget = moments(_open_gate, 1 + h).second
    kept = gate * cell / (1 - forget)
    return gate * moments("tanh", kept).second


def _gru(h: float) -> float:
    gate, new = moments("sigmoid", 1 + h).second, moments("tanh", 1 + h).second
    return gate * new / (1 - gate)


def _tanh(h: float) -> float:
    return moments("tanh", 1 + h).second


def _relu(h: float) -> float:
    return (1 + h) / 2


_STEPS = {"lstm": _lstm, "gru": _gru, "rnn_tanh": _tanh, "rnn_relu": _relu}
