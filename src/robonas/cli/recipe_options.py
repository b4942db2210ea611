"""An option for every setting of a recipe, for the commands that train."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from robonas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

FLAGS = {"batch_size": "train_batch_size"}
"""Options with another name than the setting's: the metrics have a batch too."""


def takes_recipe(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every setting of `Recipe`; it gets them by name in its argument `recipe`."""
    from robonas.training.recipe import Recipe, meanings

    hints, texts = get_type_hints(Recipe), meanings()
    options = [
        inspect.Parameter(
            FLAGS.get(setting.name, setting.name),
            inspect.Parameter.KEYWORD_ONLY,
            default=setting.default,
            annotation=_annotation(hints[setting.name], texts.get(setting.name, "")),
        )
        for setting in dataclasses.fields(Recipe)
    ]
    own = inspect.signature(command, eval_str=True).parameters.values()
    place = [parameter.name for parameter in own].index("recipe")
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    parameters[place : place + 1] = options

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        recipe = {
            setting.name: arguments.pop(FLAGS.get(setting.name, setting.name)) for setting in dataclasses.fields(Recipe)
        }
        try:
            Recipe(**recipe)
        except ConfigError as error:  # told before any data are read, and by the names that the options have
            told = str(error)
            for setting, flag in FLAGS.items():
                told = told.replace(f"`{setting}`", f"`{flag}`")
            raise ConfigError(told) from error
        command(**arguments, recipe=recipe)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _annotation(hint: Any, text: str) -> Any:
    """Return the type of an option; one of several words is a text with these words shown."""
    if get_origin(hint) is Literal:
        return Annotated[str, typer.Option(help=text, metavar=f"[{'|'.join(get_args(hint))}]")]
    return Annotated[hint, typer.Option(help=text)]
