"""The result of a search: whose parameters it gives back."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file, save_file

from robonas.errors import StudyError
from robonas.study.loop import load_result, search
from tests.fakes import CountParameters, small_space


def test_parameters_of_another_network_are_never_taken_for_the_winner_s(tmp_path) -> None:
    search(small_space(), CountParameters(), folder=tmp_path, pool=30, budget=1, strategy="random")
    path = load_result(tmp_path).parameters_file
    assert path is not None
    save_file(load_file(path), path, metadata={"architecture": "another"})
    with pytest.raises(StudyError, match="holds the parameters of another, not of the winner"):
        load_result(tmp_path).load_parameters()
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(StudyError, match="damaged"):
        load_result(tmp_path).load_parameters()
