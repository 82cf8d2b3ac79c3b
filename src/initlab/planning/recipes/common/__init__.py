"""WHAT RECIPES SHARE: laws by a recipe's own numbers, parts of loaded weights, state-space models."""
