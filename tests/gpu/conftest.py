"""The second device and what runs there belong to a process of their own (`test_second_device.py`)."""

from __future__ import annotations

import os

collect_ignore = [] if "SECOND_DEVICE" in os.environ else ["second_device.py", "on_a_second_device.py"]
