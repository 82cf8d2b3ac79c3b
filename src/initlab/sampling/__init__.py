"""DRAWING values: named counter-based streams, float transforms, kernels. No framework is imported here."""

from initlab.sampling import laws
from initlab.sampling.drawing import fill, sample
from initlab.sampling.patterns import permutation, signs
from initlab.sampling.streams import STREAM_VERSION, canonical_name, derive_seed

__all__ = ["STREAM_VERSION", "canonical_name", "derive_seed", "fill", "laws", "permutation", "sample", "signs"]
