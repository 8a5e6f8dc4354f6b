"""The trainer is an extra: without torch its tests are not collected."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py", "data", "network"]
