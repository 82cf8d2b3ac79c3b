"""A SPACE OF STARTS: schemes, their arguments and the learning rate searched together."""

from initlab.searching.api import search
from initlab.searching.result import Search

__all__ = ["Search", "search"]
