from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from cauldron.errors import UsageError
from cauldron.statistics import __name__ as _  # noqa: F401
