"""Full trainings: the same descent as short ones, exact resume, what is kept, and what is told when it goes wrong."""

from __future__ import annotations

import errno
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import nn
from torch.nn import functional as F  # noqa: N812

import robonas
from robonas.common.files import read_tensors, write_tensors
from robonas.datasets import from_arrays, from_dataset, load_dataset
from robonas.errors import CheckpointError, ConfigError, DataError, NetworkError, ObjectiveError, OutputError
from robonas.objectives import TrainingObjective
from robonas.retraining import is_training, load_trained, run, train
from robonas.retraining.checkpoint import read_checkpoint
from robonas.retraining.places import folder_after
from robonas.spaces.darts import DARTS
from robonas.study.events import EpochFinished
from robonas.study.result import SearchResult
from robonas.training.measures import guesses
from tests.objectives.toy import FIRST, TWIN, ToySpace, blobs

CPU = {"device": "cpu", "threads": 1}
RICH = {
    "epochs": 5,
    "batch_size": 16,
    "clip": 1.0,
    "schedule": "linear",
    "warmup_epochs": 1,
    "final_learning_rate": 0.01,
    "label_smoothing": 0.1,
    "accumulate": 2,
    **CPU,
}


def full(folder, *, data=None, space=None, winner=FIRST, **settings):
    space = space or ToySpace()
    return train(
        winner, blobs() if data is None else data, space=space, folder=folder, **{"epochs": 3, **CPU, **settings}
    )


def stop_after(epoch: int):
    def tell(row) -> None:
        if row.epoch == epoch:
            raise KeyboardInterrupt

    return tell


def same(one, other) -> bool:
    mine, theirs = one.load_parameters(), other.load_parameters()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def photographs(n: int = 60):
    """Images of bytes, of three classes."""
    generator = np.random.default_rng(0)
    labels = np.arange(n) % 3
    pixels = generator.integers(0, 100, (n, 3, 8, 8)) + 70 * labels[:, None, None, None]
    return from_arrays(pixels.astype(np.uint8), labels)


def timeless(log) -> list[dict]:
    return [{**vars(row), "seconds": None} for row in log]


def test_a_full_training_is_the_short_one_with_files(tmp_path) -> None:
    short = TrainingObjective(blobs(), epochs=4, batch_size=8, **CPU).evaluate(ToySpace(), FIRST, seed=3)
    rows: list[EpochFinished] = []
    result = full(tmp_path, epochs=4, batch_size=8, validation_fraction=0.25, seed=3, callbacks=[rows.append])
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for name, entry in short.parameters.items():
        assert torch.equal(entry, checkpoint["state"]["network"][name])
    assert [row.value for row in rows] == [point.value for point in short.curve]
    assert [row.top1 for row in rows] == pytest.approx([point.value for point in short.curve])
    assert [row.training_loss for row in rows] == [point.loss for point in short.curve]
    assert tuple(rows) == result.log
    assert [row.learning_rate for row in rows] == pytest.approx([0.05 * (1 + np.cos(np.pi * e / 4)) for e in range(4)])


# ── going on ──


