"""``python -m robonas``, as `torchrun` starts it."""

from __future__ import annotations

from robonas.cli import main

if __name__ == "__main__":
    main()
