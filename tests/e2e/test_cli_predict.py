"""`robonas predict`, and the way from a search to the network in use, end to end on small real trainings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import robonas
from robonas.cli.app import app

RUNNER = CliRunner()
SMALL = ["--space-set", "channels=2", "--space-set", "depth=1"]
CPU = ["--device", "cpu", "--threads", "1"]


def call(*arguments: object, code: int = 0):
    result = RUNNER.invoke(app, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    if code == 2:
        assert "Traceback" not in result.output
        assert len(result.stderr.strip().splitlines()) == 1
    return result


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with photographs of three kinds, a search, and what both commands said."""
    from sklearn.datasets import load_digits

    place = tmp_path_factory.mktemp("use")
    digits = load_digits()
    for kind, name in enumerate(("zeros", "ones", "twos")):
        (place / "photos" / name).mkdir(parents=True)
        for number, image in enumerate(digits.images[digits.target == kind][:40]):
            large = np.kron(image * 15, np.ones((3, 3))).astype(np.uint8)
            Image.fromarray(large).convert("RGB").save(place / "photos" / name / f"{number}.png")
    data = ["--data", place / "photos", "--image-size", 8]
    told = call(
        *(
            "search",
            *data,
            *SMALL,
            "--jobs",
            1,
            "--pool",
            4,
            "--strategy",
            "random",
            "--budget",
            2,
            "--epochs",
            2,
            *CPU,
        ),
        *("--train-batch-size", 16, "-o", place / "photos-search", "--no-report"),
    )
    (place / "search.txt").write_text(told.stderr)
    told = call("train", "--search", place / "photos-search", *data, "--epochs", 4, *CPU, "--train-batch-size", 16)
    (place / "train.txt").write_text(told.stderr + told.stdout)
    return place


def test_a_search_says_what_comes_next(place) -> None:
    told = (place / "search.txt").read_text()
    folder, photos = place / "photos-search", place / "photos"
    assert f"Next:  robonas train --search {folder} --data folder:{photos} --image-size 8 --epochs 20" in told
    assert "--train-batch-size 16" in told
    assert f"robonas predict {folder}-train IMAGE.png" in told
    assert f"robonas export {folder}-train -o network.pt2" in told


def test_a_training_is_named_after_its_search_and_says_what_comes_next(place) -> None:
    told = (place / "train.txt").read_text()
    assert (place / "photos-search-train" / "network.safetensors").is_file()
    assert f"robonas predict {place / 'photos-search-train'} IMAGE.png" in told
    assert f"robonas export {place / 'photos-search-train'} -o network.pt2" in told
    assert "top-5" not in told  # of three classes
    assert "top5" not in robonas.load_trained(place / "photos-search-train").validation


@pytest.mark.parametrize("folder", ["photos-search", "photos-search-train"])
def test_a_network_predicts_the_images_that_it_was_judged_on_as_well_as_was_reported(place, folder) -> None:
    paths = sorted((place / "photos").rglob("*.png"), key=lambda path: (path.parent.name, path.name))
    data = robonas.load_dataset(place / "photos", size=8)
    fraction = 0.25 if folder == "photos-search" else 0.1
    _, validation = data.split(fraction)
    kept = [paths[row] for row in validation.rows.tolist()]
    found = json.loads(call("predict", place / folder, *kept, "--json").stdout)
    assert [one["input"] for one in found] == list(map(str, kept))
    right = [one["class"] == Path(one["input"]).parent.name for one in found]
    shown = json.loads(call("show", place / folder, "--json").stdout)
    reported = shown["best"]["value"] if folder == "photos-search" else shown["validation"]["value"]
    assert np.mean(right) == pytest.approx(reported)
    how = (shown["best"] if folder == "photos-search" else shown)["preprocessing"]
    assert how["class_names"] == ["ones", "twos", "zeros"]
    assert how["images"] == {"mode": "RGB", "size": [8, 8], "values": None}


def test_a_table_for_a_folder_of_images(place) -> None:
    told = call("predict", place / "photos-search-train", place / "photos" / "ones", "--top-k", 2).stdout
    assert "40 predictions" in told
    for heading in ("input", "class", "probability", "next"):
        assert heading in told
    only = call("predict", place / "photos-search", place / "photos" / "ones" / "3.png", "--top-k", 1).stdout
    assert "1 prediction\n" in "\n".join(line.strip() for line in only.splitlines()) + "\n"
    assert "next" not in only


