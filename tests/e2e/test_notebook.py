"""A real notebook: bars in one output, results with a picture, and nothing on the standard error."""

from __future__ import annotations

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

CELLS = [
    """
import robonas

data = robonas.load_dataset("digits")
space = robonas.NASBench201(input_shape=data.input_shape, n_classes=data.n_classes, channels=2, depth=1)
objective = robonas.TrainingObjective(data, epochs=1, batch_size=256, threads=1)
result = robonas.search(space, objective, metrics=["params", "flops"], pool=12, budget=2, folder="run", n_jobs=0)
""",
    "result",
    "result.scores",
    "robonas.train(result, data, folder='full', epochs=1, batch_size=256, threads=1)",
]


@pytest.mark.slow
def test_a_notebook_shows_bars_and_results(tmp_path) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(book, timeout=240, kernel_name="python3", resources=resources).execute()
    searched, result, scores, trained = (cell.outputs for cell in book.cells)
    assert [output.output_type for output in searched] == ["display_data"]  # drawn again in its place; no messages
    assert "2/2" in searched[0].data["text/html"]
    assert "<svg" in result[0].data["text/html"]
    assert result[0].data["text/plain"].startswith("SearchResult 'search': auto on nasbench201, 2 of 2 evaluations")
    assert scores[0].data["text/html"].count("<svg") == 2
    assert [output.output_type for output in trained] == ["display_data", "execute_result"]
    assert "1/1" in trained[0].data["text/html"]
    assert "TrainedNetwork" in trained[1].data["text/plain"]
