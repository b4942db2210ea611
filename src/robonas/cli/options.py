"""Options that several commands share; those that are used together are a group, which `takes_groups` adds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from robonas.cli.completion import names_of
from robonas.cli.help import DATA, METRICS, PLAN, RESULTS, RUN, SPACE, TRAINING
from robonas.cli.reading import DefaultData, read_data, read_precision, read_space, read_strategy
from robonas.common.defaults import STRATEGY
from robonas.common.files import check_file, check_folder
from robonas.errors import ConfigError

if TYPE_CHECKING:
    from robonas.datasets import LabelledData
    from robonas.spaces import SearchSpace
    from robonas.strategies import Strategy
    from robonas.study.result import SearchResult


def not_empty(text: str | None) -> str | None:
    """Return a text that says something."""
    if text is not None and not text.strip():
        raise typer.BadParameter("It must not be empty. Leave it out for its default.")
    return text


def _data_named(ctx: typer.Context, text: str) -> str:
    """Return a text that names data; a `DefaultData` where neither the command line nor a settings file gives one."""
    not_empty(text)
    source = ctx.get_parameter_source("data")
    return DefaultData(text) if source is not None and source.name == "DEFAULT" else text


def _file_to_write(text: str | Path) -> Path:
    """Return a file that a command writes, looked at before the command begins."""
    if not str(text):
        raise typer.BadParameter("It must name a file; got an empty text.")
    return check_file(text)


def _folder_to_write(text: str | Path) -> Path:
    """Return a folder that a command writes to, looked at before the command begins."""
    if not str(text):
        raise typer.BadParameter("It must name a folder; got an empty text.")
    return check_folder(text)


def _a_storage(text: str | None) -> str | None:
    """Return a storage's URL, or the path of a journal, which must not be a folder or a device."""
    if text is not None and not text:
        raise typer.BadParameter("It must be a storage's URL, or the path of a journal; got an empty text.")
    if text is not None and "://" not in text and Path(text).exists() and not Path(text).is_file():
        raise typer.BadParameter(f"It must be a storage's URL, or the path of a journal; '{text}' is no file.")
    return text


def output_file(help: str) -> Any:  # noqa: A002
    """Return the option of a file that a command writes."""
    return typer.Option("--output", "-o", help=help, parser=_file_to_write, metavar="FILE", rich_help_panel=RESULTS)


def output_folder(help: str, short: tuple[str, ...] = ("-o",)) -> Any:  # noqa: A002
    """Return the option of a folder that a command writes to, with its short names."""
    return typer.Option(
        "--folder", *short, help=help, parser=_folder_to_write, metavar="FOLDER", rich_help_panel=RESULTS
    )


# ── single options ──

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout, and no progress.", rich_help_panel=RESULTS)
]
Folder = Annotated[Path, typer.Argument(help="Folder of a search.")]
AnyFolder = Annotated[Path, typer.Argument(help="Folder of a search, or of a full training.")]
Name = Annotated[str, typer.Option(help="Name of the study in the folder.", rich_help_panel=RESULTS)]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Optuna storage URL of the study.  [default: a file in the folder]",
        callback=_a_storage,
        rich_help_panel=RESULTS,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        help="A folder with one folder of images for each class, an .npz file, digits, sklearn:NAME, torchvision:NAME, "
        "hf:NAME, or package.module:NAME; see 'robonas list datasets'.",
        callback=_data_named,
        autocompletion=names_of("datasets"),
        rich_help_panel=DATA,
    ),
]
OwnSpace = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="package.module:NAME",
        help="The search's space, if you wrote it yourself; it is never imported because a folder names it.",
        callback=not_empty,
        rich_help_panel=SPACE,
    ),
]
OwnStrategy = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        metavar="package.module:NAME",
        help="The search's strategy, if you wrote it yourself; needed only where the folder does not hold what it has "
        "learned.",
        callback=not_empty,
        rich_help_panel=PLAN,
    ),
]
SpaceSetting = Annotated[
    list[str],
    typer.Option(
        "--space-set",
        metavar="KEY=VALUE",
        help="Setting of the space, such as channels=16. May be repeated.",
        rich_help_panel=SPACE,
    ),
]


