"""For every test: nothing asks the network, and real data is found where a checkout has it."""

import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
