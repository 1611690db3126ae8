"""Redis, then the user rows, then Triton, then one real request: everything that `recommend` needs on this machine."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from trident import contract
from trident.errors import ReleaseError, Unavailable
from trident.release import MANIFEST, Manifest
from trident.repository import canary_of, serving_release
from trident.running import RunningServer, announced
from trident.serving.configs import renew_configs
from trident.serving.control_key import make_key
from trident.serving.healing import Healer, Say
from trident.serving.installation import Installation
from trident.serving.ports import Ports
from trident.serving.process import Child
from trident.serving.redis import EmbeddedRedis, require_answer
from trident.serving.round_trip import Body, check_round_trip, sample
from trident.serving.signals import Interrupted, interruptible
from trident.serving.stubs import wait_for_an_end
from trident.serving.triton import TritonServer
from trident.settings import REDIS
from trident.state.feast import feast_address, require_feast

MODELS = (contract.USER_TOWER.name, contract.FEEDBACK.name, contract.RECOMMEND.name)
"""Loaded by name; the ensemble brings its steps along, and `user_tower` is asked by one of them."""

EVERY, SOON = 1.0, 0.1
"""Seconds between two looks at the processes, and until the next one when a process has just ended."""

Hook = Callable[[Path, str], object]
"""What puts user rows into Redis before Triton starts: (repository, redis_url); not asked where Feast has them."""


def load_user_rows(repository: Path, redis_url: str) -> object:
    """Put the user rows of the serving release into Redis, and those of a canary where its features are others."""
    from trident.state.load import load_users

    canary = canary_of(repository)
    if canary and _schema(repository, canary.release) != _schema(repository, serving_release(repository)):
        load_users(repository, redis_url, canary.release)
    return load_users(repository, redis_url)


def _schema(repository: Path, number: int | None) -> str:
    return Manifest.read(repository / contract.USER_ENCODER.name / str(number) / MANIFEST).feature_schema


def _to_stderr(text: str) -> None:
    print(f"trident: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Serving:
    """What runs: addresses as "127.0.0.1:port", and the Redis that the models use."""

    triton: TritonServer
    redis_url: str
    children: tuple[Child, ...]

    @property
    def http(self) -> str:
        """Host and port for HTTP."""
        return self.triton.http

    @property
    def grpc(self) -> str:
        """Host and port for gRPC."""
        return self.triton.grpc

    @property
    def metrics(self) -> str:
        """Host and port for Prometheus."""
        return self.triton.metrics

    @property
    def key(self) -> str:
        """What the control APIs ask for."""
        return self.triton.key

    def check(self) -> None:
        """Raise Unavailable, with the reason, when a process that we started has died."""
        for child in self.children:
            if child.death:
                raise self.triton.failure(child.death) if child is self.triton.child else _died(child)

    def supervise(self, say: Say) -> None:
        """Block until a process that we started dies; raise then as `check` does.

        Python processes of the server that die meanwhile are started again; `say` is told, a line at a time.
        """
        healer = Healer(self.triton.child.pid, self.triton.repository, self.http, say, self.key)
        try:
            while True:
                self.check()
                healer.look()
                self.triton.close_regions()
                if healer.suspicious:
                    time.sleep(SOON)
                else:
                    wait_for_an_end({child.pid for child in self.children} | healer.watched, EVERY)
        finally:
            healer.stop()


def serve_until_stopped(
    context: AbstractContextManager[Serving], announce: Callable[[Serving], object], say: Say = _to_stderr
) -> None:
    """Enter `context`, announce what runs and watch it until SIGINT, SIGTERM or SIGHUP ends it in good order.

    When the server or Redis dies everything is stopped and Unavailable says which and why.
    """
    with contextlib.suppress(Interrupted), interruptible(), context as running:
        announce(running)
        running.supervise(say)


def _died(child: Child) -> Unavailable:
    return Unavailable(f"{child.name} {child.death}: everything was stopped, start again")


@contextlib.contextmanager
def serving(
    repository: Path | str,
    redis_url: str | None = None,
    ports: Ports | None = None,
    *,
    feature_source: str = REDIS,
    models: Sequence[str] = MODELS,
    probe: str = contract.RECOMMEND.name,
    before_start: Hook | None = load_user_rows,
    configs: Callable[[Path], object] = renew_configs,
    request: Body | None = None,
    installation: Installation | None = None,
    log: Path | None = None,
    patience: float = 120.0,
) -> Iterator[Serving]:
    """Serve `repository` and yield the addresses on 127.0.0.1; nothing is left running afterwards.

    Without `redis_url` an embedded Redis is started. `ports` default to free ones. `feature_source` is as in the
    settings. `configs` makes the configs of the repository fit. `request` is the first request sent to `probe`, by
    default one that `recommend` understands. What is started is `installation`, by default the wheel.
    Raises ReleaseError when there is nothing to serve, SetupError when
    this machine lacks something, Unavailable when a part does not come up within `patience` seconds. The
    key to the control APIs lies beside the repository.
    """
    repository = require_repository(Path(repository), models)
    configs(repository)
    models = (*models, *(model for model in experiment_models(repository) if model not in models))
    key = make_key(repository)
    if feast := feast_address(feature_source):
        require_feast(*feast)
    settled = (ports or Ports(0, 0, 0)).settle()  # before anything is started
    with contextlib.ExitStack() as stack:
        redis = None if redis_url else stack.enter_context(EmbeddedRedis())
        url = redis_url or (redis.url if redis else "")
        if redis is None:
            require_answer(url)
        if before_start is not None and not feast:
            before_start(repository, url)
        env = _environment(url, feature_source)
        triton = stack.enter_context(
            TritonServer(
                repository,
                models=models,
                probe=probe,
                ports=settled,
                key=key,
                installation=installation,
                env=env,
                log=log,
                patience=patience,
            )
        )
        check_round_trip(triton.http, probe, sample() if request is None else request)
        note = RunningServer(str(repository), triton.http, triton.grpc, url, os.getpid(), feature_source)
        stack.enter_context(announced(note))
        yield Serving(triton, url, (triton.child, *((redis.child,) if redis else ())))


def experiment_models(repository: Path) -> list[str]:
    """The router, where the repository has it, and the second ensemble while a canary runs whose release is whole."""
    found = []
    if (repository / contract.RECOMMEND_AB.name / str(contract.ROUTER_VERSION) / "model.py").is_file():
        found.append(contract.RECOMMEND_AB.name)
    canary = canary_of(repository)
    needed = (*contract.LEAVES, contract.RECOMMEND_CANARY)
    if canary and all((repository / model.name / str(canary.release)).is_dir() for model in needed):
        found.append(contract.RECOMMEND_CANARY.name)
    return found


def _environment(redis_url: str, feature_source: str) -> dict[str, str]:
    """What the models read, and one OpenMP thread per process: Triton already runs the models side by side."""
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    return {"REDIS_URL": redis_url, "FEATURE_SOURCE": feature_source, "OMP_NUM_THREADS": threads}


def require_repository(repository: Path, models: Sequence[str]) -> Path:
    """Return the absolute path; raise ReleaseError unless every model has a config and a version folder there."""
    how = "`make demo` fills build/repository, or `trident build` and `trident publish` make one of your data"
    if not repository.is_dir():
        raise ReleaseError(f"there is no model repository at '{repository}': {how}")
    for model in models:
        folder = repository / model
        versions = [v for v in folder.glob("[0-9]*") if v.is_dir()] if folder.is_dir() else []
        if not (folder / "config.pbtxt").is_file() or not versions:
            raise ReleaseError(f"the model repository '{repository}' has no release of '{model}': {how}")
    return repository.resolve()
