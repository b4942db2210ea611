"""A worker process: what `robonas.processes.workers` starts, and what runs there.

It is told its work once and then given arguments, one at a time; what the work tells goes back as it comes. It ends as
soon as the process that started it is gone, and whatever it has started ends with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import pickle  # between processes of one program, over pipes that nobody else can open
import signal
import socket
import struct
import sys
import threading
import traceback
import warnings
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # <sys/prctl.h>
_TRACE = 4  # frames of an error that are told
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
"""Signals that ask a program to stop. A worker leaves the answer to the process that started it, which ends it."""


class StoppedError(BaseException):
    """Raised within the work when the other side wants no more of it; not an `Exception`, so that it gets through."""


class Channel:
    """The connection of the work in a worker with the process that started it."""

    def __init__(self, replies: IO[bytes], requests: SimpleQueue[Any]) -> None:
        self._replies, self._requests = replies, requests

    def tell(self, value: Any) -> None:
        """Send something, and go on."""
        self.reply("told", dumps(value))

    def ask(self, value: Any) -> None:
        """Send something, and wait until the other side says to go on.

        Raises:
            StoppedError: It says to stop.
        """
        self.reply("asked", dumps(value))
        if not self._requests.get()[1]:
            raise StoppedError

    def reply(self, kind: str, value: Any = None) -> None:
        """Send one message."""
        pickle.dump((kind, value), self._replies)
        self._replies.flush()


def begin(start: dict[str, Any]) -> None:
    """Return what a new interpreter does: it becomes a worker, or a nursery, which forks workers that begin at once.

    Args:
        start: ``parent``, its number; ``bound``, whether to end with it by the system's own means; ``modules`` to
            import before anything else; and ``control``, the handle of a nursery's socket, or None.
    """
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    if start["bound"]:
        die_with(start["parent"])
    for name in start["modules"]:
        with contextlib.suppress(Exception):  # where it is needed, it will be imported again, and tell
            importlib.import_module(name)
    if start["control"] is not None:
        _breed(socket.socket(fileno=start["control"]))
    requests, replies = os.dup(0), os.dup(1)
    serve(requests, replies)


def _breed(control: socket.socket) -> NoReturn:
    """Fork a worker for each three handles that come: to read from, to write to, and for the word on its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # its own children are reaped by the system
    warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's idle threads, which are made for it
    while True:
        message, handles, *_ = socket.recv_fds(control, 1, 3)
        if not message:
            os._exit(0)
        own = os.getpid()
        if os.fork() == 0:
            control.close()
            _watch(own, *handles)
        for handle in handles:
            os.close(handle)


