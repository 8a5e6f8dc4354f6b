"""Folders that stand for hosts: served over HTTP by the process that fetches, on a free port.

Images of a host that are at hand as files go the same way as all others, through the same checks.
The miniature hub's images do, so its build needs no network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import PurePosixPath

from aiohttp import web

from cauldron.core import storage

_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif"}


async def serve(mirrors: Mapping[str, str], stack: AsyncExitStack) -> dict[str, int]:
    """Serve folders on 127.0.0.1 until `stack` is closed.

    Args:
        mirrors: folders by host.

    Returns:
        Ports by host.
    """
    return {host: await _serve(folder, stack) for host, folder in mirrors.items()}


async def _serve(folder: str, stack: AsyncExitStack) -> int:
    async def answer(request: web.Request) -> web.Response:
        parts = PurePosixPath(request.match_info["path"]).parts
        if not parts or any(part in ("..", "/") or "\\" in part for part in parts):
            raise web.HTTPNotFound
        try:
            data = await asyncio.to_thread(storage.read_bytes, storage.join(folder, *parts))
        except (FileNotFoundError, IsADirectoryError):
            raise web.HTTPNotFound from None
        kind = _TYPES.get(PurePosixPath(parts[-1]).suffix.lower(), "application/octet-stream")
        return web.Response(body=data, content_type=kind)

    app = web.Application()
    app.router.add_get("/{path:.+}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return int(runner.addresses[0][1])
