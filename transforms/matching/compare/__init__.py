"""Candidate pairs compared on their pixels."""
