"""LOOKING AND TRYING: one HTML page that draws a network's start as Python does, shows its signals, and trains it."""

from initlab.playground.page import page, save

__all__ = ["page", "save"]