def _metrics(default: str = "") -> Any:
    """Return the option that names metrics, with what its help says of the default."""
    return typer.Option(
        "--metrics",
        "-m",
        help="Metric, or several with commas; see 'robonas list metrics'. 'auto': the cheap ones that "
        f"have a record over known tasks. May be repeated.{default}",
        autocompletion=names_of("metrics"),
        rich_help_panel=METRICS,
    )


Metrics = Annotated[list[str], _metrics()]
SearchMetrics = Annotated[list[str], _metrics("  [default: auto; for the strategy robot the six of its paper]")]
Pool = Annotated[int, typer.Option(help="Number of architectures to sample from the space.", rich_help_panel=PLAN)]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers, from 0.", rich_help_panel=RUN)]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        help="Number of worker processes; -1: one for each core; 0: none, all in this process.",
        rich_help_panel=RUN,
    ),
]
Logs = Annotated[
    list[str],
    typer.Option(
        "--log",
        help="Log to tensorboard (into the folder), mlflow or wandb, which are extras. May be repeated.",
        rich_help_panel=RESULTS,
    ),
]

# ── groups ──


@dataclass
class ReadingOptions:
    """The options that say how data are read."""

    HEADING: ClassVar[str] = DATA

    data_root: Annotated[Path | None, typer.Option(help="Folder in which torchvision keeps its data sets.")] = None
    image_size: Annotated[
        int | None,
        typer.Option(help="Side in pixels to which images of a folder, or digits of other tasks, are resized."),
    ] = None
    image_mode: Annotated[
        str | None, typer.Option(metavar="[RGB|L]", help="Convert images of a folder to colour (RGB) or to grey (L).")
    ] = None

    data_set: Annotated[
        list[str],
        typer.Option(
            metavar="KEY=VALUE",
            help="Setting of the kind of data, such as target=fine_label for hf:NAME. May be repeated.",
        ),
    ] = field(default_factory=list)

    def read(self, text: str, *, part: str | None = None) -> LabelledData:
        """Read the data of that text; the part is for those of torchvision and of Hugging Face."""
        return read_data(text, self.data_root, self.image_size, self.image_mode, self.data_set, part=part)

    def check_unused(self) -> None:
        """Refuse every option that was given where no data are read.

        Raises:
            ConfigError: One was given.
        """
        for option, given in (
            ("--data-root", self.data_root),
            ("--image-size", self.image_size),
            ("--image-mode", self.image_mode),
            ("--data-set", self.data_set or None),
        ):
            if given is not None:
                raise ConfigError(f"`{option}` says how data are read, and needs `--data`; got {given} without.")


@dataclass
class SpaceOptions:
    """The options of a search space."""

    HEADING: ClassVar[str] = SPACE

    space: Annotated[
        str,
        typer.Option(
            help="Search space: a name, or package.module:NAME; see 'robonas list spaces'.",
            autocompletion=names_of("spaces"),
        ),
    ] = "nasbench201"
    space_set: SpaceSetting = field(default_factory=list)

    def made(self, data: LabelledData, *, smaller: bool = False) -> SearchSpace:
        """Make the space for some data; its networks may be smaller than the images where the recipe crops."""
        return read_space(self.space, self.space_set, data, smaller=smaller)

    @property
    def own(self) -> str | None:
        """The reference to the user's own space; None for a name."""
        return self.space if ":" in self.space else None


@dataclass
class StrategyOptions:
    """The options of a strategy."""

    HEADING: ClassVar[str] = PLAN

    strategy: Annotated[
        str,
        typer.Option(
            help="Strategy that chooses which network to train next; see 'robonas list strategies'.",
            autocompletion=names_of("strategies"),
        ),
    ] = STRATEGY
    strategy_set: Annotated[
        list[str], typer.Option(metavar="KEY=VALUE", help="Setting of the strategy. May be repeated.")
    ] = field(default_factory=list)

    def made(self) -> Strategy:
        """Make the strategy."""
        return read_strategy(self.strategy, self.strategy_set)