def _watch(nursery: int, requests: int, replies: int, status: int) -> NoReturn:
    """Fork the worker itself, and tell how it ends; where the nursery ends, end it with all that it has started."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with contextlib.suppress(OSError, AttributeError):  # what the worker leaves behind becomes a child of this process
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    own = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(status)
        die_with(own)
        serve(requests, replies)

    def end(*_: object) -> None:
        kill_group(pid)
        _kill_children()
        os._exit(0)

    signal.signal(signal.SIGUSR1, end)
    die_with(nursery, signal.SIGUSR1)
    os.close(requests)
    os.close(replies)
    ended = 0
    while ended != pid:
        ended, status_of_it = os.waitpid(-1, 0)
    code = os.waitstatus_to_exitcode(status_of_it)
    kill_group(pid)  # what it has started, such as processes that read data
    _kill_children()  # and what has left its group, such as the user's programs
    with contextlib.suppress(OSError):
        os.write(status, struct.pack("i", code))
    os._exit(0)


def _kill_children() -> None:
    """End all children of this process, on Linux; theirs become its own, if it is a subreaper, and end too."""
    with contextlib.suppress(OSError):
        while children := Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split():
            for child in map(int, children):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def serve(requests: int, replies: int) -> NoReturn:
    """Do what is asked, until nobody asks any more."""
    with contextlib.suppress(OSError, AttributeError):
        os.setsid()  # a group of its own, to be killed with all that it starts; Ctrl-C goes past it
    for number in STOPPING:
        signal.signal(number, _ignore)  # a handler, unlike SIG_IGN, is not passed on to other programs
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:  # noqa: PTH123
        stream.write("500")  # where memory runs out, this process goes, and not the one that keeps the results
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    with contextlib.suppress(OSError):
        os.dup2(2, 1)  # what the work prints must not end up between results
    asked: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(os.fdopen(requests, "rb"), asked), daemon=True).start()
    channel = Channel(os.fdopen(replies, "wb"), asked)
    channel.reply("ready", os.getpid())
    work: Callable[[Any, Channel], Any] | None = None
    while True:
        kind, *rest = asked.get()
        try:
            if kind == "load":
                setting, payload = rest
                work = None
                _adopt(setting)
                work = pickle.loads(payload)  # noqa: S301
                del payload, rest
                channel.reply("loaded")
            elif kind == "run" and work is not None:
                channel.reply("done", dumps(work(pickle.loads(rest[0]), channel)))  # noqa: S301
        except BaseException as error:  # noqa: BLE001  # the other side decides what it means
            channel.reply("raised" if kind == "run" else "unread", portable(error))


def _listen(requests: IO[bytes], asked: SimpleQueue[Any]) -> None:
    """Hand requests on; their end is the end of the process that sends them, and so of this one."""
    while True:
        try:
            asked.put(pickle.load(requests))  # noqa: S301
        except (EOFError, OSError, pickle.UnpicklingError):
            kill_group(os.getpid())
            os._exit(0)


def _ignore(*_: object) -> None:
    """Leave a signal to the process that started this one."""


def _adopt(setting: dict[str, Any]) -> None:
    """Be as the process that started this one is now: where it looks for modules, where it is, how PyTorch is set."""
    sys.path[:] = setting["path"]
    with contextlib.suppress(OSError):
        os.chdir(setting["folder"])
    for name in set(os.environ) - set(setting["environment"]):
        del os.environ[name]
    os.environ.update(setting["environment"])
    if setting["torch"] is not None:
        adopt_torch(setting["torch"])


def torch_settings() -> dict[str, Any] | None:
    """Return PyTorch's settings in this process that values depend on; None where it is not imported."""
    if "torch" not in sys.modules:
        return None
    import torch

    cudnn, mkldnn, matmul = torch.backends.cudnn, torch.backends.mkldnn, torch.backends.cuda.matmul
    return {
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "precision": torch.get_float32_matmul_precision(),
        "half": (matmul.allow_fp16_reduced_precision_reduction, matmul.allow_bf16_reduced_precision_reduction),
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
        "mkldnn": mkldnn.enabled,
    }


def adopt_torch(settings: dict[str, Any]) -> None:
    """Set PyTorch as `torch_settings` found it elsewhere."""
    import torch

    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    now = torch_settings() or {}
    changed = {name: value for name, value in settings.items() if now.get(name) != value}
    # What is as it should be is left alone: some of these import much of PyTorch.
    if "threads" in changed:
        torch.set_num_threads(changed["threads"])
    if "dtype" in changed:
        torch.set_default_dtype(changed["dtype"])
    if "deterministic" in changed:
        enabled, warn_only = changed["deterministic"]
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    if "precision" in changed:
        torch.set_float32_matmul_precision(changed["precision"])
    if "half" in changed:
        matmul.allow_fp16_reduced_precision_reduction, matmul.allow_bf16_reduced_precision_reduction = changed["half"]
    if "cudnn" in changed:
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = changed["cudnn"]
    if "mkldnn" in changed:
        torch.backends.mkldnn.set_flags(changed["mkldnn"])  # type: ignore[no-untyped-call]


def dumps(value: Any) -> bytes:
    """Return a value as bytes, with functions and classes that no other process could import."""
    import cloudpickle

    data: bytes = cloudpickle.dumps(value)
    return data


def portable(error: BaseException) -> bytes:
    """Return an error and its last frames in words; one that cannot be sent becomes another of its name."""
    told = "".join(traceback.format_exception(error, limit=-_TRACE, chain=False))
    traceback.clear_frames(error.__traceback__)
    error = error.with_traceback(None)
    error.__cause__ = error.__context__ = None
    try:
        data = dumps((error, told))
        pickle.loads(data)  # noqa: S301  # some can be written, and not read
    except Exception:  # noqa: BLE001
        data = dumps((type(type(error).__name__, (RuntimeError,), {})(str(error)), told))
    return data


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Let this process get a signal when the thread of its parent that started it ends, on Linux."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            signal.raise_signal(number)


def kill_group(pid: int) -> None:
    """End a worker with all that it has started; nothing where it is gone, or has no group."""
    with contextlib.suppress(OSError, AttributeError):
        os.killpg(pid, signal.SIGKILL)