@pytest.mark.parametrize("precision", ["auto", "bf16", "fp16"])
@pytest.mark.parametrize("stop", [1, 3])
def test_stopped_and_gone_on_is_uninterrupted_bit_by_bit(tmp_path, capsys, precision, stop) -> None:
    settings = {**RICH, "mixed_precision": precision}
    whole = full(tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        full(tmp_path / "cut", **settings, callbacks=[stop_after(stop)])
    assert is_training(tmp_path / "cut")
    torch.rand(5)
    rows: list[EpochFinished] = []
    assert "going on" not in capsys.readouterr().err
    cut = full(tmp_path / "cut", **settings, callbacks=[rows.append], progress=True)
    assert f"going on after epoch {stop} of 5, loss" in capsys.readouterr().err
    assert [row.epoch for row in rows] == list(range(stop + 1, 6))
    assert timeless(cut.log) == timeless(whole.log)
    assert same(whole, cut)
    ends = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["state"] for name in ("whole", "cut")]
    assert ends[0]["scaler"] == ends[1]["scaler"]
    assert (ends[0]["scaler"] is not None) == (precision == "fp16")
    for one, other in zip(ends[0]["optimizer"]["state"].values(), ends[1]["optimizer"]["state"].values(), strict=True):
        assert torch.equal(one["momentum_buffer"], other["momentum_buffer"])


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw", "warmup_epochs": 1},
        {"optimizer": "adamw", "mixed_precision": "fp16"},
        {"ema": 0.9},
        {"randaugment": 2, "mixup": 0.3, "cutmix": 1.0, "colour_jitter": 0.2, "ema": 0.99, "accumulate": 2},
    ],
    ids=["adamw", "adamw-fp16", "ema", "images"],
)
def test_every_kind_of_recipe_goes_on_exactly(tmp_path, settings) -> None:
    given = {"batch_size": 16, **settings}
    if "mixup" in settings:
        pytest.importorskip("torchvision")
        given |= {"data": photographs(), "space": ToySpace(input_shape=(3, 8, 8))}
    whole = full(tmp_path / "whole", **given)
    with pytest.raises(KeyboardInterrupt):
        full(tmp_path / "cut", **given, callbacks=[stop_after(2)])
    cut = full(tmp_path / "cut", **given)
    assert timeless(cut.log) == timeless(whole.log)
    assert same(whole, cut)


def test_the_average_is_what_is_judged_kept_and_tested(tmp_path) -> None:
    data = blobs()
    result = full(tmp_path, ema=0.9, test=data, validation_fraction=0.5)
    state = read_checkpoint(tmp_path).state
    kept = result.load_parameters()
    assert not torch.equal(state["network"]["1.weight"], state["average"]["module.1.weight"])
    last = full(tmp_path / "last", ema=0.9, validation_fraction=0).load_parameters()
    ended = read_checkpoint(tmp_path / "last").state["average"]
    assert all(torch.equal(entry, ended[f"module.{name}"]) for name, entry in last.items())
    network = ToySpace().build(FIRST)
    network.load_state_dict(kept)
    training, held_out = data.split(0.5)
    for part, value in ((held_out, result.validation["value"]), (data.standardised(training), result.test["value"])):
        with torch.no_grad():
            guessed = network.eval()(part.inputs).argmax(1)
        assert value == pytest.approx(float((guessed == part.labels).double().mean()))


def test_darts_with_dropped_paths_goes_on_exactly(tmp_path) -> None:
    digits = load_dataset("digits")
    data = from_arrays(digits.samples.values[:80], digits.labels[:80], n_classes=10)
    space = DARTS(input_shape=(1, 8, 8), channels=2, layers=3, auxiliary=True)
    settings = {"auxiliary_weight": 0.4, "drop_path": 0.3, "cutout": 3, "crop": 1, "batch_size": 20}
    given = {"data": data, "space": space, "winner": space.sample(1)[0], **settings}
    whole = full(tmp_path / "whole", **given)
    with pytest.raises(KeyboardInterrupt):
        full(tmp_path / "cut", **given, callbacks=[stop_after(2)])
    cut = full(tmp_path / "cut", **given)
    assert same(whole, cut)


def test_a_stop_between_the_two_files_of_an_epoch(tmp_path, monkeypatch) -> None:
    whole = full(tmp_path / "whole")
    real, calls = run.write_checkpoint, []

    def broken(folder, checkpoint) -> None:
        calls.append(len(checkpoint.log))
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(folder, checkpoint)

    monkeypatch.setattr(run, "write_checkpoint", broken)
    with pytest.raises(KeyboardInterrupt):
        full(tmp_path / "cut")
    cut = full(tmp_path / "cut")
    assert calls == [1, 2, 2, 3]
    assert timeless(cut.log) == timeless(whole.log)
    assert same(whole, cut)


