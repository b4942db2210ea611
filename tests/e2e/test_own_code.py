"""Code of the user's own that fails is told by its place, not by our traceback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from robonas.cli.app import app
from robonas.common.registry import fault_of_own_code, import_object

if TYPE_CHECKING:
    from pathlib import Path

OWN = """
from torch import nn
from robonas.datasets import load_dataset
from robonas.spaces import from_choices
from robonas.strategies import RandomSearch


def fail(*_, **__):
    raise RuntimeError("it is broken\\nin two lines")


class Broken(RandomSearch):
    name = "broken"

    def propose(self, problem, history):
        return {}["no such key"]


class Unmade(RandomSearch):
    name = "unmade"

    def __init__(self):
        self.x = 1 / 0


space = from_choices({"width": [1, 2, 3]}, lambda width: fail(), input_shape=(1, 8, 8), n_classes=10)
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_code_here.py").write_text(OWN)
    return tmp_path


def told(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2, (result.output, result.exception)
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "Traceback" not in result.output
    return errors[0]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("x = 1\n\nx / 0\n", "line 3: ZeroDivisionError: division by zero."),
        ("x = (1,\n", "line 1: SyntaxError: '(' was never closed."),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3."),
        ("raise SystemExit\n", "line 1: SystemExit."),
        ("import no_such_module_at_all\n", "line 1: ModuleNotFoundError: No module named 'no_such_module_at_all'."),
        ("import json\njson.loads('{')\n", "line 2: JSONDecodeError:"),
        ("raise ValueError('[bold]two\\nlines')\n", "line 1: ValueError: [bold]two lines."),
        ("def x(): return x()\nx()\n", "line 1: RecursionError"),
    ],
)
@pytest.mark.parametrize(
    ("option", "form"),
    [("--space", "{name}.py:x"), ("--data", "{name}:x"), ("--metrics", "{name}:x"), ("--strategy", "{name}.py:x")],
)
def test_a_file_that_fails_when_it_is_imported(here, content, what, option, form) -> None:
    name = f"bomb_{abs(hash((content, option, form)))}"
    (here / f"{name}.py").write_text(content)
    error = told("search", option, form.format(name=name), "-o", "run", "--jobs", "1")
    assert error.startswith(f"Error: Your own code failed: {here.resolve()}/{name}.py, ") or name in error
    assert what in error
    assert not (here / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["search", "--space", "own_code_here.py:fail"], "RuntimeError: it is broken in two lines."),
        (["search", "--data", "own_code_here.py:fail"], "RuntimeError: it is broken in two lines."),
        (["search", "--strategy", "own_code_here.py:fail"], "RuntimeError: it is broken in two lines."),
        (["search", "--strategy", "own_code_here.py:Unmade"], "ZeroDivisionError: division by zero."),
        (["search", "--strategy", "own_code_here.py:Broken", "--pool", "3", "--budget", "2", "-m", "params"],
         "KeyError: 'no such key'."),
        (["search", "--metrics", "own_code_here.py:fail", "--pool", "3", "--budget", "2"], "it is broken"),
        (["search", "--space", "own_code_here.py:space", "--budget", "2", "-m", "params"], "it is broken"),
        (["space", "profile", "own_code_here.py:space"], "it is broken"),
    ],
)  # fmt: skip
def test_own_code_that_fails_when_it_is_called(here, arguments, what) -> None:
    small = ["--jobs", "1", "--space-set", "channels=2", "--space-set", "depth=1", "--batch-size", "8", "--epochs", "1"]
    if arguments[0] == "search":
        small = small if "--space" not in arguments else ["--jobs", "1", "--batch-size", "8"]
        arguments = [*arguments, *small, "-o", "run"]
    assert what in told(*arguments)


def test_a_strategy_that_fails_in_a_worker_of_an_experiment(here) -> None:
    from tests.experiments import toy

    toy.frame().to_csv(here / "toy.csv", index=False)
    base = ["experiment", "--table", "toy.csv", "--objective", "val_acc", "--budget", "3", "--seeds", "1"]
    for jobs in ("1", "2"):
        error = told(*base, "--strategy", "own_code_here.py:Broken", "--jobs", jobs)
        assert "own_code_here.py:Broken on toy with seed 0 failed in" in error
        assert "own_code_here.py, line 16: KeyError: 'no such key'." in error


def test_in_python_the_error_is_raised_as_it_is(here) -> None:
    (here / "bomb_python.py").write_text("x = 1 / 0\n")
    with pytest.raises(ZeroDivisionError) as error:
        import_object("metric", "bomb_python.py:x")
    assert fault_of_own_code(error.value) is not None


def test_a_fault_of_ours_is_not_blamed_on_the_user() -> None:
    import json

    from robonas.architecture import Architecture

    import_object("metric", "json:loads")  # named by the user, and still Python's
    import_object("metric", "robonas.architecture:Architecture")
    for call in (lambda: json.loads("{"), lambda: Architecture({}).missing):
        try:
            call()
        except Exception as error:
            inner = error.with_traceback(error.__traceback__.tb_next.tb_next)
            assert fault_of_own_code(inner) is None


