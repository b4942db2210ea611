"""Folders of others: what they name is never imported, unless the user names it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from typer.testing import CliRunner

import robonas
from robonas.cli.app import app
from robonas.common.registry import recorded_name
from robonas.errors import CheckpointError, ConfigError, StudyError
from robonas.retraining import load_trained, train
from robonas.strategies import Summary
from robonas.study.loop import load_result, search
from robonas.study.recorded import StrategyNotGiven
from tests.fakes import CHEAP, CountParameters, small_space
from tests.objectives.toy import FIRST, ToySpace, blobs
from tests.tables.test_unpickling import Hostile

if TYPE_CHECKING:
    from pathlib import Path

OWN = """
from pathlib import Path
from robonas.strategies import RandomSearch
from tests.fakes import small_space
from tests.objectives.toy import ToySpace

Path(__file__).with_name("marker").touch()
strategy = RandomSearch
space = small_space
trained = ToySpace
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folders of a search and of a training."""
    folder = tmp_path_factory.mktemp("done")
    search(
        small_space(), CountParameters(), metrics=CHEAP, pool=6, budget=2, strategy="random", folder=folder / "search"
    )
    train(FIRST, blobs(), space=ToySpace(), folder=folder / "training", epochs=1, device="cpu", threads=1)
    return folder


@pytest.fixture
def place(finished, tmp_path, monkeypatch) -> Path:
    """A copy of them, beside a module that leaves a mark where it is imported."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    (tmp_path / "evil.py").write_text(OWN)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    yield tmp_path
    sys.modules.pop("evil", None)


def forge_search(folder: Path, change) -> None:
    """Change what a search's study says of itself."""
    with sqlite3.connect(folder / "study.db") as connection:
        rows = connection.execute("select study_user_attribute_id, value_json from study_user_attributes").fetchall()
        for number, text in rows:
            value = json.loads(text)
            if isinstance(value, dict) and "strategy" in value:
                change(value)
                connection.execute(
                    "update study_user_attributes set value_json = ? where study_user_attribute_id = ?",
                    (json.dumps(value), number),
                )
    connection.close()


def forge_training(folder: Path, change) -> None:
    """Change what a training says of itself."""
    value = json.loads((folder / "training.json").read_text())
    change(value["settings"])
    (folder / "training.json").write_text(json.dumps(value))


def naming(what: str, reference: str, settings: dict):
    def change(value: dict) -> None:
        value[what] = {"name": reference, "settings": settings}

    return change


COMMANDS = {
    "show": ["show", "search"],
    "report": ["report", "search"],
    "export": ["export", "search", "-o", "out.json"],
    "train": ["train", "--search", "search", "-o", "new"],
}
REFERENCES = {
    "os:system": {"command": "touch marker"},
    "pathlib:Path.touch": {},
    "evil.py:space": {},
    "evil:strategy": {},
}


@pytest.mark.parametrize(
    ("command", "reference"),
    [
        *(("show", reference) for reference in REFERENCES),
        *((command, "os:system") for command in ("report", "export", "train")),
    ],
)
def test_what_a_search_names_is_not_imported(place, command, reference) -> None:
    forge_search(place / "search", naming("space", reference, REFERENCES[reference]))
    told = CliRunner().invoke(app, COMMANDS[command])
    assert told.exit_code == 2, told.output
    words = " ".join(told.stderr.split())
    assert f"{reference!r}; what a file names is never imported" in words
    assert f"name it yourself: --space {reference} on the command line" in words
    assert not (place / "marker").exists()
    assert "evil" not in sys.modules


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize(
    ("command", "reference"),
    [*(("show", reference) for reference in REFERENCES), ("report", "evil.py:space"), ("export", "evil.py:space")],
)
def test_a_search_is_looked_at_without_the_code_of_its_strategy(place, command, reference) -> None:
    forge_search(place / "search", naming("strategy", reference, REFERENCES[reference]))
    told = CliRunner().invoke(app, COMMANDS[command])
    assert told.exit_code == 0, told.output
    words = " ".join(told.stderr.split())
    assert f"What strategy {reference!r} has learned is left out" in words
    assert f"name it: --strategy {reference} on the command line" in words
    assert not (place / "marker").exists()
    assert "evil" not in sys.modules


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("command", [["show", "training"], ["export", "training", "-o", "out.csv"]], ids=" ".join)
def test_what_a_training_names_is_not_imported(place, command, reference) -> None:
    forge_training(place / "training", naming("space", reference, REFERENCES[reference]))
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 2, told.output
    assert f"--space {reference} on the command line" in " ".join(told.stderr.split())
    assert not (place / "marker").exists()
    assert "evil" not in sys.modules


