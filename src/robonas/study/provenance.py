"""The origin of a search: its data, command line, machine, versions and date; none of it changes a result."""

from __future__ import annotations

import datetime as dt
import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robonas.study.storage import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robonas.objectives.base import Objective

PROVENANCE = "provenance"
"""User attribute of a study: its data, its first and its latest session, and the number of sessions."""
PACKAGES = ("robonas", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "botorch", "optuna")
"""Packages whose versions are noted, as far as they are installed."""


def date() -> str:
    """Return the date and the time of day, as a study notes them."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def session(begun: str) -> dict[str, Any]:
    """Return what is known of this process: JSON values, without passwords.

    Args:
        begun: The `date` when the search was called.
    """
    return {
        "date": begun,
        "command": command_line(),
        "folder": _text(os.getcwd()),  # noqa: PTH109  # a text
        "machine": machine(),
        "versions": {"python": platform.python_version()} | _versions(),
    }


def command_line() -> str | None:
    """Return the command line of this process as one types it; None where it has none, as in a notebook."""
    program, *rest = sys.argv or [""]
    name = Path(program).name
    if name in {"", "-", "-c", "ipykernel_launcher.py", "colab_kernel_launcher.py"}:
        return None
    if name == "__main__.py":
        name = f"python -m {Path(program).parent.name}"
    elif name.endswith(".py"):
        name = f"python {shlex.quote(program)}"
    return _text(" ".join([name, *(shlex.quote(shown(argument)) for argument in rest)]))


def machine() -> dict[str, Any]:
    """Return the name of this machine, its system, processor, number of cores, and the GPU where PyTorch uses one."""
    found: dict[str, Any] = {
        "name": platform.node(),
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "processor": _processor(),
        "cores": os.cpu_count(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def noted(known: Mapping[str, Any] | None, objective: Objective, begun: str) -> dict[str, Any]:
    """Return what a study shall know of where it came from, with this session.

    Args:
        known: Notes that it has already; None for none.
        objective: The objective, which tells of its data.
        begun: The `date` when this search was called, before anything was scored.
    """
    now = session(begun)
    before = dict(known or {})
    return {
        "data": objective.about_data(),
        "first": before.get("first") or now,
        "latest": now,
        "sessions": int(before.get("sessions") or 0) + 1,
    }


def _text(name: str) -> str:
    """Return a text that any file can hold: bytes of a file's name that are no text are written as numbers."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in stream if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
