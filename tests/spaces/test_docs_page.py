"""The code of "bring your own space" runs as it stands."""

import itertools
import re
from pathlib import Path

from robonas.spaces import SearchSpace

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "bring-your-own-space.md"


def test_the_pages_code_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 8
    names: dict[str, object] = {"__name__": "page"}
    exec(compile("\n".join(blocks), str(PAGE), "exec"), names)
    spaces = [value for value in names.values() if isinstance(value, SearchSpace)]
    assert len(spaces) >= 5
    for space in spaces:
        good = [architecture for architecture in itertools.islice(space, 3) if space.failure(architecture) is None]
        assert good
    assert "params" in capsys.readouterr().out
