"""`robonas space`: what a search space has to offer, before anything is trained."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from robonas.cli.groups import takes_groups
from robonas.cli.help import DATA, METRICS, Commands, QuickGroup
from robonas.cli.limit_options import LimitOptions
from robonas.cli.options import (
    Json,
    Metrics,
    ReadingOptions,
    ScoringOptions,
    SpaceSetting,
    not_empty,
)
from robonas.cli.reading import read_settings, read_space, split
from robonas.common.settings import count_of

app = Commands(cls=QuickGroup, help="Sizes and costs of a search space.", no_args_is_help=True)


@app.callback()
def space() -> None:
    """Show what a search space has to offer."""


@app.command()
@takes_groups
def profile(
    name: Annotated[str, typer.Argument(metavar="SPACE", help="Search space: a name, or package.module:NAME.")],
    *,
    space_set: SpaceSetting = [],  # noqa: B006
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set that the networks are made for and that the metrics see.  [default: the space's own sizes, "
            "and random noise]",
            callback=not_empty,
            rich_help_panel=DATA,
        ),
    ] = None,
    reading: ReadingOptions,
    sample: Annotated[int, typer.Option(help="Number of architectures to measure.", rich_help_panel=METRICS)] = 100,
    latency: Annotated[
        bool, typer.Option(help="Also time a forward pass of each on this machine.", rich_help_panel=METRICS)
    ] = False,
    metrics: Metrics = [],  # noqa: B006
    bounds: LimitOptions,
    scoring: ScoringOptions,
    as_json: Json = False,
) -> None:
    """Show the range of size, work, memory and metrics in a space, and whether some bounds can be met."""
    from robonas.cli.console import out, print_json, say
    from robonas.cli.layout import print_table
    from robonas.spaces import make_space
    from robonas.study.limits import Limits
    from robonas.study.profiling import profile as take

    count_of("batch_size", scoring.batch_size, "samples", least=2)
    limits = bounds.read()
    if data is None:
        reading.check_unused()
        where, batch = make_space(name, **read_settings("space", space_set)), None
    else:
        samples = reading.read(data)
        where, batch = read_space(name, space_set, samples), samples.batch(scoring.batch_size, scoring.seed)
    measures = ["params", "macs", "memory", *(["latency_ms"] if latency else []), *split("--metrics", metrics)]
    found = take(
        where,
        sample,
        scoring.seed,
        quantities=measures,
        limits=limits,
        batch=batch,
        n_jobs=scoring.jobs,
        score_device=scoring.score_device,
    )
    left_out = [measure for measure in measures if measure not in found.frame]
    rows = [
        {
            "measure": measure,
            "least": float(found.frame[measure].min()),
            "median": float(found.frame[measure].median()),
            "most": float(found.frame[measure].max()),
        }
        for measure in map(str, found.frame)
    ]
    asked = (limits or Limits()).bounds
    measured = [bound for bound in asked if bound.key in found.frame]
    shares = [{"bound": str(bound), "share": found.share(bound)} for bound in measured]
    size = where.size
    if as_json:
        print_json(
            {
                "space": where.name,
                "size": size,
                "sample": found.n,
                "measures": json.loads(json.dumps(rows)),
                "bounds": shares,
                "share_within_limits": None if limits is None else found.share(limits),
                "verdict": None if limits is None else found.verdict(limits),
                "failures": dict(found.failures),
            }
        )
        return
    print_table(f"{found.n} of {'countless' if size is None else f'{size:,}'} architectures of {where.name}", rows)
    for reason in list(found.failures.values())[:3]:
        out.print(f"No network: {reason}", soft_wrap=True, markup=False)
    if left_out:
        say(f"Not measured, since nothing keeps the limits: {', '.join(left_out)}.")
    elif batch is None and (split("--metrics", metrics) or (limits is not None and limits.metrics)):
        say("Metrics saw white noise; give --data for what they say of your data.")
    if "latency_ms" in found.frame:
        how = limits or Limits()
        say(
            f"Latency: {how.latency_batch_size} sample at a time on {how.device}, median of {how.repeats} passes after "
            f"{how.warm_up} others."
        )
    if limits is not None:
        for bound in measured if len(asked) > 1 else ():
            out.print(f"{100 * found.share(bound):5.1f} % have {bound}.", soft_wrap=True, markup=False)
        out.print(found.verdict(limits), soft_wrap=True, markup=False)