def test_a_finished_training_is_not_repeated_and_can_be_tested_later(tmp_path) -> None:
    first = full(tmp_path)
    before = (tmp_path / "training.json").stat().st_mtime_ns
    rows: list[EpochFinished] = []
    again = full(tmp_path, callbacks=[rows.append])
    assert (rows, again.log, again.test) == ([], first.log, None)
    assert (tmp_path / "training.json").stat().st_mtime_ns == before
    tested = full(tmp_path, test=blobs(30), callbacks=[rows.append])
    assert rows == []
    assert tested.test is not None
    assert full(tmp_path).test == tested.test  # known by now
    (tmp_path / "network.safetensors").unlink()
    assert full(tmp_path, test=blobs(30)).test == tested.test
    assert (tmp_path / "network.safetensors").is_file()


def test_what_guessing_reaches_is_told_and_read_again(tmp_path) -> None:
    data = from_arrays(np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3)
    noise = full(tmp_path / "noise", data=data)
    assert 0 < noise.guess["value"] < 0.5
    assert noise.guess["n"] == len(data.split(noise.settings["validation_fraction"], 0)[1])
    assert load_trained(tmp_path / "noise", space=ToySpace()).guess == noise.guess
    assert "hardly above it, so it may have learned nothing" in " ".join(repr(noise).split())
    learned = full(tmp_path / "learned")
    assert "by guessing" in repr(learned)
    assert "hardly above" not in repr(learned)


def test_a_small_network_is_trained_by_one_thread_unless_told(tmp_path, monkeypatch) -> None:
    assert full(tmp_path / "small", epochs=1, threads=None).settings["threads"] == 1
    assert full(tmp_path / "two", epochs=1, threads=2).settings["threads"] == 2
    monkeypatch.setattr(run, "SMALL_MACS", 1)
    assert full(tmp_path / "large", epochs=1, threads=None).settings["threads"] is None


def test_isomorphic_architectures_are_the_same_training(tmp_path) -> None:
    full(tmp_path)
    rows: list[EpochFinished] = []
    full(tmp_path, winner=TWIN, callbacks=[rows.append])
    assert rows == []


