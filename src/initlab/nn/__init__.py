"""Drop-in functions for `torch.nn`: `initlab.nn.init` is `torch.nn.init` drawn from named streams."""

from initlab.nn import init

__all__ = ["init"]
