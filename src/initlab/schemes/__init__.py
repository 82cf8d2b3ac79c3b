"""WHAT to draw: fan modes, gains, the catalogue with formulas and sources. No framework is imported here."""