def test_half_written_checkpoints_are_cleared_away(tmp_path) -> None:
    (tmp_path / ".checkpoint.pt.abc.tmp").write_bytes(b"half")
    full(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names - {".checkpoint.pt.lock"} == {
        "best.safetensors",
        "checkpoint.pt",
        "log.csv",
        "network.safetensors",
        "training.json",
    }


# ── what is kept ──


def test_the_best_epoch_is_kept_and_the_test_set_seen_with_it(tmp_path) -> None:
    data = blobs(150, 3, spread=1.5)
    result = full(tmp_path, data=data, test=blobs(90, 3, spread=1.4), epochs=8, learning_rate=0.5, batch_size=16)
    best = max(row.top1 for row in result.log)
    assert result.validation["top1"] == best
    assert result.epoch == next(row.epoch for row in result.log if row.top1 == best)
    assert result.epoch < 8
    network = result.build()
    training, validation = data.split(0.1)
    with torch.no_grad():
        assert float((network(validation.raw).argmax(1) == validation.labels).double().mean()) == best
        seen = blobs(90, 3, spread=1.4).standardised(training)
        logits = network(seen.raw)
    assert result.test["top1"] == pytest.approx(float((logits.argmax(1) == seen.labels).double().mean()))
    assert result.test["loss"] == pytest.approx(float(F.cross_entropy(logits, seen.labels)), rel=1e-5)
    assert "top5" not in result.test  # of three classes, five would always hold the right one
    assert result.test["n"] == 90
    assert read_tensors(tmp_path / "network.safetensors")[1]["epoch"] == str(result.epoch)


def test_a_test_part_is_held_out_of_everything(tmp_path) -> None:
    data = blobs(90)
    left, held_out = data.hold_out(0.2)
    result = full(tmp_path / "a", data=data, test_fraction=0.2)
    apart = full(tmp_path / "b", data=left, test=held_out)
    assert same(result, apart)
    assert result.test == apart.test
    assert result.test["n"] == 18
    assert load_trained(tmp_path / "a", space=ToySpace()).test == result.test
    with pytest.raises(CheckpointError, match=r"test_fraction was 0\.2, is now 0\.4"):
        full(tmp_path / "a", data=data, test_fraction=0.4)
    with pytest.raises(ConfigError, match=r"`test_fraction` holds out a test set of its own; got 0\.2 and `test` too"):
        full(tmp_path / "c", data=data, test_fraction=0.2, test=held_out)


def test_the_test_part_of_a_search_is_that_of_its_training(tmp_path) -> None:
    data, space = blobs(90), robonas.MLP(input_shape=(4,), n_classes=3)
    objective = TrainingObjective(data, epochs=1, test_fraction=0.2, split_seed=3, isolated=False, **CPU)
    found = robonas.search(space, objective, strategy="random", pool=4, budget=1, folder=tmp_path / "search", n_jobs=0)
    settings = {"epochs": 1, **CPU}
    result = train(found, data, folder=tmp_path / "a", **settings)
    assert result.settings["test_fraction"] == 0.2
    assert (
        result.test["data"]
        == data.hold_out(0.2, 3)[1].standardised(data.hold_out(0.2, 3)[0].split(0.1)[0]).fingerprint()
    )
    assert (result.test["n"], found.test.n) == (18, 18)
    assert train(found, data, folder=tmp_path / "b", test_fraction=0, **settings).test is None
    other = blobs(80)
    assert train(found, other, folder=tmp_path / "c", **settings).test is None  # other data: nothing was held out
    assert train(found, data, folder=tmp_path / "d", test=other, **settings).test["n"] == 80


def test_without_a_validation_part_all_is_trained_with_and_the_last_is_kept(tmp_path) -> None:
    seen = []

    class Spy(nn.Linear):
        def forward(self, x):
            if self.training:
                seen.append(len(x))
            return super().forward(x)

    result = full(tmp_path, space=ToySpace(lambda: Spy(4, 3)), validation_fraction=0, batch_size=20)
    assert seen == [20] * 9
    assert result.validation is None
    assert result.epoch == 3
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["state"]
    assert torch.equal(result.load_parameters()["weight"], state["network"]["weight"])
    assert not (tmp_path / "best.safetensors").exists()
    assert result.log[0].top1 is None
    data = blobs().standardised()
    assert torch.allclose(data.inputs.mean(0), torch.zeros(4), atol=1e-6)


def test_guesses_by_hand() -> None:
    logits = torch.eye(7)[[0, 1, 2, 3]] * 2 - torch.arange(7.0) / 10
    # Sample 1: class 1 is likeliest, then 0, 2, 3, 4, so that 2 is among five; sample 2 has 6 last.
    assert guesses(logits, torch.tensor([0, 2, 6, 3])).tolist() == [[1, 1], [0, 1], [0, 0], [1, 1]]
    assert guesses(torch.eye(3), torch.tensor([0, 1, 0])).tolist() == [[1, 1], [1, 1], [0, 1]]


@pytest.mark.parametrize("measure", [None, "loss"])
def test_a_regression_is_kept_by_its_own_measure(tmp_path, measure) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(80, 4))
    targets = inputs @ [1.0, 2, 3, 4] + 0.1 * generator.normal(size=80)
    data = from_arrays(inputs, targets, task="regression")
    space = ToySpace(lambda: nn.Linear(4, 1), n_classes=1)
    result = full(
        tmp_path, data=data, test=data, space=space, measure=measure, epochs=6, learning_rate=0.02, batch_size=8
    )
    short = TrainingObjective(
        data, epochs=6, learning_rate=0.02, batch_size=8, validation_fraction=0.1, measure=measure, **CPU
    )
    assert [row.value for row in result.log] == pytest.approx(
        [point.value for point in short.evaluate(space, FIRST, seed=0).curve]
    )
    assert result.settings["measure"] == (measure or "r2")
    values = [row.value for row in result.log]
    assert values[result.epoch - 1] == (min(values) if measure else max(values))
    assert result.log[0].top1 is None
    assert "top1" not in result.test
    assert result.test["value"] < 0.1 if measure else result.test["value"] > 0.9
    with pytest.raises(DataError, match="of the training's task, regression; it is of classification"):
        full(tmp_path, data=data, test=blobs(), space=space)


