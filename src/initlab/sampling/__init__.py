"""DRAWING values: named counter-based streams, float transforms, kernels. No framework is imported here."""
