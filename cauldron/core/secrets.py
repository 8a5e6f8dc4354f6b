"""Secrets in Google Secret Manager: named anywhere, read only where they are used.

Over the REST interface, because google-auth is there already and the client library brings gRPC.
``SECRET_MANAGER_EMULATOR_HOST`` names a double, which needs no credentials.
"""

from __future__ import annotations

import base64
import os
import re
from typing import Any

from cauldron.core.errors import CauldronError, UsageError, first_line

_SERVICE = "https://secretmanager.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_NAME = re.compile(r"projects/[^/?#\s]+/secrets/[\w-]+/versions/\w+")
_SECONDS = 30.0


def check_name(name: str) -> None:
    """Raises UsageError unless `name` is that of a version of a secret."""
    if not _NAME.fullmatch(name):
        # It may be the secret itself, so it is not repeated.
        raise UsageError("a secret is named like projects/P/secrets/S/versions/latest")


def read_secret(name: str) -> str:
    """The value of a version of a secret, without spaces around it.

    Raises:
        CauldronError: it cannot be read; the message holds the name, never the value.
    """
    check_name(name)
    import requests
    from google.auth.exceptions import GoogleAuthError

    service = os.environ.get("SECRET_MANAGER_EMULATOR_HOST") or _SERVICE
    try:
        answer = _session().get(f"{service.rstrip('/')}/v1/{name}:access", timeout=_SECONDS)
    except (requests.RequestException, GoogleAuthError) as error:
        raise CauldronError(f"{name} cannot be read: {first_line(error)}") from error
    if answer.status_code != 200:
        why = f"Secret Manager answers {answer.status_code}"
        remedy = "check the name, and that the workers' service account may access it"
        raise CauldronError(f"{name} cannot be read: {why}; {remedy}")
    try:
        data = answer.json()["payload"]["data"]
        return base64.b64decode(data, validate=True).decode().strip()
    except (ValueError, KeyError, TypeError):
        pass  # the error would show the answer
    raise CauldronError(f"{name} cannot be read: the answer is not Secret Manager's")


def _session() -> Any:
    import requests

    if os.environ.get("SECRET_MANAGER_EMULATOR_HOST"):
        return requests.Session()
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=[_SCOPE])
    return AuthorizedSession(credentials)
