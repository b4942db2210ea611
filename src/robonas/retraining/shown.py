"""The facts of a full training in words, and the picture of its epochs for a notebook.

`TrainedNetwork` uses these functions, so that they cannot import it: a result is ``Any`` here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from robonas.common.chance import is_hardly_better
from robonas.common.notebook import COLOURS, Picture
from robonas.common.words import plural
from robonas.costs.size import size_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping


def title_of(result: Any) -> str:
    """Return what was trained, and for how long, in one line."""
    return f"TrainedNetwork: {result.space.name}, {plural(len(result.log), 'epoch')}"


def facts_of(result: Any, size: Mapping[str, float | None] | None) -> dict[str, str]:
    """Return the network, its training, and how good it is, each in words.

    Args:
        result: The trained network.
        size: Its ``parameters`` and ``macs``; None to leave them out.
    """
    kept = "the best on the validation part" if result.validation else "the last"
    measure = str(result.settings["measure"])
    words = {"value": measure.replace("_", " "), "loss": "loss", "top1": "top-1", "top5": "top-5"}
    for same in {"accuracy": ["top1"], "loss": ["value"]}.get(measure, []):  # else it would stand there twice
        words.pop(same)
    rows = {"architecture": result.text}
    if size is not None:
        rows["size"] = size_in_words(size)
    took = sum(row.seconds for row in result.log)
    rows["training"] = f"{plural(len(result.log), 'epoch')} in {took:.1f} s; kept epoch {result.epoch}, {kept}"
    for part, values in (("validation", result.validation), ("test", result.test)):
        if values is not None:
            rows[part] = ", ".join(f"{words[key]} {number:.4f}" for key, number in values.items() if key in words)
    if result.guess is not None and result.validation is not None:
        rows["by guessing"] = _guessing(result)
    rows["trained network"] = str(result.parameters_file)
    return rows


def _guessing(result: Any) -> str:
    """Return what the same answer to every input reaches, and whether the network is hardly better."""
    value, error, n, direction = (result.guess[key] for key in ("value", "error", "n", "direction"))
    measure = str(result.settings["measure"]).replace("_", " ")
    told = f"{measure} {value:.4f}, by the same answer to each of the {n:,} validation samples"
    if is_hardly_better(result.validation["value"], value, error, direction, len(result.log)):
        told += f"; the best of {plural(len(result.log), 'epoch')} is hardly above it, so it may have learned nothing"
    return told


def picture_of(result: Any) -> str:
    """Return the measure by epochs, or without a validation part the training loss, as SVG."""
    judged = result.validation is not None
    name = str(result.settings["measure"]).replace("_", " ") if judged else "training loss"
    values = [row.value if judged else row.training_loss for row in result.log]
    points = [(float(row.epoch), math.nan if y is None else y) for row, y in zip(result.log, values, strict=True)]
    picture = Picture((1, len(points)), [y for _, y in points], ("epoch", name))
    picture.line(points, "validation" if judged else "training", COLOURS["exploit"])
    picture.points([points[result.epoch - 1]], "kept", COLOURS["best"], size=5.5)
    return str(picture)
