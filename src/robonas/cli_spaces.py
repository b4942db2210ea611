"""`robonas space`: what a search space has to offer, before anything is trained."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from robonas.cli_options import (
    Json,
    MaxLatency,
    MaxMacs,
    MaxMemory,
    MaxParams,
    Seed,
    SpaceSetting,
    read_limits,
    read_settings,
)

app = typer.Typer(help="What a search space has to offer.", no_args_is_help=True)


@app.callback()
def space() -> None:
    """What a search space has to offer."""


@app.command()
def profile(
    name: Annotated[str, typer.Argument(metavar="SPACE", help="Name, or package.module:NAME.")],
    space_set: SpaceSetting = [],  # noqa: B006
    sample: Annotated[int, typer.Option(help="How many architectures to measure.")] = 100,
    latency: Annotated[bool, typer.Option(help="Also time a forward pass of each on this machine.")] = False,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    max_latency_ms: MaxLatency = None,
    max_memory: MaxMemory = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Show the range of size, work and memory in a space, and how many architectures keep some bounds."""
    from robonas.console import out, print_json, print_table
    from robonas.spaces import make_space, profile as take

    where = make_space(name, **read_settings("space", space_set))
    limits = read_limits(max_params, max_macs, max_latency_ms, max_memory)
    measures = ["params", "macs", "memory", *(["latency_ms"] if latency or max_latency_ms else [])]
    found = take(where, sample, seed, measures=measures, limits=limits)
    rows = [
        {
            "measure": measure,
            "least": float(found.frame[measure].min()),
            "median": float(found.frame[measure].median()),
            "most": float(found.frame[measure].max()),
        }
        for measure in measures
    ]
    share = None if limits is None else found.share(limits)
    if as_json:
        print_json(
            {
                "space": where.name,
                "size": where.size(),
                "sample": len(found.frame) + len(found.failures),
                "measures": json.loads(json.dumps(rows)),
                "share_within_limits": share,
                "failures": dict(found.failures),
            }
        )
        return
    size = where.size()
    print_table(
        f"{len(found.frame)} of {'countless' if size is None else f'{size:,}'} architectures of {where.name}", rows
    )
    for reason in list(found.failures.values())[:3]:
        out.print(f"No network: {reason}", soft_wrap=True, markup=False)
    if share is not None:
        out.print(f"Within the limits: {100 * share:.1f} % of the sample.")
