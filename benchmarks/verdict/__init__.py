"""The verdict of `inspect`: cells that were trained, the trees calibrated on them, and how often training agrees."""
