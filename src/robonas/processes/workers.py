"""Processes for work that may end them: each does one thing at a time, tells what it has, and dies alone.

A worker is told its work once and then given arguments. Whatever ends it (a crash in native code, `os._exit`, the
system for want of memory) is told with its cause, and nothing of this process is lost. On Linux workers are forked by a
nursery, a process that has imported what this one has and does nothing else, so that a new one costs milliseconds and
its memory is shared; elsewhere each is an interpreter of its own. No `if __name__ == "__main__":` is needed, and
workers end when this process does, however it ends.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import pickle  # between processes of one program, over pipes that nobody else can open
import signal
import socket
import struct
import subprocess
import sys
import threading
import warnings
from multiprocessing import spawn, util
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from robonas.processes import stops
from robonas.processes.serving import dumps, kill_group, torch_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from robonas.processes.serving import Channel

Message: TypeAlias = "tuple[Worker, str, Any]"
"""A worker, what it says, and the rest: ``loaded``, ``told`` or ``asked`` a value, ``done`` with a value, ``raised`` an
error, ``died`` in some way."""
_BEGIN = (
    "import json, sys; start = json.loads(sys.argv[1]); sys.path[:] = start['path']; "
    "from robonas.processes.serving import begin; begin(start)"
)
READER = "robonas worker"
"""Name of the threads that read what workers say, one for each that lives."""
_LOOK_S = 0.2
"""Seconds between looks whether Python has something else to do, such as handling Ctrl-C on Windows."""


class NoProcessError(Exception):
    """This system gives no process for the work, or the work cannot be sent to one; says why."""


class FarTraceError(Exception):
    """The cause of an error that was raised in a worker: where it was raised, in words."""

    def __str__(self) -> str:
        return f"in a worker process:\n{self.args[0]}"


class Worker:
    """A process that does one work with many arguments.

    Args:
        work: Called there as ``work(argument, channel)``; sent by cloudpickle, so that functions and classes of a
            notebook can be used.
        inbox: Queue for its messages.

    Raises:
        NoProcessError: No process can be started, or the work cannot be sent.
    """

    def __init__(self, work: Packed, inbox: SimpleQueue[Message]) -> None:
        self._inbox = inbox
        self._pid: int | None = None
        self._gone = False
        try:
            self._requests, replies, self._end = _start()
        except OSError as error:
            raise NoProcessError(f"no process can be started ({error.strerror or error})") from error
        self._reader = threading.Thread(target=self._read, args=(replies,), name=READER, daemon=True)
        self._reader.start()
        self._load(work)

    def _load(self, work: Packed) -> None:
        self._post("load", _setting(), work.data)

    def take_on(self, work: Packed, inbox: SimpleQueue[Message]) -> bool:
        """Do another work from now on; False where it is gone."""
        self._inbox = inbox  # before the look: if it goes now, this one is told
        if self._gone:
            return False
        self._load(work)
        return True

    def run(self, argument: Any) -> None:
        """Do the work with this argument; what comes of it comes to the inbox."""
        self._post("run", dumps(argument))

    def answer(self, *, go_on: bool) -> None:
        """Answer what it asked."""
        self._post("answer", go_on)

    def kill(self) -> None:
        """End it, with all that it has started; nothing more of it counts."""
        with contextlib.suppress(OSError):
            self._requests.close()
        if self._pid is not None and not self._gone:
            kill_group(self._pid)
            self._reader.join(5)

    def _post(self, *message: Any) -> None:
        # Of a worker that has died, the inbox will tell.
        with contextlib.suppress(OSError, ValueError):
            pickle.dump(message, self._requests, protocol=5)
            self._requests.flush()

    def _read(self, replies: IO[bytes]) -> None:
        """Hand on what it says, until it is gone."""
        with replies:
            while True:
                try:
                    kind, value = pickle.load(replies)  # noqa: S301
                except (EOFError, OSError, pickle.UnpicklingError):
                    break
                if kind == "ready":
                    self._pid = value
                else:
                    self._inbox.put((self, kind, value))
        how = self._end()
        self._gone = True
        self._inbox.put((self, "died", how if self._pid is not None else None))


class Packed:
    """Work as bytes, to be sent to several workers.

    Raises:
        NoProcessError: It cannot be sent.
    """

    def __init__(self, work: Callable[[Any, Channel], Any]) -> None:
        try:
            self.data = dumps(work)
        except Exception as error:  # whatever a user's object raises when it is written
            raise NoProcessError(f"what it needs cannot be sent ({type(error).__name__}: {error})") from error


def receive(inbox: SimpleQueue[Message]) -> Message:
    """Return the next message, decoded: values as they were sent, and for ``raised`` the error itself.

    Raises:
        NoProcessError: A worker could not begin.
    """
    while True:
        message = receive_within(inbox, _LOOK_S)
        if message is not None:
            return message


def receive_within(inbox: SimpleQueue[Message], seconds: float) -> Message | None:
    """Return the next message as `receive` does; None where there is none for so many seconds."""
    stops.check()
    try:
        worker, kind, value = inbox.get(timeout=seconds)
    except Empty:
        return None
    if kind == "died":
        worker.kill()
        if value is None:
            raise NoProcessError("a process that was started ended before it began")
        return worker, kind, in_words(value)
    if kind in {"raised", "unread"}:
        error = far_error(value)
        if kind == "unread":
            raise NoProcessError(f"what it needs cannot be read there ({type(error).__name__}: {error})")
        return worker, kind, error
    return worker, kind, None if value is None else pickle.loads(value)  # noqa: S301


def far_error(data: bytes) -> BaseException:
    """Return an error that was raised elsewhere, with the place; see `robonas.processes.serving.portable`."""
    error, told = pickle.loads(data)  # noqa: S301
    error.__cause__ = FarTraceError(told)
    assert isinstance(error, BaseException)
    return error


def in_words(code: int) -> str:
    """Return how a process ended: ``by signal 11 (SIGSEGV)``, or ``with exit code 3``.

    Args:
        code: The exit code; negative for the number of a signal.
    """
    if code >= 0:
        return f"with exit code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    memory = ", perhaps for want of memory" if name == " (SIGKILL)" else ""
    return f"by signal {-code}{name}{memory}"


# ── keeping ──

KEEP_S = 10.0
"""Seconds for which a worker that is free is kept for the next work."""
_kept: dict[Worker, tuple[object, threading.Timer]] = {}


def borrow(work: Packed, inbox: SimpleQueue[Message]) -> Worker:
    """Return a worker for this work: one that was kept, or a new one.

    Raises:
        NoProcessError: No process can be started.
    """
    while True:
        with _lock:
            worker, (code, timer) = _kept.popitem() if _kept else (None, (None, None))
        if worker is None or timer is None:
            return Worker(work, inbox)
        timer.cancel()
        if code == _code() and worker.take_on(work, inbox):
            return worker
        worker.kill()


def give_back(worker: Worker) -> None:
    """Keep a worker that is free for a while: it has imported what the next work is likely to need."""

    def end() -> None:
        with _lock:
            kept = _kept.pop(worker, None)
        if kept is not None:
            worker.kill()

    timer = threading.Timer(KEEP_S, end)
    timer.daemon = True
    with _lock:
        _kept[worker] = _code(), timer
    timer.start()


def _code() -> object:
    """Return the time of each file of the user's own modules, to find out whether one was changed."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    own = {file for file in files if file and not file.startswith((sys.prefix, sys.base_prefix))}
    return {file: os.stat(file).st_mtime_ns for file in own if os.path.exists(file)}  # noqa: PTH110, PTH116


