"""From whatever an evaluation returned to one finite number, or the reason why there is none."""

from __future__ import annotations

import math
import numbers
from typing import Any

from robonas.errors import ObjectiveError


def finite_number(value: Any, source: str) -> float:
    """Return a real, finite number as a float: Python's, NumPy's, or an array or tensor with one element.

    Args:
        value: Object that was returned.
        source: Origin of the value, for the message, such as ``"Function 'accuracy'"``.

    Raises:
        ObjectiveError: It is nothing, not a number, complex, a boolean, NaN or infinite.
    """
    if value is None:
        raise ObjectiveError(f"{source} must return a number; it returned None. Is a `return` missing?")
    plain = value
    if hasattr(value, "item") and not isinstance(value, numbers.Number):  # NumPy's and PyTorch's
        try:
            plain = value.item()
        except (RuntimeError, ValueError, TypeError) as error:
            shape = tuple(getattr(value, "shape", ()))
            raise ObjectiveError(f"{source} must return one number; it returned several, of shape {shape}.") from error
    if isinstance(plain, bool) or type(plain).__name__ == "bool":
        raise ObjectiveError(f"{source} must return a number; it returned the boolean {plain}.")
    if not isinstance(plain, numbers.Real):
        raise ObjectiveError(f"{source} must return a real number; it returned {plain!r}, a {type(plain).__name__}.")
    number = float(plain)
    if not math.isfinite(number):
        raise ObjectiveError(f"{source} must return a finite number; it returned {number}.")
    return number
