"""MMMU's 30 subjects and 6 disciplines (MMMU paper, arXiv 2311.16502, table 1).

The names of disciplines are those of the table of Idefics3 (arXiv 2408.12637, table 4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

DISCIPLINES: Mapping[str, tuple[str, ...]] = {
    "Art & Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health & Medicine": (
        "Basic_Medical_Science",
        "Clinical_Medicine",
        "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy",
        "Public_Health",
    ),
    "Humanities & Social Science": ("History", "Literature", "Psychology", "Sociology"),
    "Tech & Engineering": (
        "Agriculture",
        "Architecture_and_Engineering",
        "Computer_Science",
        "Electronics",
        "Energy_and_Power",
        "Materials",
        "Mechanical_Engineering",
    ),
}
_DISCIPLINE = {subject: name for name, subjects in DISCIPLINES.items() for subject in subjects}
# An id is validation_Art_Theory_12.
_ID = re.compile(r"[^_]+_(.+)_\d+")


def subject_of(item_id: str) -> str:
    """The subject in an id of MMMU, "" if there is none."""
    match = _ID.fullmatch(item_id)
    return match[1] if match else ""


def discipline_of(subject: str) -> str:
    """The discipline of a subject, "" if it is unknown."""
    return _DISCIPLINE.get(subject, "")