_told: set[str] = set()


def warn_of(reason: NoProcessError, what: str) -> None:
    """Warn, once for each reason, that work is done in this process instead."""
    sentence = f"No process of its own for {what}: {reason}. It runs in this one, which a crash would end."
    if sentence not in _told:
        _told.add(sentence)
        warnings.warn(sentence, RuntimeWarning, stacklevel=3)


def _setting() -> dict[str, Any]:
    """Return what a worker must have in common with this process."""
    return {
        "path": list(sys.path),
        "folder": os.getcwd(),  # noqa: PTH109
        "environment": dict(os.environ),
        "torch": torch_settings(),
    }


# ── starting ──


def _interpreter(control: int | None) -> list[str]:
    """Return the command of an interpreter like this one, that begins to serve."""
    executable = spawn.get_executable()
    if not executable:
        raise OSError("this interpreter does not know its own program")
    start = {
        "path": [place for place in sys.path if isinstance(place, str)],  # Python skips others, such as a Path
        "parent": os.getpid(),
        "bound": threading.current_thread() is threading.main_thread(),
        # What is imported once, by the nursery, is not imported by each worker.
        "modules": [name for name in list(sys.modules) if name.partition(".")[0] == "robonas" and name[-1] != "_"],
        "control": control,
    }
    flags = util._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    return [os.fsdecode(executable), *flags, "-c", _BEGIN, json.dumps(start)]


class _Nursery:
    """The process that forks this one's workers."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603  # this interpreter
                _interpreter(theirs.fileno()),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.control = ours

    def order(self, handles: list[int]) -> None:
        """Return a worker, that has these three handles."""
        socket.send_fds(self.control, [b"w"], handles)

    def close(self) -> None:
        """End it; what it has forked ends too."""
        self.control.close()
        self.process.kill()
        self.process.wait()


_lock = threading.Lock()
_nursery: _Nursery | None = None


def _start() -> tuple[IO[bytes], IO[bytes], Callable[[], int]]:
    """Return a new worker: where to write requests, where replies come, and what waits for its exit code."""
    if sys.platform != "linux":
        return _start_alone()
    below, above, status, end = *os.pipe(), *os.pipe()
    replies, answers = os.pipe()
    theirs = [below, answers, end]
    try:
        _order(theirs)
    except BaseException:
        for handle in (above, replies, status):
            os.close(handle)
        raise
    finally:
        for handle in theirs:
            os.close(handle)

    def code() -> int:
        with os.fdopen(status, "rb") as stream:
            told = stream.read(4)
        return struct.unpack("i", told)[0] if len(told) == 4 else -signal.SIGKILL

    return os.fdopen(above, "wb"), os.fdopen(replies, "rb"), code


def _order(handles: list[int]) -> None:
    global _nursery  # noqa: PLW0603  # one a process
    with _lock:
        if _nursery is not None:
            try:
                _nursery.order(handles)
            except OSError:  # somebody has killed it
                _nursery.close()
                _nursery = None
            else:
                return
        _nursery = _Nursery()
        _nursery.order(handles)


def _start_alone() -> tuple[IO[bytes], IO[bytes], Callable[[], int]]:
    process = subprocess.Popen(  # noqa: S603  # this interpreter
        _interpreter(None), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=os.name == "posix"
    )
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout, process.wait


def _forget() -> None:
    """Forget the nursery in a fork of this process, which does not own it."""
    global _nursery, _lock
    _nursery, _lock = None, threading.Lock()
    _kept.clear()


@atexit.register
def _close() -> None:
    global _nursery  # noqa: PLW0603
    for worker in list(_kept):
        worker.kill()
    if _nursery is not None:
        _nursery.close()
        _nursery = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
