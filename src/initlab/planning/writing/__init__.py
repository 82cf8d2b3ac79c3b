"""WHAT WRITING ASKS BEFORE AND AFTER: the account of all parameters, equal ones, interrupts, names, spectral norms."""
