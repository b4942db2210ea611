"""Every error that robonas raises on purpose.

    NasError
    ├── ArchitectureError(ValueError)    a choice, an option or a text that the space does not have
    ├── UnknownNameError(LookupError)    no such metric, space, strategy, data set, …
    ├── DataError(ValueError)            images, labels or a batch that cannot be used
    ├── NetworkError(ValueError)         a network whose output is not what the task needs
    ├── MetricError(RuntimeError)        a metric has no value here; becomes NaN with this reason
    ├── ObjectiveError(RuntimeError)     a training diverged or crashed; becomes a failed trial
    ├── ScoreTableError(ValueError)      a score file that is damaged, or of another run
    ├── TableError(ValueError)           a benchmark file that is damaged, unsafe, or lacks what is asked of it
    ├── AskTellError(RuntimeError)       told twice, never asked, budget spent
    ├── StudyError(ValueError)           a study that is damaged, locked, or of other settings
    ├── CheckpointError(ValueError)      a full training that is damaged, in use, unfinished, or of other settings
    ├── ConfigError(ValueError)          a setting out of range, or settings that contradict
    ├── OutputError(OSError)             a file or folder that cannot be written
    └── MissingExtraError(ImportError)   an optional dependency is not installed

Each is also the builtin that fits, so that existing ``except`` clauses keep working. A message is one sentence or two:
the rule, the value that came, the place, the remedy. The command line prints it as one line and exits with 2.
"""

from __future__ import annotations


class NasError(Exception):
    """Base of all errors that robonas raises on purpose."""


class ArchitectureError(NasError, ValueError):
    """An architecture that does not belong to the space."""


class UnknownNameError(NasError, LookupError):
    """A name that no catalogue knows.

    Attributes:
        kind: Kind of the unknown name, such as ``"metric"``.
        name: The name that was given.
        known: The names that exist.
    """

    def __init__(self, message: str, *, kind: str = "", name: str = "", known: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name
        self.known = known


class DataError(NasError, ValueError):
    """Images, labels or a batch that cannot be used."""


class NetworkError(NasError, ValueError):
    """A network whose output is not what the task needs."""


class MetricError(NasError, RuntimeError):
    """A metric has no value for this network; the score becomes NaN with this reason."""


class ObjectiveError(NasError, RuntimeError):
    """An evaluation failed; the trial counts, with this reason."""


class ScoreTableError(NasError, ValueError):
    """A score file that is damaged, or that belongs to another run."""


class TableError(NasError, ValueError):
    """A benchmark file that is damaged or unsafe, or that lacks the column that is asked for."""


class AskTellError(NasError, RuntimeError):
    """A strategy was asked or told out of turn."""


class StudyError(NasError, ValueError):
    """A study that is damaged, locked, or of other settings."""


class CheckpointError(NasError, ValueError):
    """The files of a full training are damaged, in use, not finished, or of other settings."""


class ConfigError(NasError, ValueError):
    """A setting out of its range, or settings that contradict each other."""


class OutputError(NasError, OSError):
    """A file or folder that cannot be written: the disk is full, or the place is none to write to."""


def installing(extra: str) -> str:
    """Return the lines that install an extra of robonas, from a package index and from a clone."""
    return f"pip install 'robonas[{extra}]' (in a clone: pip install '.[{extra}]')"


class MissingExtraError(NasError, ImportError):
    """An optional dependency is not installed.

    Attributes:
        extra: The extra of robonas that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional dependency. Install it with: {installing(extra)}.")
        self.extra = extra