def test_what_else_a_search_names_is_never_looked_up(place) -> None:
    def change(value: dict) -> None:
        value["metrics"] = ["evil:space"]
        value["limits"] = {"evil:space >=": 1.0}
        value["pruner"] = {"name": "evil:space"}
        value["objective"] |= {"name": "evil:space", "settings": {"function": "evil:space", "command": "touch marker"}}

    forge_search(place / "search", change)
    assert CliRunner().invoke(app, ["show", "search"]).exit_code == 0
    assert not (place / "marker").exists()


def test_a_checkpoint_is_not_unpickled(place) -> None:
    (place / "training" / "training.json").unlink()
    torch.save({"format": 1, "state": Hostile(str(place / "marker"))}, place / "training" / "checkpoint.pt")
    for command in (["show", "training"], ["export", "training", "-o", "out.csv"]):
        told = CliRunner().invoke(app, command)
        assert told.exit_code == 2, told.output
        assert "mkdir" in told.stderr
    with pytest.raises(CheckpointError, match="damaged or none of robonas"):
        train(FIRST, blobs(), space=ToySpace(), folder=place / "training", epochs=1, device="cpu", threads=1)
    assert not (place / "marker").exists()


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("command", ["show", "report", "export"])
def test_a_space_and_a_strategy_that_the_user_names_are_used(place, command) -> None:
    forge_search(place / "search", lambda value: value.update(space={"name": "gone:space", "settings": {}}))
    forge_search(place / "search", naming("strategy", "gone:strategy", {}))
    told = CliRunner().invoke(app, [*COMMANDS[command], "--space", "evil.py:space"])
    assert told.exit_code == 0, told.output
    assert "What strategy 'gone:strategy' has learned is left out" in " ".join(told.stderr.split())
    told = CliRunner().invoke(app, [*COMMANDS[command], "--space", "evil.py:space", "--strategy", "evil:strategy"])
    assert told.exit_code == 0, told.output
    assert (place / "marker").exists()  # the user's word


