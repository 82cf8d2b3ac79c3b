"""WHICH LAW, AND WHY: selectors and policies make a Plan; a Plan is written into a model."""
