"""The next steps after a search: the commands that train, predict and export, and the files that are there."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robonas.report.learned import data_of, objective_settings
from robonas.study.query import training_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from robonas.spaces import SearchSpace
    from robonas.study.result import SearchResult

LONGER = 10
"""Ratio of the epochs of the full training to those of the search's."""
_DATA_OPTIONS = ("--data", "--image-size", "--image-mode", "--data-root", "--data-set")
_OTHER_FLAGS = {"batch_size": "--train-batch-size"}
"""Options with another name than the setting's."""


@dataclass(frozen=True)
class Step:
    """One thing to do next."""

    name: str
    """Its name, in a few words."""
    command: str
    """Command line, or lines of Python."""
    note: str
    """Its outcome."""


def steps(result: SearchResult) -> tuple[Step, ...]:
    """Return what to do with the winner: train it in full, predict with it, export it; or to go on with the search."""
    if all(query.value is None for query in result.queries):
        return ()
    return _commands(result) if result.folder is not None else _lines(result)


def _commands(result: SearchResult) -> tuple[Step, ...]:
    folder = str(result.folder)
    trained = str(training_folder(Path(folder), result.study))
    study = ["--name", result.study] if result.study != "search" else []
    own = own_space(result.space)
    steps = []
    if result.objective == "training":
        # A settings file may name the search's own folder for both commands.
        elsewhere = ["--folder", trained] if _settings_file(result) else []
        told = [*_data(result), *_recipe(objective_settings(result))]
        line = ["robonas", "train", *_settings_file(result), "--search", folder, *study, *own]
        line += [*told, *elsewhere]
        steps.append(
            Step("Train it in full", _join(line), f"More epochs than the search gave it; the result is in {trained}.")
        )
        found = [_join(["robonas", name, trained, *own]) for name in ("predict", "export")]
        images = len(data_of(result).get("input_shape") or ()) == 3
        steps.append(
            Step("Predict", f"{found[0]} {inputs_named(images=images)}", "Prints the likeliest answers for each input.")
        )
    else:
        line = ["robonas", "export", folder, *study, *own, "-o", "result.json"]
        return (Step("Export", _join(line), "Everything about the search, for other programs."),)
    steps.append(Step("Export", f"{found[1]} -o network.pt2", "PyTorch loads this file without robonas."))
    return tuple(steps)


def _lines(result: SearchResult) -> tuple[Step, ...]:
    export = Step("Export", 'robonas.export(result, "result.json")', "Everything about the search, for other programs.")
    if result.objective != "training":
        return (export,)
    train = f"trained = robonas.train(result, data, epochs={_epochs(objective_settings(result))})"
    return (
        Step("Train it in full", train, "More epochs than the search gave it."),
        Step("Build the network", "network = trained.build()", "A torch.nn.Module that takes inputs as they come."),
        export,
    )


def inputs_named(*, images: bool) -> str:
    """Return the name that stands for the user's inputs in a command that predicts."""
    return "IMAGE.png" if images else "INPUTS.npy"


def own_space(space: SearchSpace) -> list[str]:
    """Return the option that names a space of the user's own, since no folder may name it; nothing for one of ours.

    A file below the current folder is named from there, as the folder and the data of a command are.
    """
    file, colon, name = space.reference.rpartition(":")
    if not colon:
        return []
    place = Path(file)
    if file.endswith(".py") and place.is_relative_to(Path.cwd()):
        return ["--space", f"./{place.relative_to(Path.cwd()).as_posix()}:{name}"]
    return ["--space", space.reference]


def _epochs(settings: Mapping[str, Any]) -> int:
    """Return the epochs of a full training, from the settings of the search's own."""
    from robonas.training.recipe import Recipe

    return LONGER * int(settings.get("epochs", Recipe().epochs))


def _typed(result: SearchResult) -> list[str]:
    """Return the words of the latest command line, if it was ``robonas search``; else none."""
    session = result.provenance.get("latest")
    command = session.get("command") if isinstance(session, dict) else None
    try:
        words = shlex.split(command or "")
    except ValueError:
        return []
    for place, word in enumerate(words[:4]):
        if word == "search" and "robonas" in " ".join(words[:place]):
            return words[place + 1 :]
    return []


def _settings_file(result: SearchResult) -> list[str]:
    """Return the settings file of the search: the first word with its ending, wherever it stands."""
    return [word for word in _typed(result) if word.endswith(".toml") and not word.startswith("-")][:1]


def _data(result: SearchResult) -> list[str]:
    """Return the options that name the data, as far as they are known."""
    words = _typed(result)
    found: list[str] = []
    for place, word in enumerate(words):
        option, equals, _ = word.partition("=")
        if option in _DATA_OPTIONS:
            found += [word] if equals else words[place : place + 2]
    if found or words:
        return found
    data = data_of(result)
    name, shape = str(data.get("name") or "DATA"), list(data.get("input_shape") or ())
    kind = name.partition(":")[0]
    options = ["--data", name]
    if kind in {"folder", "torchvision"} and len(shape) == 3:
        options += ["--image-size", str(shape[-1]), *(["--image-mode", "L"] if shape[0] == 1 else [])]
    return options


def _recipe(settings: Mapping[str, Any]) -> list[str]:
    """Return the options of the recipe that the search used, where they are not the defaults, with more epochs."""
    from robonas.training.recipe import Recipe

    found: list[str] = []
    adam = settings.get("optimizer") == "adamw"
    usual = Recipe(optimizer="adamw") if adam else Recipe()  # its rates where none are given
    for setting in dataclasses.fields(Recipe):
        value = settings.get(setting.name, setting.default)
        if setting.name == "epochs":
            found += ["--epochs", str(_epochs(settings))]
        elif value != setting.default and (setting.name == "optimizer" or value != getattr(usual, setting.name)):
            flag = _OTHER_FLAGS.get(setting.name, "--" + setting.name.replace("_", "-"))
            if isinstance(setting.default, bool):
                found.append(flag if value else flag.replace("--", "--no-", 1))
            elif value is not None:
                found += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return found


def _join(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))


def files(result: SearchResult) -> tuple[tuple[str, str], ...]:
    """Return the files of a search by name, and what is in each; none for a search in memory."""
    if result.folder is None:
        return ()
    found = [("study.db", "every query, as an Optuna study; optuna-dashboard opens it")]
    found.append((f"{result.study}.scores.parquet", "the candidates and their scores"))
    if result.axes:
        found.append((f"{result.study}.front-….safetensors", "the trained weights of each network on the front"))
    elif result.parameters_file is not None:
        found.append((result.parameters_file.name, "the winner’s weights after its short training"))
    found += [("result.json", "the result, for other programs"), ("report.html", "this page")]
    return tuple(found)
