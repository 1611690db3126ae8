"""What is compared, each with a Redis of its own that holds the users of the release."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.alternatives import item_rows
from trident.contract import RANKER, RECOMMEND
from trident.errors import Unavailable
from trident.release import Release
from trident.repository import serving_release
from trident.serving.ports import HOST, Ports
from trident.serving.process import Child
from trident.serving.redis import EmbeddedRedis
from trident.serving.serve import Serving, serving
from trident.state.load import push_users
from trident.users import UserRows
from trident_export.publishing.publish import publish

ROOT = Path(__file__).resolve().parents[2]
START = 180.0  # seconds until every worker answers
Answer = tuple[list[str], list[float]]
"""Item ids and scores, best first."""


@dataclass(frozen=True)
class Protocol:
    """How a server is asked: path, body of a request, and what an answer says."""

    path: str
    body: Callable[[Mapping[str, Any]], bytes]
    read: Callable[[bytes], Answer]

    def request(self, address: str, asked: Mapping[str, Any]) -> bytes:
        """A whole HTTP request."""
        body = self.body(asked)
        head = f"POST {self.path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def ask(self, address: str, asked: Mapping[str, Any]) -> Answer:
        """Ask once; raise Unavailable when the answer is not one."""
        connection = http.client.HTTPConnection(address, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", self.path, self.body(asked), {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        if response.status != http.HTTPStatus.OK:
            raise Unavailable(f"{address}{self.path}: {response.status}: {content[:300].decode(errors='replace')}")
        return self.read(content)


@dataclass(frozen=True)
class Running:
    """A server that runs: where, how it is asked, and its processes, which children may join."""

    name: str
    protocol: Protocol
    addresses: tuple[str, ...]
    processes: tuple[int, ...]


def _triton_body(asked: Mapping[str, Any]) -> bytes:
    inputs = [
        {"name": spec.name, "shape": [1, 1], "datatype": spec.dtype, "data": [asked[spec.name]]}
        for spec in RECOMMEND.inputs
        if spec.name in asked
    ]
    return json.dumps({"inputs": inputs}).encode()


def _triton_answer(content: bytes) -> Answer:
    outputs = {output["name"]: output["data"] for output in json.loads(content)["outputs"]}
    ids = [item for item in outputs["item_id"] if item]
    return ids, outputs["score"][: len(ids)]


def _plain_answer(content: bytes) -> Answer:
    made = json.loads(content)
    return made["item_id"], made["score"]


TRITON = Protocol(f"/v2/models/{RECOMMEND.name}/infer", _triton_body, _triton_answer)
PLAIN = Protocol("/recommend", lambda asked: json.dumps(dict(asked)).encode(), _plain_answer)


@contextmanager
def trident(release: Path) -> Iterator[Running]:
    """Trident as it is."""
    with _published(release) as repository, serving(repository) as server:
        yield _triton("Trident", server)


@contextmanager
def triton_with_lightgbm(release: Path) -> Iterator[Running]:
    """The same ensemble with LightGBM in a Python model as its ranker."""
    with _published(release) as repository, serving(repository, configs=_replace_ranker) as server:
        yield _triton("Triton, LightGBM in a Python model", server)


def _triton(name: str, server: Serving) -> Running:
    return Running(name, TRITON, (server.http,), tuple(child.pid for child in server.children))


@contextmanager
def _published(release: Path) -> Iterator[Path]:
    """A repository beside the release, where hard links reach, so that all servers map the same pages."""
    with tempfile.TemporaryDirectory(dir=release.parent, prefix=".alternatives-") as folder:
        publish(release, Path(folder) / "repository")
        yield Path(folder) / "repository"


def _replace_ranker(repository: Path) -> None:
    """Turn `ranker` into a Python model: every other line of its config stays."""
    config = repository / RANKER.name / "config.pbtxt"
    config.write_text(_with_python(config.read_text()))
    version = repository / RANKER.name / str(serving_release(repository))
    shutil.copyfile(Path(__file__).with_name("lightgbm_model.py"), version / "model.py")


def _with_python(config: str) -> str:
    """The same config with another backend; raise ValueError where it has no FIL to replace."""
    before, found, after = config.partition('backend: "fil"')
    if not found:
        raise ValueError("the config of `ranker` has no FIL backend")
    return f'{before}backend: "python"{after}'


@contextmanager
def fastapi(release: Path, workers: int) -> Iterator[Running]:
    """The path in `workers` processes of uvicorn, item columns mapped from the release."""
    with _redis(release) as redis, _workers(release, redis.url, "mapped", workers) as (addresses, pids):
        yield Running(f"FastAPI × {workers}", PLAIN, addresses, (redis.child.pid, *pids))


@contextmanager
def fastapi_with_rows_from_redis(release: Path, workers: int, rows: EmbeddedRedis) -> Iterator[Running]:
    """The same with the features of the candidates from the Redis `rows`, item by item."""
    with _redis(release) as redis, _workers(release, redis.url, rows.url, workers) as (addresses, pids):
        processes = (redis.child.pid, rows.child.pid, *pids)
        yield Running(f"FastAPI × {workers}, item features from Redis", PLAIN, addresses, processes)


@contextmanager
def features_in_redis(release: Path) -> Iterator[EmbeddedRedis]:
    """A Redis with the features of all items: ten million take some minutes and 6 GB."""
    with EmbeddedRedis() as rows:
        features = Release.open(release).items.features
        item_rows.load(str(rows.socket), features, lambda done: _say(f"item features in Redis: {done:,}"))
        yield rows


@contextmanager
def _redis(release: Path) -> Iterator[EmbeddedRedis]:
    """A Redis with the users of the release."""
    with EmbeddedRedis() as redis:
        opened = Release.open(release)
        push_users(UserRows.open(release / "users"), opened, redis.url)
        yield redis


@contextmanager
def _workers(
    release: Path, redis_url: str, rows: str, workers: int
) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Processes of uvicorn, each on a port of its own: whoever asks sends to the least busy one, which the kernel,
    sharing out the connections of one port, does not."""
    env = os.environ | {
        "RELEASE": str(release.resolve()), "REDIS_URL": redis_url, "ITEM_ROWS": rows, "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        addresses, pids = [], []
        for number in range(workers):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trident-uvicorn-")))
            address = f"{HOST}:{Ports(0, 0, 0).settle().http}"
            child = stack.enter_context(
                Child(f"uvicorn {number}", _uvicorn(address), log=folder / "log", folder=folder, env=env)
            )
            _wait(child, address, folder / "log")
            addresses.append(address)
            pids.append(child.pid)
        yield tuple(addresses), tuple(pids)


def _uvicorn(address: str) -> list[str]:
    return [
        sys.executable, "-m", "uvicorn", "benchmarks.alternatives.service:app", "--loop", "uvloop",
        "--http", "httptools", "--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "600",
        "--host", address.partition(":")[0], "--port", address.partition(":")[2],
    ]  # fmt: skip


def _wait(child: Child, address: str, log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and not child.death:
        with contextlib.suppress(OSError, http.client.HTTPException):
            PLAIN.ask(address, {"user_id": "warm-up", "record": False})
            return
        time.sleep(0.1)
    raise Unavailable(f"{child.name} {child.death or 'does not answer'}: {log.read_text()[-600:]}")


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text}", end="", file=sys.stderr, flush=True)
