"""Standard output and error that fit any terminal, pipe and disk."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import IO, Any

from robonas.errors import ConfigError


class _Output(io.TextIOWrapper):
    """Standard output that tells a full disk in one sentence."""

    def write(self, text: str, /) -> int:
        """Write a text."""
        with _told():
            return super().write(text)
        raise AssertionError("unreachable: the block has returned or raised")

    def flush(self) -> None:
        """Send on what is written."""
        with _told():
            super().flush()


@contextlib.contextmanager
def _told() -> Any:
    try:
        yield
    except BrokenPipeError:
        raise  # who reads has seen enough: no trouble
    except OSError as error:
        raise ConfigError(
            f"Cannot write the output: {error.strerror or error}. Make room, or send it elsewhere."
        ) from error


def open_streams() -> None:
    """Let standard output and error take any text, and any trouble of the output be told in one sentence.

    A letter that their encoding lacks becomes a question mark. In UTF-8, bytes of a file's name that are no text come
    out as the bytes that they are.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and not isinstance(sys.stdout, _Output):
        encoding, by_line = sys.stdout.encoding, sys.stdout.line_buffering
        errors = "surrogateescape" if speaks_unicode(sys.stdout) else "replace"
        sys.stdout = _Output(sys.stdout.detach(), encoding, errors, line_buffering=by_line)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="surrogateescape" if speaks_unicode(sys.stderr) else "replace")


def close_streams() -> None:
    """Send what is left on its way; after this, nothing more can go wrong with the output.

    Raises:
        ConfigError: It cannot be written.
        BrokenPipeError: Nobody reads it any more.
    """
    try:
        sys.stdout.flush()
    except (OSError, ConfigError):
        drop_output()
        raise


def drop_output() -> None:
    """Send the rest of the output nowhere, so that the interpreter does not complain about it at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def speaks_unicode(stream: IO[str]) -> bool:
    """Return whether every character can be written to a stream."""
    return (getattr(stream, "encoding", None) or "utf").lower().startswith("utf")


def json_text(value: Any) -> str:
    """Return a value as JSON that standard output can write without loss."""
    return json.dumps(value, indent=2, default=str, ensure_ascii=not speaks_unicode(sys.stdout))