def test_how_many_images_are_in_the_folder_of_their_class(place, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(place)
    network = robonas.load_trained("photos-search-train")
    paths = sorted(Path("photos").rglob("*.png"))
    right = sum(name == path.parent.name for name, path in zip(network.predict(paths).classes, paths, strict=True))
    line = f"{right} of 120 are in the folder of their class ({right / 120:.4f})"
    assert call("predict", "photos-search-train", "photos").stdout.splitlines()[-1] == line
    found = json.loads(call("predict", "photos-search-train", "photos", "--json").stdout)
    assert sum(one["right"] for one in found) == right
    assert {(Path(one["input"]).parent.name, one["expected"]) for one in found} == {
        (name, name) for name in ("ones", "twos", "zeros")
    }
    some = call("predict", "photos-search-train", "photos/ones", "photos/twos/0.png").stdout.splitlines()[-1]
    assert " of 41 are in the folder of their class" in some
    monkeypatch.chdir("photos/ones")
    assert " of 1 are in the folder" in call("predict", "../../photos-search-train", "3.png").stdout
    (tmp_path / "others" / "ones" / "deep").mkdir(parents=True)
    (tmp_path / "others" / "ones" / "deep" / "a.png").write_bytes(Path("3.png").read_bytes())
    (tmp_path / "others" / "b.png").write_bytes(Path("3.png").read_bytes())
    told = call("predict", place / "photos-search-train", tmp_path / "others").stdout.splitlines()[-1]
    assert told.endswith("; the class of 1 more is not known")
    told = call("predict", place / "photos-search-train", tmp_path / "others" / "b.png").stdout
    assert "folder of" not in told


def test_an_npz_file_and_its_labels(place, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, home = robonas.load_dataset(place / "photos", size=8), place / "photos-search-train"
    pixels, labels = data.raw.numpy(), data.labels.numpy()
    found = robonas.load_trained(home).predict(data.raw)
    right = int((found.labels == labels).sum())
    line = f"{right} of 120 are of the class that the file says ({right / 120:.4f})"
    np.savez("one.npz", images=pixels.transpose(0, 2, 3, 1), labels=labels[:, None])
    assert call("predict", home, "one.npz").stdout.splitlines()[-1] == line
    order = ["zeros", "ones", "twos"]
    named = np.array([order.index(data.class_names[label]) for label in labels])
    np.savez("two.npz", x=pixels, y=named, class_names=np.array(order))
    told = json.loads(call("predict", home, "two.npz", "--json").stdout)
    assert sum(one["right"] for one in told) == right
    np.savez("three.npz", X=pixels, other=labels)
    assert "class that" not in call("predict", home, "three.npz").stdout
    np.testing.assert_array_equal(robonas.load_trained(home).predict("three.npz").outputs, found.outputs)
    np.savez("four.npz", x=pixels, y=labels + 1)
    told = call("predict", home, "four.npz")
    assert "must be class indices from 0 to 2, one an input" in " ".join(told.stderr.split())
    np.savez("five.npz", pictures=pixels)
    assert "must hold inputs as one of: 'x', 'X', 'images'" in call("predict", home, "five.npz", code=2).stderr
    np.savez("six.npz", x=pixels, kind="sounds")
    assert "must be one of images, signals; got 'sounds'" in call("predict", home, "six.npz", code=2).stderr
    assert "There is no file" in call("predict", home, "gone.npz", code=2).stderr


def test_arrays_and_whole_answers(place, tmp_path) -> None:
    data = robonas.load_dataset(place / "photos", size=8)
    np.save(tmp_path / "some.npy", data.raw[:5].numpy())
    out = tmp_path / "answers.npz"
    call("predict", place / "photos-search-train", tmp_path / "some.npy", "-o", out)
    with np.load(out) as kept:
        expected = robonas.load_trained(place / "photos-search-train").predict(data.raw[:5])
        np.testing.assert_array_equal(kept["outputs"], expected.outputs)
        assert kept["class_names"].tolist() == ["ones", "twos", "zeros"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos-search", "nothing.png"], "There is no image '"),
        (["photos-search", "photos-search"], "must hold images that Pillow reads; it has none"),
        (["photos-search", "search.txt"], "it is damaged or not an image"),
        (["photos", "photos/ones/1.png"], "There is no search in"),
        (["photos-search", "photos/ones/1.png", "--top-k", "0"], "top_k"),
        (["photos-search", "photos/ones/1.png", "-o", "x.csv"], "must end in .npz"),
        (["photos-search", "photos/ones/1.png", "--at", "latency=3"], "has no front"),
        (["photos-search-train", "photos/ones/1.png", "--at", "latency=3"], "is a full training"),
        (["photos-search", "objects.npy"], "it holds Python objects"),
        (["photos-search", "short.npy"], "Cannot read the array"),
        (["photos-search", "gone.npy"], "There is no file"),
        (["photos-search", "gone.npy", "photos/ones/1.png"], "must be given alone"),
        (["photos-search", "wrong.npy"], "An input must have shape (3, 8, 8)"),
    ],
)
def test_what_cannot_be_predicted_is_one_clear_line(place, arguments, message, monkeypatch) -> None:
    monkeypatch.chdir(place)
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("wrong.npy", np.zeros((2, 3, 9, 9), np.uint8))
    Path("short.npy").write_bytes(Path("wrong.npy").read_bytes()[:200])
    assert message in call("predict", *arguments, code=2).stderr


def test_a_search_whose_parameters_are_of_something_else(place, tmp_path) -> None:
    from tests.fakes import CountParameters, small_space

    robonas.search(small_space(), CountParameters(), strategy="random", pool=3, budget=1, folder=tmp_path)
    told = call("predict", tmp_path, place / "photos" / "ones" / "1.png", code=2).stderr
    assert "are not those of the network that the space builds" in told


@pytest.mark.parametrize(
    ("data", "space", "expected"),
    [
        ("sklearn:linnerud", "mlp", ["Weight", "Waist", "Pulse"]),
        ("digits_moments", "transnas_micro", ["centre_x", "spread_y"]),
    ],
)
def test_numbers_are_shown_by_their_names(data, space, expected, tmp_path) -> None:
    small = [] if space == "mlp" else ["--space-set", "channels=2"]
    call(
        *("search", "--data", data, "--space", space, *small, "--jobs", 1, "--pool", 2, "--strategy", "random"),
        *("--budget", 1, "--epochs", 1, "--clip", 1, "--learning-rate", 0.01, "--training-fraction", 0.1, *CPU),
        *("-o", tmp_path / "s", "--no-report"),
    )
    part, _ = robonas.load_dataset(data).split()
    np.save(tmp_path / "rows.npy", part.raw[:3].numpy())
    told = call("predict", tmp_path / "s", tmp_path / "rows.npy").stdout
    for name in expected:
        assert name in told
    found = json.loads(call("predict", tmp_path / "s", tmp_path / "rows.npy", "--json").stdout)
    assert [entry["name"] for entry in found[0]["top"]] == list(part.class_names)
    result = robonas.load_result(tmp_path / "s")
    assert found[2]["top"][0]["value"] == pytest.approx(float(result.predict(part.raw[:3]).outputs[2, 0]), rel=1e-5)


@pytest.mark.slow
def test_maps_are_shown_by_the_share_of_their_pixels(tmp_path) -> None:
    call(
        *("search", "--data", "digits_segment", "--space", "transnas_micro", "--space-set", "channels=2", "--jobs", 1),
        *("--pool", 2, "--strategy", "random", "--budget", 1, "--epochs", 1, "--training-fraction", 0.05, *CPU),
        *("-o", tmp_path / "s", "--no-report"),
    )
    Image.fromarray(np.zeros((50, 40), np.uint8)).save(tmp_path / "a.png")
    told = call("predict", tmp_path / "s", tmp_path / "a.png", "-o", tmp_path / "maps.npz").stdout
    assert "share of pixels" in told
    with np.load(tmp_path / "maps.npz") as kept:
        assert kept["labels"].shape == (1, 32, 32)
        assert kept["probabilities"].shape == (1, 11, 32, 32)
