"""A double of Google Secret Manager: versions of secrets, by name."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import pytest

from tests.doubles.web import Double, Request, Response


class FakeSecrets(Double):
    """Args: secrets: values by ``projects/P/secrets/S/versions/V``."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        super().__init__()
        self._secrets = dict(secrets)

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_MANAGER_EMULATOR_HOST", self.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")

    def answer(self, request: Request) -> Response:
        name = "/".join(request.parts).removeprefix("v1/").removesuffix(":access")
        if name not in self._secrets:
            return Response(404, b'{"error": {"code": 404, "message": "no such secret"}}')
        data = base64.b64encode(self._secrets[name].encode()).decode()
        return Response(200, json.dumps({"name": name, "payload": {"data": data}}).encode())
