"""Groups of options: a dataclass whose fields become options of every command that takes it."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def takes_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of its groups.

    Args:
        command: Function whose arguments are options of Typer or groups. A group is a dataclass of fields that are
            annotated as options are; every field becomes an option of the same name and default. Where the group
            has a `HEADING`, help shows its options under that.

    Returns:
        The command as Typer shall see it: with an argument for each option. It makes the groups and calls `command`.
    """
    own = inspect.signature(command, eval_str=True).parameters.values()
    groups: dict[str, Any] = {each.name: each.annotation for each in own if dataclasses.is_dataclass(each.annotation)}
    parameters = [
        option
        for each in own
        for option in (_options(groups[each.name]) if each.name in groups else [each.replace(kind=each.KEYWORD_ONLY)])
    ]

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        fields = {name: [field.name for field in dataclasses.fields(group)] for name, group in groups.items()}
        values = {name: {key: arguments.pop(key) for key in keys} for name, keys in fields.items()}
        command(**arguments, **{name: groups[name](**given) for name, given in values.items()})

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _options(group: Any) -> Iterator[inspect.Parameter]:
    """Yield the fields of a group as arguments of a command."""
    hints = get_type_hints(group, include_extras=True)
    heading = getattr(group, "HEADING", None)
    for field in dataclasses.fields(group):
        make: Any = field.default_factory
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default if make is dataclasses.MISSING else make(),
            annotation=hints[field.name] if heading is None else under(heading, hints[field.name]),
        )


def under(heading: str, annotation: Any) -> Any:
    """Return an option's annotation for a command whose help shows it under a heading; its own heading wins."""
    if get_origin(annotation) is not Annotated:
        return annotation
    kind, *facts = get_args(annotation)
    placed = [copy.copy(fact) for fact in facts]
    for fact in placed:
        if getattr(fact, "rich_help_panel", "") is None:
            fact.rich_help_panel = heading
    return Annotated[kind, *placed]