def test_a_training_is_shown_with_the_space_that_the_user_names(place) -> None:
    own = load_trained(place / "training", space=ToySpace())
    forge_training(place / "training", naming("space", "gone:Space", {}))
    told = CliRunner().invoke(app, ["show", "training", "--space", "evil.py:trained", "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["architecture"] == own.text
    with pytest.raises(ConfigError, match=r"load_trained\(..., space='gone:Space'\) in Python"):
        load_trained(place / "training")
    assert load_trained(place / "training", space=ToySpace()).text == own.text


def test_in_python_the_objects_themselves_are_given(place) -> None:
    expected = load_result(place / "search")
    forge_search(place / "search", naming("space", "gone:space", {"anything": 1}))
    forge_search(place / "search", naming("strategy", "gone:strategy", {}))
    with pytest.raises(ConfigError, match=r"load_result\(..., space='gone:space'\) in Python"):
        load_result(place / "search")
    found = load_result(place / "search", space=small_space(), strategy=robonas.strategies.RandomSearch())
    assert found.text == expected.text
    with pytest.warns(UserWarning, match=r"load_result\(..., strategy='gone:strategy'\) in Python"):
        found = load_result(place / "search", space=small_space())
    assert (found.text, found.strategy) == (expected.text, "gone:strategy")


class Learned(robonas.strategies.RandomSearch):
    """A strategy of the user's own that learns something."""

    name = "learned"

    uses_scores = True

    def __init__(self, unit: float = 1.0) -> None:
        super().__init__()
        self.unit = unit

    @property
    def settings(self) -> dict[str, float]:
        return {"unit": self.unit}

    def summarise(self, problem, history) -> Summary:
        return Summary((self.unit,) * len(problem.metrics), problem.scores.sum(axis=1), len(history), {"told": "x"})


@pytest.mark.parametrize("reference", ["/gone/mine.py:Learned", "learned"])
def test_what_a_strategy_of_ones_own_has_learned_is_kept(tmp_path, reference) -> None:
    mine = Learned(2.0)
    mine.reference = reference
    given = {"metrics": CHEAP, "pool": 6, "folder": tmp_path}
    found = search(small_space(), CountParameters(), budget=2, strategy=mine, **given)
    assert found.weights is not None
    again = load_result(tmp_path)
    assert (again.weights, again.n_explored, again.summary.details) == (found.weights, 2, {"told": "x"})
    assert again.combined.tolist() == found.combined.tolist()
    assert again.strategy == reference.rpartition("/")[2]
    (tmp_path / "search.summary.parquet").unlink()
    with pytest.warns(UserWarning, match="does not hold it for these queries"):
        without = load_result(tmp_path)
    assert (without.weights, without.text) == (None, found.text)
    assert load_result(tmp_path, strategy=mine).weights == found.weights
    with pytest.raises(ConfigError, match="is not given"):
        StrategyNotGiven.named(reference, {}).propose(None, [])


def test_a_search_of_ones_own_space_goes_on_without_an_import(place) -> None:
    own = small_space()
    own.reference = "nowhere.to.be.found:space"
    given = {"metrics": CHEAP, "pool": 6, "strategy": "random", "folder": place / "own"}
    search(own, CountParameters(), budget=1, **given)
    assert len(search(own, CountParameters(), budget=2, **given).queries) == 2


@pytest.mark.parametrize("change", [{"space": 3}, {"space": {}}, {"seed": "x"}, {"strategy": {"name": []}}])
def test_damaged_settings_are_told(place, change) -> None:
    forge_search(place / "search", lambda value: value.update(change))
    with pytest.raises((StudyError, ConfigError), match="search"):
        load_result(place / "search")


@pytest.mark.parametrize(
    "change",
    [{"epoch": 9}, {"epoch": "1"}, {"architecture": 3}, {"test": 3}, {"log": 3}, {"log": [{}]}, {"settings": {}}],
    ids=str,
)
def test_a_damaged_training_json_is_told(place, change) -> None:
    path = place / "training" / "training.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=r"training\.json' is damaged"):
        load_trained(place / "training", space=ToySpace())


def test_a_deeply_nested_study_is_told(place) -> None:
    with sqlite3.connect(place / "search" / "study.db") as connection:
        connection.execute("update study_user_attributes set value_json = ?", ("[" * 100_000,))
    connection.close()
    told = CliRunner().invoke(app, ["show", "search"])
    assert told.exit_code == 2, told.output
    assert "nested too deeply" in told.stderr


@pytest.mark.parametrize("name", ["training.json", "checkpoint.pt"])
@pytest.mark.parametrize("content", ["[" * 100_000, '{"settings": 1, "settings": 2}', "3", "{}"])
def test_damaged_trainings_are_told(place, name, content) -> None:
    (place / "training" / "training.json").unlink()
    (place / "training" / name).write_text(content)
    told = CliRunner().invoke(app, ["show", "training"])
    assert told.exit_code == 2, told.output
    assert "is damaged" in told.stderr


OFFERS = [
    ("/a/my_space.py:make", "--space /a/my_space.py:make on the command line, load(space='/a/my_space.py:make') in"),
    ("/a dir/x.py:y", "--space '/a dir/x.py:y' on the command line, load(space='/a dir/x.py:y') in"),
    ("a:b;touch marker", "--space 'a:b;touch marker' on the command line, load(space='a:b;touch marker') in"),
    ("a:\x1b[2Kb", "--space package.module:NAME on the command line, load(space=...) in"),
    ("a:" + "b" * 1000, "--space package.module:NAME on the command line, load(space=...) in"),
    ("my-signals", "--space package.module:NAME on the command line, load(space=...) in"),
]


@pytest.mark.parametrize(("name", "offer"), OFFERS, ids=[name[:20] for name, _ in OFFERS])
def test_what_to_paste_is_offered(name, offer) -> None:
    with pytest.raises(ConfigError) as error:
        recorded_name("search space", name, "folder", {"ours": 1}, "--space", "load(space=...)")
    assert str(error.value).startswith(f"'folder' names a search space that is not one of robonas's, {name[:200]!r}; ")
    assert str(error.value).endswith(f"name it yourself: {offer} Python.")


def test_names_of_our_own_may_be_recorded() -> None:
    assert recorded_name("search space", "ours", "folder", {"ours": 1}, "--space", "load(space=...)") == "ours"
    with pytest.raises(ConfigError, match="must name its strategy by a text"):
        recorded_name("strategy", ["a:b"], "folder", {"ours": 1}, "--strategy", "load(strategy=...)")


def test_a_space_that_was_made_in_python_is_asked_for(place) -> None:
    forge_search(place / "search", naming("space", "my-signals", {}))
    forge_training(place / "training", naming("space", "my-signals", {}))
    asks = r"names a search space that is not one of robonas's, 'my-signals'; .* --space package\.module:NAME on"
    for call in (load_result, lambda _: load_trained(place / "training"), robonas.load_result):
        with pytest.raises(ConfigError, match=asks):
            call(place / "search")
    told = CliRunner().invoke(app, ["show", "search"])
    assert told.exit_code == 2, told.output
    assert "--space package.module:NAME" in " ".join(told.stderr.split())