def test_log_and_result_can_be_read(tmp_path) -> None:
    import pandas as pd

    result = full(tmp_path, test=blobs(30))
    frame = pd.read_csv(tmp_path / "log.csv")
    assert list(frame.columns) == [*EpochFinished.__dataclass_fields__]
    assert frame["top1"].tolist() == [row.top1 for row in result.log]
    assert result.history()["training_loss"].tolist() == frame["training_loss"].tolist()
    value = json.loads((tmp_path / "training.json").read_text())
    assert value["parameters"] == sum(entry.numel() for entry in result.build().parameters())
    assert value["test"] == dict(result.test)
    assert value["settings"]["recipe"]["epochs"] == 3
    loaded = load_trained(tmp_path, space=ToySpace())
    assert loaded.log == result.log
    assert all(torch.equal(a, b) for a, b in zip(loaded.build().parameters(), result.build().parameters(), strict=True))


def test_half_precision_learns_with_parameters_in_full(tmp_path) -> None:
    result = full(tmp_path, epochs=20, mixed_precision="bf16")
    assert result.validation["top1"] > 0.8
    assert {entry.dtype for entry in result.build().parameters()} == {torch.float32}
    assert result.settings["precision"] == "bfloat16"


# ── from a search ──


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    data = load_dataset("digits")
    space = robonas.NASBench201(input_shape=data.input_shape, n_classes=10, channels=2, depth=1)
    return robonas.search(
        space,
        TrainingObjective(data, epochs=1, **CPU),
        strategy="random",
        pool=4,
        budget=2,
        folder=tmp_path_factory.mktemp("search"),
    )


def test_a_winner_is_trained_larger(found, tmp_path) -> None:
    data = load_dataset("digits")
    larger = robonas.NASBench201(input_shape=data.input_shape, n_classes=10, channels=4, depth=1)
    result = train(found, data, space=larger, folder=tmp_path, epochs=1, **CPU)
    assert result.text == larger.format(larger.canonical(larger.parse(found.text)))
    loaded = robonas.load_trained(tmp_path)
    assert loaded.space.settings["channels"] == 4
    assert loaded.size["parameters"] > found.size["parameters"]
    own = train(found, data, folder=tmp_path / "own", epochs=1, **CPU)
    assert own.space is found.space
    with pytest.raises(ConfigError, match="must be that of the search, 'nasbench201', in any size; got 'darts'"):
        train(found, data, space=DARTS(input_shape=(1, 8, 8)), folder=tmp_path / "no", epochs=1, **CPU)


# ── what goes wrong ──


def test_a_checkpoint_of_other_settings(tmp_path) -> None:
    full(tmp_path)
    for change, sentence in (
        ({"epochs": 4}, "recipe.epochs was 3, is now 4"),
        ({"learning_rate": 0.2}, "recipe.learning_rate was 0.1, is now 0.2"),
        ({"data": blobs(63)}, "data was"),
        ({"mixed_precision": "bf16"}, "precision was 'float32', is now 'bfloat16'"),
        ({"seed": 1}, "seed was 0, is now 1. Choose another folder"),
    ):
        with pytest.raises(CheckpointError, match=sentence):
            full(tmp_path, **change)


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a checkpoint was run')",))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a checkpoint at all"),
        lambda path: path.write_bytes(pickle.dumps(Evil())),
        lambda path: torch.save({"format": 1, "evil": Evil()}, path),
        lambda path: torch.save({"format": 1}, path),
        lambda path: torch.save({"format": 2}, path),
        lambda path: torch.save([1, 2], path),
    ],
)
def test_a_damaged_checkpoint(tmp_path, damage) -> None:
    full(tmp_path)
    damage(tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match=r"Checkpoint '.*checkpoint\.pt' .* Restore it from a copy, or remove it"):
        full(tmp_path)


