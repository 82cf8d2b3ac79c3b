"""DRAWING values: named counter-based streams, float transforms, kernels. No framework is imported here."""

from initlab.sampling.interim import STREAM_VERSION, canonical_name, derive_seed, fill, sample

__all__ = ["STREAM_VERSION", "canonical_name", "derive_seed", "fill", "sample"]
