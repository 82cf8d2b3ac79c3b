"""A SPACE OF STARTS: schemes, their arguments and the learning rate searched together."""

import initlab.searching.view  # noqa: F401  # registers how a Search shows itself
from initlab.searching.api import search
from initlab.searching.result import Search

__all__ = ["Search", "search"]
