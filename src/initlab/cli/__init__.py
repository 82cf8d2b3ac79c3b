"""The `initlab` command: parse, call the public API, print."""

from initlab.cli.app import app, main

__all__ = ["app", "main"]
