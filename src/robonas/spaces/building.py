"""Calling a builder of the user's, trying its network, and telling clearly what was wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robonas.common.randomness import seeded
from robonas.common.registry import told_with_place
from robonas.errors import ArchitectureError, NasError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def call_builder(build: Callable[..., Any], arguments: dict[str, Any], what: str, shape: tuple[int, ...]) -> nn.Module:
    """Return the network that a builder makes; lazy layers get their sizes by one forward pass of zeros.

    Args:
        build: The user's function.
        arguments: Its keyword arguments.
        what: Name of the network and its space, for errors.
        shape: Shape of one sample.

    Raises:
        ArchitectureError: It raised, or returned no network, or its lazy layers cannot be sized.
    """
    import torch
    from torch import nn

    try:
        network = build(**arguments)
    except NasError:
        raise
    except Exception as error:
        raise ArchitectureError(f"Building {what} failed: {told_with_place(error)}") from error
    if not isinstance(network, nn.Module):
        raise ArchitectureError(f"Building {what} must make a torch.nn.Module; it made a {type(network).__name__}.")
    lazy = [module for module in network.modules() if isinstance(module, nn.modules.lazy.LazyModuleMixin)]
    if any(module.has_uninitialized_params() for module in lazy):
        training = network.training
        try:
            with torch.no_grad():
                network.eval()(torch.zeros(1, *shape))
        except Exception as error:
            raise ArchitectureError(
                f"Building {what} failed: its lazy layers cannot be sized from an input of shape {shape}: "
                f"{told_with_place(error)}"
            ) from error
        network.train(training)
    return network


def try_network(
    build: Callable[[], nn.Module], what: str, shape: tuple[int, ...], answer: tuple[int, ...], device: str
) -> None:
    """Build a network on a device and send two samples through.

    Args:
        build: Function that makes the network.
        what: Name of the network and its space, for errors.
        shape: Shape of one sample.
        answer: Shape of what the network must return for one sample.
        device: Device of the network and the samples.

    Raises:
        ArchitectureError: It cannot be built, does not run, or returns something else than it must.
    """
    import torch

    try:
        with seeded("failure"), torch.device(device), torch.no_grad():
            output = build()(torch.randn(2, *shape))
    except ArchitectureError:
        raise
    except Exception as error:  # a network of the user's may raise anything
        raise ArchitectureError(
            f"{what} does not run on an input of shape {shape}: {told_with_place(error)}"
        ) from error
    output = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(output, torch.Tensor) or tuple(output.shape) != (2, *answer):
        got = tuple(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
        raise ArchitectureError(f"{what} must return shape {(2, *answer)} for two samples; got {got}.")
