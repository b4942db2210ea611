"""``python -m robonas``, as `torchrun` starts it."""

from __future__ import annotations

from robonas.cli.app import main

if __name__ == "__main__":
    main()
