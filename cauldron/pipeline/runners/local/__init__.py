"""Beam's local runner: its worker processes, and large values in files."""
