"""The calibrating pass: one forward with every weight drawn by its plan, where a std that misses its target is mended.

Rules derive the size of what a layer gives; a pass measures it. Each weight is drawn from its law just before its first
use, the second moment of what it makes is measured there, and where that misses the target the std is corrected and the
pass goes on with the corrected weight. Nothing is written into the model: drawn tensors stand in for its parameters at
every torch function, and the corrected std is a number of the plan, so values still follow from (seed, name, shape,
law) alone.
"""

from __future__ import annotations

from initlab.planning.calibration.correcting import calibrated, unreached

__all__ = ["calibrated", "unreached"]
