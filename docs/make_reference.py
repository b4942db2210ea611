"""Writes the pages of docs/reference from the catalogues; `make reference` runs it, and a test insists that they are current."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from robonas.cli.listing import LISTINGS
from robonas.common.record import record_of_metrics
from robonas.metrics import METRICS, chosen_metrics
from robonas.training.measures import MEASURES
from robonas.training.recipe import Recipe, meanings

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/make_reference.py from the code; run `make reference` after a change. -->\n\n"


def metrics_page() -> str:
    """A card a metric."""
    record = record_of_metrics()
    parts = [
        NOTE,
        "# Metrics\n\nEvery training-free metric: what it measures, how it is defined, which way it points, and when not to trust it. ",
        "A score is the metric's own value; where it has none it is NaN, with the reason beside it.\n\n",
        '**`--metrics auto`**, and `metrics="auto"`, stands for ',
        f"{', '.join(f'`{name}`' for name in chosen_metrics())}. The rule: a record, any kind of task, and no ",
        "cost of a double backward pass or of a pass for each sample. The record says how much better than the middle the networks are that ",
        "a metric puts first: the share of all networks that are no better than its best 2 %, minus one half, as the mean over NAS-Bench-201 and ",
        "TransNAS-Bench-101 micro and macro; at least 0, at most 0.5. It is computed from published tables by `benchmarks/metric_record.py`; a metric without one was not in these ",
        "tables. The strategy [`auto`](strategies.md) begins a search with metrics weighted by it. Metrics with a bad record are among the chosen, since they tell which networks to avoid: without them the mean rank on the published tables doubles.\n\n",
        "| metric | better | labels | cost | record |\n|---|---|---|---|---|\n",
    ]
    parts += [
        f"| [`{name}`](#{name}) | {'higher' if metric.higher_is_better else 'lower'} "
        f"| {'yes' if metric.needs_labels else 'no'} | {metric.cost} | {f'{record[name]:.2f}' if name in record else ''} |\n"
        for name, metric in METRICS.items()
    ]
    for name, metric in METRICS.items():
        card = metric.card()
        parts.append(f"\n## {name}\n\n{card.pop('meaning')}\n\n")
        parts += [f"- **{heading}:** {value}\n" for heading, value in card.items() if heading != "name"]
    return "".join(parts)


def listing_page(kind: str, title: str) -> str:
    """A table of one catalogue."""
    rows = LISTINGS[kind]()
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]).replace("|", "\\|") for name in names) + " |" for row in rows]
    return f"{NOTE}# {title}\n\n" + "\n".join(lines) + "\n"


def recipe_page() -> str:
    """A table of the settings of a training."""
    texts = meanings()
    rows = [
        f"| `{setting.name}` | `{setting.default!r}` | {texts[setting.name].replace('|', chr(92) + '|')} |"
        for setting in dataclasses.fields(Recipe)
    ]
    head = (
        "# Settings of a training\n\nFor `robonas.TrainingObjective`, `robonas.train` and, with dashes, the commands `search` and "
        "`train`, where `batch_size` is called `--train-batch-size`.\n\n| setting | default | meaning |\n|---|---|---|\n"
    )
    return NOTE + head + "\n".join(rows) + "\n"


def measures_page() -> str:
    """A table of the measures of trained networks, for each task."""
    parts = [
        NOTE,
        "# Measures of a trained network\n\nFor `measure=` of `robonas.TrainingObjective` and `robonas.train`, and `--measure`: what a trained ",
        "network is judged by on samples that it has not seen. F1, AUROC and average precision are computed by ",
        "[torchmetrics](https://lightning.ai/docs/torchmetrics), Matthews' correlation by scikit-learn. A measure that is undefined is an error, never a number.\n",
    ]
    for task, measures in MEASURES.items():
        parts.append(f"\n## {task}\n\n| measure | better | from | to | meaning |\n|---|---|---|---|---|\n")
        for place, (name, measure) in enumerate(measures.items()):
            usual = " (default)" if not place else ""
            better = "higher" if measure.direction == "maximize" else "lower"
            bounds = " | ".join(
                f"{bound:g}".replace("inf", "∞").replace("-", "−") for bound in (measure.lowest, measure.highest)
            )
            parts.append(f"| `{name}`{usual} | {better} | {bounds} | {measure.meaning} |\n")
    return "".join(parts)


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    return {
        "metrics.md": metrics_page(),
        "spaces.md": listing_page("spaces", "Search spaces"),
        "strategies.md": listing_page("strategies", "Strategies"),
        "recipe.md": recipe_page(),
        "measures.md": measures_page(),
        "datasets.md": listing_page("datasets", "Data sets"),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
