"""Engines that run functions elsewhere: anything with the `submit` of `concurrent.futures`, Ray, and Dask.

What is sent is Python's own: a function of robonas by its name, everything else as bytes of cloudpickle, which the far
side reads once. Only the processes of one user's cluster speak to each other here; no file is read so.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import pickle  # between processes of one program
import sys
import threading
import uuid
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING, Any, Protocol

from robonas.errors import ConfigError, StudyError, installing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RETRIES = 1
"""Number of times that Ray and Dask try again what a lost worker was at."""


class Promise(Protocol):
    """The part of a future that is used."""

    def result(self) -> Any:
        """Return the value, or raise the error, of a future that is done."""

    def cancel(self) -> Any:
        """Ask it to stop."""

    def add_done_callback(self, function: Callable[[Any], Any], /) -> Any:
        """Call a function with the future when it is done."""


class Mailbox(Protocol):
    """Letters from what runs elsewhere, each of which waits for its answer."""

    def post(self, key: int) -> Any:
        """Return what the work with this key calls to send a letter and wait for its answer; it can be sent there."""

    def take(self) -> list[tuple[int, bytes]]:
        """Return the letters that have come, with the keys of their senders."""

    def answer(self, key: int, *, go_on: bool) -> None:
        """Answer the letter of a key."""

    def close(self) -> None:
        """Free it."""


class Engine:
    """An executor with the `submit` of `concurrent.futures`.

    Args:
        executor: The executor.
    """

    carries_letters = False
    """Whether what runs there can send letters before its end."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    @property
    def n(self) -> int | None:
        """Number of functions that it runs at once, where it tells."""
        n = getattr(self._executor, "_max_workers", None)
        return n if isinstance(n, int) and n > 0 else None

    def put(self, value: bytes) -> Any:
        """Send bytes once; what is returned stands for them among the arguments of `submit`."""
        return value

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Promise:
        """Run a function there."""
        promise: Promise = self._executor.submit(function, *arguments)
        return promise

    def cancel(self, promise: Promise) -> None:
        """Stop a function, as far as the engine can."""
        promise.cancel()

    def mailbox(self) -> Mailbox | None:
        """Return a mailbox; None where the engine carries no letters while a function runs."""
        return None