def test_a_checkpoint_whose_state_does_not_fit(tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        full(tmp_path, callbacks=[stop_after(1)])
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del content["state"]["network"]["1.weight"]
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="does not fit its own network"):
        full(tmp_path)


def test_parameters_that_are_damaged_or_of_another_network(tmp_path) -> None:
    result = full(tmp_path)
    tensors, notes = read_tensors(result.parameters_file)
    write_tensors(result.parameters_file, tensors, {**notes, "architecture": "another"})
    with pytest.raises(CheckpointError, match=r"must hold the parameters of .*; it holds those of another"):
        result.build()
    result.parameters_file.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"Cannot read the parameters .*damaged"):
        result.build()
    result.parameters_file.unlink()
    with pytest.raises(CheckpointError, match="Cannot read the parameters"):
        result.build()
    assert result.build(trained=False).training


def test_nobody_else_trains_in_the_folder(tmp_path) -> None:
    with (
        FileLock(tmp_path / ".checkpoint.pt.lock"),
        pytest.raises(CheckpointError, match="Another program is training in"),
    ):
        full(tmp_path)


def test_a_result_that_may_not_be_read(tmp_path, monkeypatch) -> None:
    (tmp_path / "training.json").write_text("{}")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(CheckpointError, match=r"Cannot read '.*training\.json': Permission denied\."):
        load_trained(tmp_path)


def test_what_is_not_there_or_not_finished(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="There is no training in"):
        load_trained(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        full(tmp_path, callbacks=[stop_after(2)])
    with pytest.raises(CheckpointError, match=r"not finished: 2 of 3 epochs are done. Run it again"):
        load_trained(tmp_path)
    full(tmp_path)
    (tmp_path / "training.json").write_text('{"settings": {}')
    with pytest.raises(CheckpointError, match=r"training\.json' is damaged"):
        load_trained(tmp_path, space=ToySpace())


def test_the_test_set_must_fit() -> None:
    data = blobs()
    with pytest.raises(DataError, match=r"must have inputs of shape \(4,\); got \(5,\)"):
        full("nowhere", data=data, test=blobs(30, 3, (5,)))
    with pytest.raises(DataError, match=r"class 3 is '3' there and missing here"):
        full("nowhere", data=data, test=blobs(30, 4))
    named = from_arrays(np.zeros((6, 4)), [0, 1, 2] * 2, class_names=["a", "b", "c"])
    other = from_arrays(np.zeros((6, 4)), [0, 1, 2] * 2, class_names=["a", "c", "b"])
    with pytest.raises(DataError, match="class 1 is 'c' there and 'b' here"):
        full("nowhere", data=named, test=other)


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"space": ToySpace(input_shape=(5,))}, ConfigError, r"made for the data, input_shape=\(4,\)"),
        ({"space": ToySpace(n_classes=7)}, ConfigError, "n_classes=3"),
        ({"flip": True}, ConfigError, "are for images"),
        ({"epochs": 0}, ConfigError, "`epochs` must be at least 1"),
        ({"threads": 0}, ConfigError, "`threads`"),
        ({"n_workers": -1}, ConfigError, "`n_workers`"),
        ({"validation_fraction": 1.0}, ConfigError, "between 0 and 1"),
        ({"drop_path": 0.2}, ConfigError, "`drop_path` needs a network"),
        ({"auxiliary_weight": 0.4}, NetworkError, "auxiliary=True"),
        ({"learning_rate": 1e30}, ObjectiveError, "diverged in epoch 1 of 3"),
        ({"space": ToySpace(lambda: 1 / 0)}, ObjectiveError, "crashed in building: ZeroDivisionError"),
        ({"device": "cuda:99"}, ConfigError, "not available here"),
    ],
)
def test_settings_that_cannot_be(tmp_path, settings, error, sentence) -> None:
    with pytest.raises(error, match=sentence):
        full(tmp_path, **settings)


