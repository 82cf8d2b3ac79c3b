"""Frames a second of the playground: 20 layers of width 64, one change of the gain a frame, in headless Chromium.

    python -m benchmarks.playground

A frame draws every weight anew, runs forward and backward on 64 samples, and draws every picture.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from initlab import playground

FRAMES = 120
MEASURE = f"""
globalThis.frames = null;
const set = (id, value) => {{ document.getElementById(id).value = value; }};
set("depth", 20); set("width", 6);
const times = [];
let number = 0, last = 0;
function frame(now) {{
  if (last) times.push(now - last);
  last = now;
  set("size", (number % 40) - 20);
  document.getElementById("size").dispatchEvent(new Event("input", {{ bubbles: true }}));
  if (++number < {FRAMES}) requestAnimationFrame(frame);
  else globalThis.frames = times.slice(20);
}}
requestAnimationFrame(frame);
"""


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reporting"))
    import headless

    browser = headless.Browser()
    try:
        with tempfile.TemporaryDirectory() as folder:
            tab = browser.open(playground.save(Path(folder) / "playground.html"))
            tab.run(MEASURE)
            while (times := tab.run("globalThis.frames")) is None:
                time.sleep(0.1)
            times = sorted(times)
            median, slow = times[len(times) // 2], times[int(0.95 * len(times))]
            quick = times[len(times) // 10]
            print(f"frame: median {median:.1f} ms ({1000 / median:.0f} a second), 95% within {slow:.1f} ms")
            print(
                f"quickest tenth within {quick:.1f} ms ({1000 / quick:.0f} a second): what a busy machine leaves over"
            )
    finally:
        browser.close()


if __name__ == "__main__":
    main()