class RayEngine(Engine):
    """Ray.

    Args:
        address: Address of the cluster, such as ``"auto"`` or ``"ray://head:10001"``; None for the one that is
            connected, else a cluster of this machine's own.
        n_cpus: CPUs that each function takes.
        n_gpus: GPUs that each function takes; Ray shows it these alone.

    Raises:
        ConfigError: Ray is not installed, or there is no such cluster.
    """

    carries_letters = True

    def __init__(self, address: str | None = None, *, n_cpus: float = 1, n_gpus: float = 0) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError(f"Ray is not installed. Run: {installing('ray')}.") from error
        self._ray = ray
        if not ray.is_initialized():
            try:
                ray.init(address=address, log_to_driver=False, include_dashboard=False, configure_logging=False)
            except Exception as error:
                raise ConfigError(f"There is no Ray cluster at {address!r}: {_first_line(error)}.") from error
        self._options = {"num_cpus": n_cpus, "num_gpus": n_gpus, "max_retries": RETRIES}
        self._n_cpus, self._n_gpus = n_cpus, n_gpus
        self._references: dict[int, Any] = {}

    @property
    def n(self) -> int | None:
        """Number of functions that the whole cluster runs at once."""
        there = self._ray.cluster_resources()
        counts = [
            int(there.get(kind, 0) // each) for kind, each in (("CPU", self._n_cpus), ("GPU", self._n_gpus)) if each > 0
        ]
        return max(1, min(counts)) if counts else None

    def put(self, value: bytes) -> Any:
        """Put the bytes into Ray's store."""
        return self._ray.put(value)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Promise:
        """Run a function as a task."""
        reference = self._ray.remote(function).options(**self._options).remote(*arguments)
        promise: Promise = reference.future()
        self._references[id(promise)] = reference
        promise.add_done_callback(lambda _: self._references.pop(id(promise), None))
        return promise

    def cancel(self, promise: Promise) -> None:
        """End the task, and what it has started."""
        reference = self._references.get(id(promise))
        if reference is not None:
            self._ray.cancel(reference, force=True)

    def mailbox(self) -> Mailbox:
        """Return a mailbox that an actor keeps."""
        return _RayMailbox(self._ray)


class _Desk:
    """The letters of a `_RayMailbox`: an actor whose calls wait for each other without a thread."""

    def __init__(self) -> None:
        self._letters: list[tuple[int, bytes]] = []
        self._answers: dict[int, asyncio.Queue[bool]] = {}

    async def post(self, key: int, letter: bytes) -> bool:
        self._answers[key] = asyncio.Queue()
        self._letters.append((key, letter))
        return await self._answers[key].get()

    async def take(self) -> list[tuple[int, bytes]]:
        letters, self._letters = self._letters, []
        return letters

    async def answer(self, key: int, *, go_on: bool) -> None:
        if key in self._answers:
            self._answers[key].put_nowait(go_on)


class _RayPost:
    def __init__(self, desk: Any, key: int) -> None:
        self._desk, self._key = desk, key

    def __call__(self, letter: bytes) -> bool:
        import ray

        return bool(ray.get(self._desk.post.remote(self._key, letter)))


class _RayMailbox:
    def __init__(self, ray: Any) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray = ray
        # On this search's own node: it ends with the search, and no other loss ends it.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "max_concurrency": 1000, "scheduling_strategy": here}
        self._desk = ray.remote(_Desk).options(**options).remote()

    def post(self, key: int) -> _RayPost:
        return _RayPost(self._desk, key)

    def take(self) -> list[tuple[int, bytes]]:
        letters: list[tuple[int, bytes]] = self._ray.get(self._desk.take.remote())
        return letters

    def answer(self, key: int, *, go_on: bool) -> None:
        self._desk.answer.remote(key, go_on=go_on)

    def close(self) -> None:
        with contextlib.suppress(Exception):  # the cluster may be gone
            self._ray.kill(self._desk)


class DaskEngine(Engine):
    """Dask.

    Args:
        client: The `distributed.Client`, or the address of a scheduler, such as ``"tcp://head:8786"``.

    Raises:
        ConfigError: Dask is not installed, or there is no such scheduler.
    """

    carries_letters = True

    def __init__(self, client: Any) -> None:
        if isinstance(client, str):
            try:
                from distributed import Client
            except ImportError as error:
                raise ConfigError(f"Dask is not installed. Run: {installing('dask')}.") from error
            try:
                client = Client(client, set_as_default=False, timeout=20)
            except (OSError, ValueError) as error:
                raise ConfigError(f"There is no Dask scheduler at {client!r}: {_first_line(error)}.") from error
        super().__init__(client)

    @property
    def n(self) -> int | None:
        """Number of threads of all workers."""
        return max(1, sum(int(n) for n in self._executor.ncores().values()))

    def put(self, value: bytes) -> Any:
        """Scatter the bytes."""
        return self._executor.scatter(_Sealed(value), hash=False)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Promise:
        """Run a function as a task of its own."""
        promise: Promise = self._executor.submit(function, *arguments, pure=False, retries=RETRIES)
        return promise

    def mailbox(self) -> Mailbox:
        """Return a mailbox of queues that the scheduler keeps."""
        return _DaskMailbox(self._executor)


class _Sealed:
    """Bytes that Dask does not look into."""

    def __init__(self, data: bytes) -> None:
        self.data = data


class _DaskPost:
    def __init__(self, name: str, key: int) -> None:
        self._name, self._key = name, key

    def __call__(self, letter: bytes) -> bool:
        from distributed import Queue, worker_client

        with worker_client(separate_thread=False) as client:
            Queue(self._name, client=client).put((self._key, letter))
            return bool(Queue(f"{self._name}-{self._key}", client=client).get())


class _DaskMailbox:
    def __init__(self, client: Any) -> None:
        from distributed import Queue

        self._client, self._name = client, f"robonas-{uuid.uuid4().hex}"
        self._letters = Queue(self._name, client=client)
        self._answers: dict[int, Any] = {}

    def post(self, key: int) -> _DaskPost:
        return _DaskPost(self._name, key)

    def take(self) -> list[tuple[int, bytes]]:
        letters = []
        while self._letters.qsize():
            key, letter = self._letters.get()
            letters.append((int(key), bytes(letter)))
        return letters

    def answer(self, key: int, *, go_on: bool) -> None:
        from distributed import Queue

        if key not in self._answers:
            self._answers[key] = Queue(f"{self._name}-{key}", client=self._client)
        self._answers[key].put(go_on)

    def close(self) -> None:
        for queue in (self._letters, *self._answers.values()):
            with contextlib.suppress(Exception):  # the scheduler may be gone
                queue.close()


def engine_of(executor: Any) -> Engine | None:
    """Return the engine of an executor; None for None, which means processes of this machine.

    Args:
        executor: ``"ray"``, ``"ray:ADDRESS"``, ``"dask:ADDRESS"``, an `Engine`, a `distributed.Client`, or anything
            with the `submit` of `concurrent.futures`.

    Raises:
        ConfigError: It is none of these.
    """
    if executor is None or isinstance(executor, Engine):
        return executor
    if isinstance(executor, str):
        kind, _, address = executor.partition(":")
        if kind == "ray":
            return RayEngine(address or None)
        if kind == "dask" and address:
            return DaskEngine(address)
    elif callable(getattr(executor, "submit", None)):
        return DaskEngine(executor) if callable(getattr(executor, "scatter", None)) else Engine(executor)
    raise ConfigError(
        "`executor` must have a `submit` as those of concurrent.futures have, or be 'ray', 'ray:ADDRESS' or "
        f"'dask:ADDRESS'; got {executor!r}."
    )


def sent(engine: Engine, function: Callable[..., Any], *arguments: Any) -> Promise:
    """Run a function on an engine.

    Raises:
        StudyError: Its executor is broken.
    """
    try:
        return engine.submit(function, *arguments)
    except (BrokenExecutor, RuntimeError) as error:  # one that was shut down raises the latter
        raise broken(error) from error


def broken(error: BaseException) -> StudyError:
    """Return the error that tells of an executor that can be used no more."""
    told = f"The executor is broken ({type(error).__name__}: {error})."
    return StudyError(f"{told} Nothing is lost: run the search again with a new one to go on.")


# ── on the far side ──


def packed(value: Any) -> bytes:
    """Return a value as bytes, with where this process looks for modules."""
    import cloudpickle

    data: bytes = cloudpickle.dumps((list(sys.path), cloudpickle.dumps(value)))
    return data


_known: dict[bytes, Any] = {}


def unpacked(data: Any) -> tuple[bytes, Any]:
    """Return the value of such bytes with their fingerprint; the latest one is kept, and not read again."""
    data = data.data if isinstance(data, _Sealed) else data
    fingerprint = hashlib.blake2b(data, digest_size=16).digest()
    if fingerprint not in _known:
        path, value = pickle.loads(data)  # noqa: S301
        sys.path += [place for place in path if place not in sys.path]
        value = pickle.loads(value)  # noqa: S301
        _known.clear()
        _known[fingerprint] = value
        return fingerprint, value
    return fingerprint, _known[fingerprint]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


# ── the executor of a search ──

_local = threading.local()


@contextlib.contextmanager
def working_on(engine: Engine | None) -> Iterator[None]:
    """Let maps over many items (`robonas.processes.parallel.spread`) run on an engine until the block ends."""
    before = current()
    _local.engine = engine
    try:
        yield
    finally:
        _local.engine = before


def current() -> Engine | None:
    """Return the engine that maps run on in this thread; None for processes of this machine."""
    engine: Engine | None = getattr(_local, "engine", None)
    return engine
