"""Where real rows in published layouts are, on machines that have them."""

from __future__ import annotations

import os
from pathlib import Path

REAL = Path(os.environ.get("CAULDRON_REAL_DATA") or Path(__file__).parents[2] / "shared" / "real")