OWN_CARDS = """
from robonas.datasets import load_dataset
from robonas.spaces import from_choices
from robonas.strategies import RandomSearch


def depth_first(passes):
    \"\"\"Count what lies deep.\"\"\"
    return 1.0


class Calm(RandomSearch):
    \"\"\"Ask for one after the other.\"\"\"

    name = "calm"

    def __init__(self, pace: int = 3):
        super().__init__()


def make(input_shape=(1, 8, 8), n_classes=10, width=4):
    \"\"\"Make rows of layers.\"\"\"
    raise RuntimeError("a card needs no call")


calm = Calm()
space = from_choices({"width": [1, 2, 3]}, make, input_shape=(1, 8, 8), n_classes=10, name="mine")
digits = load_dataset("digits")
number = 3
"""


@pytest.mark.parametrize(
    ("what", "name", "words"),
    [
        ("metrics", "depth_first", ["depth_first", "Count what lies deep.", "higher is better"]),
        ("strategies", "Calm", ["cards_here.py:Calm", "Ask for one after the other.", "no", "pace=3"]),
        ("strategies", "calm", ["cards_here.py:calm", "Ask for one after the other."]),
        ("spaces", "make", ["Make rows of layers.", "width=4"]),
        ("spaces", "space", ["cards_here.py:space", "'width': [1, 2, 3]"]),
        ("datasets", "digits", ["LabelledData('digits', n=1797"]),
        ("datasets", "make", ["Make rows of layers."]),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_the_card_of_ones_own(here, what, name, words, as_json) -> None:
    (here / "cards_here.py").write_text(OWN_CARDS)
    shown = CliRunner().invoke(app, ["list", what, f"cards_here.py:{name}", *(["--json"] if as_json else [])])
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.stdout.split())
    assert [word for word in words if word not in text] == []


def test_what_has_no_card(here) -> None:
    (here / "cards_here.py").write_text(OWN_CARDS)
    assert "A search space must be one, or make one; got 'cards_here.py:number', a int." in told(
        "list", "spaces", "cards_here.py:number"
    )
    assert "has no 'gone'" in told("list", "strategies", "cards_here.py:gone")
    assert "Unknown strategy 'robto'. Did you mean 'robot'?" in told("list", "strategies", "robto")
    shown = CliRunner().invoke(app, ["list", "datasets", "npz:mine.npz"])
    assert shown.stdout.startswith("npz:PATH.npz")


def test_scores_tell_the_place_in_ones_own_code(here) -> None:
    for metric, option, place in (
        ("params", ["--space", "own_code_here.py:space"], "RuntimeError: it is broken (own_code_here.py, line 9)"),
        ("own_code_here.py:fail", [], "fail raised RuntimeError: it is broken (own_code_here.py, line 9)"),
    ):
        done = CliRunner().invoke(app, ["score", *option, "-m", metric, "--pool", "3", "--jobs", "1", "-o", "s.csv"])
        written = (here / "s.csv").read_text() if (here / "s.csv").exists() else ""
        assert place in written + done.output.replace("\n", " ")
        for file in here.glob("s.*"):
            file.unlink()


SHAPED = """
from torch import nn
from robonas.spaces import from_choices


def build(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(48, width), nn.Linear(width, 10))


def make(input_shape, n_classes):
    return from_choices({"width": [1, 2, 3]}, build, input_shape=input_shape, n_classes=n_classes)


fixed = from_choices({"width": [1, 2, 3]}, build, input_shape=(3, 4, 4), n_classes=2)
"""
DEFAULT = "The data are the default, 'digits', since `--data` was not given; give the data that"


@pytest.mark.parametrize(
    ("command", "name", "why"),
    [
        ("score", "make", "must take inputs of shape"),
        ("score", "fixed", "input_shape"),
        ("search", "fixed", "input_shape"),
        ("train", "fixed", "input_shape"),
    ],
)
def test_the_default_data_are_told_where_the_networks_do_not_take_them(here, command, name, why) -> None:
    (here / "shaped_here.py").write_text(SHAPED)
    plan = {"score": ["-m", "snip", "--pool", "3", "--jobs", "0"], "train": ["--architecture", '{"width":1}']}
    plan["search"] = [*plan["score"], "--budget", "2", "--epochs", "1", "--device", "cpu"]
    words = [command, "--space", f"shaped_here.py:{name}", *plan[command]]
    error = told(*words)
    assert why in error
    assert DEFAULT in error
    (here / "x.toml").write_text('data = "digits"\n')
    if name == "fixed":  # the other one needs a worker process
        assert DEFAULT not in told(*words, *(["x.toml"] if command == "score" else ["--data", "digits"]))


def test_other_errors_do_not_speak_of_the_default_data(here) -> None:
    assert DEFAULT not in told("score", "--space", "own_code_here.py:gone")