@dataclass
class PlanOptions:
    """The options that say how much is tried."""

    HEADING: ClassVar[str] = PLAN

    budget: Annotated[int, typer.Option("--budget", "-T", help="Number of networks to train.")] = 20
    pool: Pool = 1000
    share: Annotated[
        str,
        typer.Option(
            help="Candidates that are one query: canonical, those that build the same network, or class, all whose "
            "networks are the same function and differ by the draw of their parameters only."
        ),
    ] = "canonical"
    grow: Annotated[
        int,
        typer.Option(help="Number of children of the best that join the pool before each query; 0 for a fixed pool."),
    ] = 0
    prune: Annotated[
        str | None,
        typer.Option(
            help="End trainings with little hope early: hyperband, median or successive_halving. They count towards "
            "the budget."
        ),
    ] = None
    confirm: Annotated[
        int,
        typer.Option(
            help="Number of the best networks to train again with other seeds, after the budget is spent; the winner "
            "is then the one with the best mean. 0 for none."
        ),
    ] = 0
    repeats: Annotated[int, typer.Option(help="Number of other seeds for each network that is confirmed.")] = 3


@dataclass
class ScoringOptions:
    """The options that say how metrics are computed."""

    HEADING: ClassVar[str] = METRICS

    seed: Seed = 0
    batch_size: Annotated[int, typer.Option(help="Number of samples in the batch that the metrics see.")] = 64
    jobs: Jobs = -1
    score_device: Annotated[
        str,
        typer.Option(
            help="Device of the networks that metrics see: cpu, cuda, cuda:N, mps, or auto. The worker processes share "
            "it, and each needs memory there."
        ),
    ] = "cpu"


@dataclass
class TrainingOptions:
    """The options that say how a training is judged, and on what it runs."""

    HEADING: ClassVar[str] = RUN

    measure: Annotated[
        str | None,
        typer.Option(
            help="Measure on held-out data by which networks are judged: loss; for classes accuracy (default), "
            "balanced_accuracy, f1, auroc, average_precision or matthews; for several labels f1, auroc or "
            "average_precision; for numbers r2 or mae; for segments mean_iou, dice or pixel_accuracy; for images ssim.",
            rich_help_panel=TRAINING,
        ),
    ] = None
    device: Annotated[str, typer.Option(help="Device to train on: auto, cpu, cuda or mps.")] = "auto"
    mixed_precision: Annotated[
        str,
        typer.Option(
            metavar="[auto|yes|no|bf16|fp16]",
            help="Compute in half precision where that is safe; auto: on CUDA only.",
        ),
    ] = "auto"
    threads: Annotated[
        int | None,
        typer.Option(
            help="Number of CPU threads of a training, on which its rounding depends; 0 for PyTorch's own setting, "
            "mostly one for each core (in a full training of fewer than 10 million multiply-adds a sample: one).  "
            "[default: 1 in a search; 0 in a full training]"
        ),
    ] = None
    workers: Annotated[int, typer.Option(help="Number of processes that read data ahead, where data stay on disk.")] = 0

    def settings(self, threads: int | None) -> dict[str, Any]:
        """Return the settings by the names that `TrainingObjective` and `train` have for them.

        Args:
            threads: Number of threads where the option is not given; None for PyTorch's setting.
        """
        return {
            "measure": self.measure,
            "device": self.device,
            "mixed_precision": read_precision(self.mixed_precision),
            "threads": threads if self.threads is None else self.threads or None,
            "n_workers": self.workers,
        }


@dataclass
class StudyOptions:
    """The options that name a study which is already there, and code of the user's own that it used."""

    name: Name = "search"
    storage: Storage = None
    space: OwnSpace = None
    strategy: OwnStrategy = None

    def load(self, folder: Path) -> SearchResult:
        """Load the result of the study in a folder."""
        from robonas.study.loop import load_result

        return load_result(folder, self.name, storage=self.storage, space=self.space, strategy=self.strategy)
