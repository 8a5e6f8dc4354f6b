"""Images by URL: the fetch step of a build beside img2dataset, from a server on this machine.

    python benchmarks/fetch.py --folder /tmp/bench-fetch --img2dataset ENV/bin/python

The server is a process of its own, which sends JPEGs of 50 kB, every one with other bytes, as 64
hosts (127.0.0.1 to 127.0.0.64). Both programs have two worker processes, keep the bytes as they
come, hash them by SHA-256 and write tars: Cauldron its record files and indexes, with the lists of
URLs before and the settled answers after; img2dataset its WebDataset shards with JSON and parquet.
Both start from a parquet of URLs. Seconds of a core are those of the program with all its worker
processes, imports included; the server's are not.

img2dataset is not a dependency: install it in an environment of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

HOSTS = 64
BYTES = 50_000
_MARK = b"number 00000000"


def image() -> bytes:
    """A JPEG of about 50 kB with a comment to be changed."""
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise).resize((640, 480))
    for quality in range(95, 5, -1):
        buffer = io.BytesIO()
        smooth.save(buffer, "JPEG", quality=quality, comment=_MARK)
        if buffer.tell() <= BYTES:
            break
    return buffer.getvalue()


class Server(asyncio.Protocol):
    """Answers ``/<number>.jpg``; keeps connections open."""

    BODY = image()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._held = transport, b""

    def data_received(self, data: bytes) -> None:
        *requests, self._held = (self._held + data).split(b"\r\n\r\n")
        for request in requests:
            number = request.split(b" ", 2)[1].strip(b"/").removesuffix(b".jpg")
            body = self.BODY.replace(_MARK, b"number " + number.rjust(8, b"0"), 1)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}"
            self._transport.write(head.encode() + b"\r\n\r\n" + body)  # type: ignore[attr-defined]


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "0.0.0.0", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def fetch(folder: Path) -> None:
    """The fetch step alone, of a recipe with one source."""
    from cauldron.pipeline.corpora import BuildOptions, plan_corpora
    from cauldron.pipeline.fetch import fetch as fetch_step
    from cauldron.pipeline.runners.runner import Launcher
    from cauldron.recipe import Recipe

    recipe = Recipe.model_validate(
        {
            "name": "bench",
            "tokenizer": "estimate",
            "language": {"identify": False},
            "fetch": {
                "allowed_hosts": [f"127.0.0.{n}" for n in range(1, HOSTS + 1)],
                "per_host": 8,
            },
            "stages": {"s": {"mixture": {"laion_coco": 1}, "budget": {"samples": 1}}},
        }
    )
    two = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    options = BuildOptions(recipe, (), str(folder / "hub"), str(folder / "ours"), beam_args=two)
    planned, _ = plan_corpora(options)
    fetch_step(planned, options, Launcher(two, print))


IMG2DATASET = """
import img2dataset, sys
if __name__ == "__main__":
    img2dataset.download(
        url_list=sys.argv[1], output_folder=sys.argv[2], input_format="parquet", url_col="URL",
        output_format="webdataset", processes_count=2, thread_count=128, resize_mode="no",
        disable_all_reencoding=True, number_sample_per_shard=2500, enable_wandb=False, retries=0,
    )
"""


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds, and seconds of a core, of a command with all of its processes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - start, cpu


def stored(folder: Path, kind: str) -> int:
    """Images that a program says it has."""
    if kind == "ours":
        (path,) = folder.glob("ours/fetched/lists/*/*/manifest.json")
        return int(json.loads(path.read_text())["fetched"])
    found = folder.glob("img2dataset/*_stats.json")
    return sum(json.loads(path.read_text())["successes"] for path in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--img2dataset", help="An interpreter that has img2dataset.")
    parser.add_argument("--part", choices=["serve", "fetch"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part == "serve":
        asyncio.run(serve())
        return
    if arguments.part == "fetch":
        fetch(arguments.folder)
        return
    folder: Path = arguments.folder
    shutil.rmtree(folder, ignore_errors=True)
    hub = folder / "hub" / "laion" / "laion-coco"
    hub.mkdir(parents=True)
    me = [sys.executable, str(Path(__file__).resolve())]
    server = subprocess.Popen([*me, "--part", "serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        urls = [f"http://127.0.0.{n % HOSTS + 1}:{port}/{n}.jpg" for n in range(arguments.images)]
        table = pa.table({"URL": urls, "top_caption": [f"picture {n}" for n in range(len(urls))]})
        pq.write_table(table, hub / "part-00000.parquet", row_group_size=2500)
        commands = {"ours": [*me, "--part", "fetch", "--folder", str(folder)]}
        if arguments.img2dataset:
            script = folder / "img2dataset.run.py"
            script.write_text(IMG2DATASET)
            places = [str(hub / "part-00000.parquet"), str(folder / "img2dataset")]
            commands["img2dataset"] = [arguments.img2dataset, str(script), *places]
        per_core = {}
        print(f"{len(Server.BODY):,} bytes an image, load {os.getloadavg()[0]:.1f} at the start")
        for kind, command in commands.items():
            seconds, cpu = measured(command)
            count = stored(folder, kind)
            per_core[kind] = count / cpu
            print(
                f"{kind}: {count:,} images, {seconds:.1f} s, {count / seconds:,.0f} images/s, "
                f"{cpu:.1f} s of a core, {count / cpu:,.0f} images a second of a core"
            )
        if len(per_core) > 1:
            print(f"ratio per core: {per_core['ours'] / per_core['img2dataset']:.2f}")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
