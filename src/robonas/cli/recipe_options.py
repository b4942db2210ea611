"""An option for every setting of a recipe, for the commands that train."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import typer

from robonas.cli.help import TRAINING
from robonas.errors import ConfigError
from robonas.training.recipe import Recipe, meanings

FLAGS = {"batch_size": "train_batch_size"}
"""Options with another name than the setting's: the metrics have a batch too."""


def _annotation(hint: Any, text: str) -> Any:
    """Return the type of an option; one of several words is a text with these words shown."""
    if get_origin(hint) is Literal:
        return Annotated[str, typer.Option(help=text, metavar=f"[{'|'.join(get_args(hint))}]")]
    return Annotated[hint, typer.Option(help=text)]


_HINTS, _TEXTS = get_type_hints(Recipe), meanings()
_Options: Any = dataclasses.make_dataclass(
    "_Options",
    [
        (
            FLAGS.get(setting.name, setting.name),
            _annotation(_HINTS[setting.name], _TEXTS.get(setting.name, "")),
            dataclasses.field(default=setting.default),
        )
        for setting in dataclasses.fields(Recipe)
    ],
)


@dataclasses.dataclass
class RecipeOptions(_Options):
    """The group of all settings of `Recipe`, checked before any data are read.

    Raises:
        ConfigError: A setting out of range.
    """

    HEADING: ClassVar[str] = TRAINING

    def __post_init__(self) -> None:
        try:
            Recipe(**self.settings())
        except ConfigError as error:
            told = str(error)
            for setting, flag in FLAGS.items():  # by the names that the options have
                told = told.replace(f"`{setting}`", f"`{flag}`")
            raise ConfigError(told) from error

    def settings(self) -> dict[str, Any]:
        """Return the settings by the names that `Recipe` has for them."""
        return {
            setting.name: getattr(self, FLAGS.get(setting.name, setting.name)) for setting in dataclasses.fields(Recipe)
        }
