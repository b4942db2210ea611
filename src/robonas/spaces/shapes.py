"""The shapes of images that the networks of a space take."""

from __future__ import annotations

from robonas.errors import ConfigError


def check_image_shape(space: str, shape: tuple[int, ...], *, least: int = 1) -> None:
    """Raise unless a shape is that of an image.

    Args:
        space: Name of the space, for the error.
        shape: Shape of one sample.
        least: Smallest height and width.

    Raises:
        ConfigError: It has other axes, or a shorter side.
    """
    if len(shape) != 3 or min(shape[1:]) < least:
        sides = f" with sides of at least {least}" if least > 1 else ""
        raise ConfigError(f"`input_shape` of {space} must be (channels, height, width){sides}; got {shape}.")
