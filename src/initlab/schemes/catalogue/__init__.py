"""The catalogue: one file for each scheme, holding its rule, formula, source, defaults and aliases, as `SCHEME`."""

from __future__ import annotations

import importlib
from dataclasses import replace

from initlab.schemes.scheme import Scheme

# The files, in the order in which the catalogue is listed.
NAMES: tuple[str, ...] = (
    "zeros",
    "ones",
    "constant",
    "uniform",
    "normal",
    "truncated_normal",
    "gan_normal",
    "lecun_uniform",
    "lecun_normal",
    "xavier_uniform",
    "xavier_normal",
    "he_uniform",
    "he_normal",
    "variance_scaling",
    "small_init",
    "siren",
    "spectral",
    "orthogonal",
    "delta_orthogonal",
    "mirrored",
    "identity",
    "sparse",
    "torch_default",
)


def _scheme(name: str) -> Scheme:
    scheme: Scheme = importlib.import_module(f"{__name__}.{name}").SCHEME
    return replace(scheme, defaults=scheme.arguments)


CATALOGUE: tuple[Scheme, ...] = tuple(_scheme(name) for name in NAMES)
