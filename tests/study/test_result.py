"""The result of a search: whose parameters it gives back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from robonas.datasets import from_arrays
from robonas.errors import StudyError
from robonas.objectives import FunctionObjective
from robonas.objectives.base import Evaluation
from robonas.prediction import Preprocessing
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


DATA = from_arrays(np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8), np.arange(40) % 10)
HOW = Preprocessing.of(DATA.split()[0])


def own(network, told) -> Evaluation:
    """A training of one's own, which trains nothing."""
    return Evaluation(1.0, 0.0, (), network.state_dict(), told)


def searched(folder, told=HOW):
    objective = FunctionObjective(lambda network: own(network, told), name="mine")
    return search(small_space(), objective, folder=folder, pool=3, budget=1, strategy="random")


def test_an_objective_of_ones_own_hands_its_preprocessing_over(tmp_path) -> None:
    result = searched(tmp_path)
    assert load_result(tmp_path).preprocessing() == HOW
    assert result.predict(DATA).outputs.shape == (40, 10)
    assert json.loads(json.dumps(result.to_json()))["best"]["preprocessing"] == HOW.to_json()
    bare = result.build().network
    expected = bare(HOW.prepare(DATA.raw)).detach().numpy()
    np.testing.assert_allclose(result.predict(DATA.raw).outputs, expected, rtol=1e-5, atol=1e-6)


def test_without_one_the_network_is_as_it_was_trained_and_predicts_nothing(tmp_path) -> None:
    result = searched(tmp_path, None)
    assert type(result.build()).__name__ == "Network"
    assert result.to_json()["best"]["preprocessing"] is None
    with pytest.raises(StudyError, match=r"cannot prepare inputs: its objective 'function' told no preprocessing"):
        result.predict(DATA)


def test_a_search_in_memory_has_no_network_to_predict_with() -> None:
    result = searched(None)
    assert result.preprocessing() is None
    with pytest.raises(StudyError, match="kept no trained parameters"):
        result.predict(DATA)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({**HOW.to_json(), "std": [0]})])
def test_a_damaged_preprocessing_is_told(tmp_path, text) -> None:
    path = searched(tmp_path).parameters_file
    notes = {"architecture": load_result(tmp_path).text, "preprocessing": text}
    save_file(load_file(path), path, metadata=notes)
    for use in ("build", "preprocessing"):
        with pytest.raises(StudyError, match=r"The preprocessing in '.*' cannot be read: "):
            getattr(load_result(tmp_path), use)()
