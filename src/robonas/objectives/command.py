"""`command`: a query is answered by a program of any language."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from robonas.common.settings import seconds_of
from robonas.errors import ConfigError, ObjectiveError
from robonas.objectives.base import Evaluation, Objective, Report
from robonas.objectives.function import check_direction
from robonas.objectives.values import finite_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from robonas.architecture import Architecture
    from robonas.spaces import SearchSpace

_TAIL = 200


class CommandObjective(Objective):
    """Runs a program and reads the last line that it prints as the value.

    The program gets a JSON object on its standard input::

        {"architecture": {"edge_0_1": "none", …}, "text": "|none~0|+…", "space": {"name": "nasbench201", …}, "seed": 0}

    and in its arguments, instead of ``{architecture}``, ``{text}`` and ``{seed}``, the same as JSON, text and number.
    No shell is involved, so that nothing in them is expanded. The architecture is canonical.

    In a search the program runs below a worker process. On Linux it ends, with all that it has started, when the search
    is stopped or killed, even by kill -9; elsewhere a search that is killed so leaves it running.

    An exit status other than 0, a last line that is not a finite number, and a program that outlives `timeout`, which
    is killed with all that it started, are each a failed evaluation; its reason quotes the end of the standard error.

    Args:
        command: Program and arguments, or one text, split as a shell would.
        timeout: Seconds; None for no limit.
        direction: ``"maximize"`` where a larger value is better, else ``"minimize"``.
        name: Name of the value.
        folder: Folder in which the program runs; None for the current folder.

    Raises:
        ConfigError: The command is empty, or the time is no positive number.
    """

    name = "command"
    isolated = True

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = None,
        direction: Literal["maximize", "minimize"] = "maximize",
        name: str = "value",
        folder: str | Path | None = None,
    ) -> None:
        try:
            self.command = shlex.split(command) if isinstance(command, str) else [str(part) for part in command]
        except ValueError as error:
            raise ConfigError(f"`command` must be a program and its arguments; got {command!r}: {error}.") from error
        if not self.command:
            raise ConfigError("`command` must be a program and its arguments; it is empty.")
        self.timeout = None if timeout is None else seconds_of("timeout", timeout)
        self.direction = check_direction(direction)
        self.value_name = name
        self.folder = None if folder is None else str(folder)

    @property
    def settings(self) -> dict[str, Any]:
        """The command and the time that it may take; what the program does is not looked at."""
        return {"command": self.command, "timeout": self.timeout, "folder": self.folder}

    def evaluate(
        self, space: SearchSpace, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Run the program; see `Objective.evaluate`. Nothing is reported before it ends.

        Raises:
            ObjectiveError: It failed, took too long, or printed no finite number.
            ConfigError: There is no such program, or it may not be run.
        """
        del report
        canonical = space.canonical(architecture)
        text = space.format(canonical)
        places = {"{architecture}": canonical.to_json(), "{text}": text, "{seed}": str(seed)}
        message = {
            "architecture": dict(canonical),
            "text": text,
            "space": {"name": space.name, **space.settings},
            "seed": seed,
        }
        started = time.perf_counter()
        output, errors, status = self._run([_fill(part, places) for part in self.command], json.dumps(message))
        seconds = time.perf_counter() - started
        program = f"Command {self.command[0]!r}"
        if status != 0:
            raise ObjectiveError(f"{program} ended with exit status {status}.{_tail(errors)}")
        lines = [line for line in output.splitlines() if line.strip()]
        if not lines:
            raise ObjectiveError(f"{program} must print the value as its last line; it printed nothing.{_tail(errors)}")
        try:
            value = float(lines[-1])
        except ValueError as error:
            raise ObjectiveError(
                f"{program} must print the value, a number, as its last line; it printed {lines[-1][:_TAIL]!r}."
            ) from error
        return Evaluation(finite_number(value, program), seconds)

    def _run(self, command: list[str], message: str) -> tuple[str, str, int]:
        """Return the standard output, standard error and exit status."""
        try:
            process = subprocess.Popen(  # noqa: S603  # running the user's program is the purpose; no shell
                command,
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # a group of its own, to be killed with all that it started
            )
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ConfigError(f"Cannot run command {command[0]!r}: there is no '{error.filename}'.") from error
        except (PermissionError, OSError) as error:
            raise ConfigError(f"Cannot run command {command[0]!r}: {error.strerror or error}.") from error
        with process:
            try:
                output, errors = process.communicate(message, timeout=self.timeout)
            except subprocess.TimeoutExpired as error:
                _kill(process)
                raise ObjectiveError(
                    f"Command {self.command[0]!r} was killed after {self.timeout:g} seconds."
                ) from error
            except BaseException:  # Ctrl-C must not leave it running
                _kill(process)
                raise
        return output, errors, process.returncode


def _fill(part: str, places: dict[str, str]) -> str:
    for place, text in places.items():
        if part == place:
            return text
    for place in ("{text}", "{seed}", "{architecture}"):
        part = part.replace(place, places[place])
    return part


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _tail(errors: str) -> str:
    """Return the last line of the standard error, where there is one."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return f" It said: {lines[-1][-_TAIL:]}" if lines else ""