def test_an_architecture_needs_a_space() -> None:
    with pytest.raises(ConfigError, match="needs its `space`"):
        train("x", blobs())


def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch) -> None:
    whole = full(tmp_path / "whole")
    real, written = Path.write_bytes, []

    def fill(path, content) -> int:
        written.append(path.name)
        if len(written) == 4:  # the checkpoint of the second epoch
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    with monkeypatch.context() as context:
        context.setattr(Path, "write_bytes", fill)
        with pytest.raises(OutputError, match=r"No space left on device\. Finished work is kept"):
            full(tmp_path / "cut")
    assert "checkpoint" in written[3]
    assert len(read_checkpoint(tmp_path / "cut").log) == 1
    assert same(whole, full(tmp_path / "cut"))


def test_data_read_lazily_by_workers_go_on_exactly(tmp_path) -> None:
    class Items(torch.utils.data.Dataset):
        """Points with a random shift, another one each time that they are read."""

        def __init__(self) -> None:
            self.inputs, self.labels = blobs().inputs, blobs().labels.tolist()

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, index):
            return self.inputs[index] + 0.1 * torch.randn(4), self.labels[index]

    data = from_dataset(Items(), memory_limit=0)
    whole = full(tmp_path / "whole", data=data)
    with pytest.raises(KeyboardInterrupt):
        full(tmp_path / "cut", data=data, callbacks=[stop_after(1)])
    assert same(whole, full(tmp_path / "cut", data=data, n_workers=1))


def test_the_folder_of_a_search_is_left_alone(found) -> None:
    with pytest.raises(ConfigError, match=r"is the folder of a search\. Choose another"):
        train(found, load_dataset("digits"), folder=found.folder, epochs=1, **CPU)


def test_a_folder_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"Cannot write .*is not a folder"):
        full(tmp_path / "file")


def test_the_folder_is_named_after_the_search() -> None:
    def after(folder, study="search"):
        result = object.__new__(SearchResult)
        vars(result).update(folder=folder and Path(folder), study=study)
        return folder_after(result)

    assert after("runs/photos") == Path("runs/photos-train")
    assert after("runs/photos", "other") == Path("runs/photos-other-train")
    assert after(".") == Path.cwd().with_name(f"{Path.cwd().name}-train")
    assert after(None) == folder_after(FIRST) == Path("robonas-train")


def test_six_classes_have_a_top_five(tmp_path) -> None:
    data = blobs(90, 6, spread=1.5)
    result = full(tmp_path, data=data, space=ToySpace(n_classes=6))
    assert 0 < result.validation["top5"] <= 1


def test_parameters_of_another_network_are_told(tmp_path) -> None:
    full(tmp_path)
    other = ToySpace(lambda: nn.Linear(4, 3))
    with pytest.raises(CheckpointError, match="does not hold the parameters of the network that the space builds"):
        load_trained(tmp_path, space=other).build()
    assert isinstance(load_trained(tmp_path, space=other).build(trained=False), nn.Linear)


def test_what_says_how_inputs_are_prepared_is_checked(tmp_path) -> None:
    full(tmp_path)
    value = json.loads((tmp_path / "training.json").read_text())
    for change in ({"std": [0.0] * 4}, {"mean": None}, {"task": "magic"}, {"format": 9}):
        damaged = {**value, "preprocessing": {**value["preprocessing"], **change}}
        (tmp_path / "training.json").write_text(json.dumps(damaged))
        with pytest.raises(CheckpointError, match=r"training\.json' is damaged"):
            load_trained(tmp_path, space=ToySpace())
