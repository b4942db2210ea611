"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# Time limits an example are for idle machines, and these tests run beside each other. In CI every run has the same
# examples, so that a change that does not touch a law cannot fail it.
settings.register_profile("house", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "house")
