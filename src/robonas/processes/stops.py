"""Signals that ask the command line to stop: Ctrl-C, a closed terminal, `kill`, the end of a job's time.

Within `stopping`, the first signal raises `Stop` where the program is, or a moment later where that is code that would
swallow it or leave a database in the middle of something. It must then be over within seconds: after `PATIENCE_S`, or
soon after a second signal, the process ends at once. Libraries are not touched: without `stopping`, Python does what it
always does.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

PATIENCE_S = 5.0
"""Seconds from the first signal until the process ends wherever it is."""
IMPATIENCE_S = 1.0
"""Seconds from the second signal."""
_AGAIN_S = 0.02
"""Seconds until the next attempt to raise, where it is not a good moment."""
_DELICATE = ("sqlalchemy", "optuna.storages", "weakref", "logging", "contextlib")
"""Modules not interrupted for `_LENIENCE_S`: they swallow it, speak of it at length, or forget what to undo."""
_LENIENCE_S = 2.0
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that end the program."""
WORDS = "Stopped. Finished work is kept: run the same command again to go on."
"""Sentence that is said when one comes."""


class Stop(KeyboardInterrupt):
    """The user or the system wants the program to end.

    Attributes:
        signum: The number of the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class _State:
    """The signals received so far."""

    signum: int | None = None
    since = 0.0
    raised = False
    again = 0
    told = False


_state = _State()


def received() -> int | None:
    """Return the signal that has asked to stop; None while none has."""
    return _state.signum


def tell(say: Callable[[str], None]) -> int:
    """Say once that the program was stopped; returns what a shell shows for one that ended by the signal."""
    if not _state.told:
        _state.told = True
        say(WORDS)
    return 128 + (_state.signum or signal.SIGINT)


def check() -> None:
    """Stop here, if a signal has come and was swallowed where it was raised: to be called between steps.

    Raises:
        Stop: It has.
    """
    if _state.signum is not None and threading.current_thread() is threading.main_thread():
        raise Stop(_state.signum)


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Let signals raise `Stop` in the main thread until the block ends; ignored ones, as by nohup, stay ignored."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    chosen = [number for number, handler in before.items() if handler not in {signal.SIG_IGN, None}]
    near, far = socket.socketpair()
    far.setblocking(False)
    hook = sys.unraisablehook
    _state.signum, _state.raised, _state.told = None, False, False
    sys.unraisablehook = _swallowed
    for number in chosen:
        signal.signal(number, _handle)
    wakeup = signal.set_wakeup_fd(far.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_guard, args=(near, frozenset(chosen)), daemon=True).start()
    try:
        yield
    finally:
        if received() is None:
            signal.set_wakeup_fd(wakeup)
            for number in chosen:
                signal.signal(number, before[number])
            sys.unraisablehook = hook
            far.close()  # ends the guard
        else:  # the process is about to end; the guard sees to it
            _open.append(far)
            for number in chosen:
                signal.signal(number, signal.SIG_IGN)


def _handle(signum: int, frame: FrameType | None) -> None:
    """Raise the stop in the main thread, or try again later if the moment is bad."""
    if _state.signum is None:
        _state.signum, _state.since = signum, time.monotonic()
    elif _state.raised:
        return  # on the way out already
    if _is_delicate(frame) and time.monotonic() - _state.since < _LENIENCE_S:
        _again()
        return
    _state.raised = True
    raise Stop(_state.signum)


def _is_delicate(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(_DELICATE):
            return True
        frame = frame.f_back
    return False


def _again() -> None:
    """Have the signal handled once more, a moment later."""
    timer = threading.Timer(_AGAIN_S, _signal_again)
    timer.daemon = True
    timer.start()


def _signal_again() -> None:
    _state.again += 1  # which is not the user's second signal
    assert _state.signum is not None
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, _state.signum)
    else:
        signal.raise_signal(_state.signum)


def _swallowed(problem: Any) -> None:
    """Handle an error that nobody can catch, such as one in a callback of the garbage collector; raise a stop again."""
    if isinstance(problem.exc_value, Stop):
        _state.raised = False
        _again()
    else:
        sys.__unraisablehook__(problem)


def _guard(signals: socket.socket, chosen: frozenset[int]) -> None:
    """End the process when its time is over; runs in a thread of its own, which nothing delays."""
    deadline, n = math.inf, 0
    with signals:
        while True:
            signals.settimeout(None if deadline == math.inf else max(deadline - time.monotonic(), 0.001))
            try:
                numbers = signals.recv(16)
            except TimeoutError:
                _end()
            if not numbers:
                return
            for _ in (number for number in numbers if number in chosen):
                if _state.again:
                    _state.again -= 1
                    continue
                n += 1
                deadline = min(deadline, time.monotonic() + (PATIENCE_S if n == 1 else IMPATIENCE_S))


def leave() -> NoReturn:
    """End the process in order, but without the interpreter's own end, which can take long where an import was cut."""
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    _end()


def _end() -> NoReturn:
    """End it now."""
    if sys.stderr.isatty():
        _write("\x1b[?25h")  # progress bars hide the cursor
    os._exit(tell(lambda words: _write(words + "\n")))


def _write(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, text.encode())


_open: list[socket.socket] = []


def _as_usual() -> None:
    """Restore the default action of signals in a fork of this process, such as one that reads data."""
    for number in SIGNALS:
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_as_usual)
