"""The digits with targets of other kinds, against what they are made from."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits

from robonas.datasets import load_dataset
from robonas.datasets.digits_tasks import permutations
from robonas.errors import ConfigError, DataError, UnknownNameError

DIGITS = load_digits()


def test_autoencoder_answers_its_input():
    data = load_dataset("digits_autoencoder", size=64)
    assert (data.task, data.input_shape, data.output_shape) == ("image", (1, 64, 64), (1, 64, 64))
    assert torch.equal(data.labels, 2 * data.inputs - 1)
    assert np.allclose(
        data.inputs[:, :, 4::8, 4::8][:, :, 1:-1, 1:-1].mean(), DIGITS.images[:, 1:-1, 1:-1].mean() / 16, 0.1
    )


def test_jigsaw_can_be_put_together():
    data = load_dataset("digits_jigsaw")
    whole = load_dataset("digits_autoencoder", size=24).inputs
    assert (data.input_shape, data.n_classes) == ((9, 1, 8, 8), 24)
    tiles = data.inputs
    for row in range(0, 1797, 100):
        order = [int(place) for place in data.class_names[data.labels[row]]]
        solved = torch.zeros(1, 24, 24)
        for place, origin in enumerate(order):
            down, right = divmod(origin, 3)
            solved[:, 8 * down : 8 * down + 8, 8 * right : 8 * right + 8] = tiles[row, place]
        assert torch.equal(solved, whole[row])
    counts = torch.bincount(data.labels)
    assert int(counts.max() - counts.min()) <= 1
    with pytest.raises(ConfigError, match="must be a multiple of 3; got 32"):
        load_dataset("digits_jigsaw", size=32)


def test_permutations_are_far_apart():
    orders = permutations(24)
    assert {tuple(sorted(order)) for order in orders.tolist()} == {tuple(range(9))}
    apart = [(a != b).sum() for number, a in enumerate(orders) for b in orders[:number]]
    assert min(apart) >= 6
    assert np.mean(apart) > 7.9, "drawn ones differ in 8 places of 9 on average"
    assert permutations(5).tolist() == orders[:5].tolist()


def test_moments_by_hand():
    data = load_dataset("digits_moments")
    image = DIGITS.images[7] / DIGITS.images[7].sum()
    place = np.linspace(-1, 1, 8)
    x = sum(image[i, j] * place[j] for i in range(8) for j in range(8))
    y = sum(image[i, j] * place[i] for i in range(8) for j in range(8))
    xx, yy, xy = (
        sum(image[i, j] * (place[j] - x) ** a * (place[i] - y) ** b for i in range(8) for j in range(8))
        for a, b in ((2, 0), (0, 2), (1, 1))
    )
    np.testing.assert_allclose(data.labels[7], [x, y, xx, yy, xy], rtol=1e-5, atol=1e-6)


def test_normals_are_directions_and_stand_up_on_flat_ground():
    data = load_dataset("digits_normal")
    torch.testing.assert_close(data.labels.norm(dim=1), torch.ones(1797, 32, 32))
    assert bool((data.labels[:, 2] > 0).all())
    flat = (data.inputs[:, 0, :3, :3] == 0).flatten(1).all(1)
    assert flat.any()
    assert data.labels[flat][:, :, 1, 1].unique(dim=0).tolist() == [[0, 0, 1]]
    # The slope falls to the left where it gets brighter to the right.
    brighter = data.inputs[:, 0, :, 2:] > data.inputs[:, 0, :, :-2]
    assert bool((data.labels[:, 0, :, 1:-1][brighter] < 0).all())


def test_segments_are_paper_or_the_digit():
    data = load_dataset("digits_segment")
    assert (data.n_classes, data.output_shape) == (11, (11, 32, 32))
    for mask, image, digit in zip(data.labels, data.inputs, DIGITS.target, strict=True):
        assert set(mask.unique().tolist()) <= {0, digit + 1}
        assert torch.equal(mask > 0, image[0] >= 0.5)


def test_signals_are_columns_in_time():
    data = load_dataset("digits_signal")
    assert data.input_shape == (8, 8)
    np.testing.assert_allclose(data.inputs.numpy() * 16, DIGITS.images)


@pytest.mark.parametrize("name", ["digits_autoencoder", "digits_segment", "digits_normal", "digits_moments"])
def test_digits_do_not_shrink(name):
    with pytest.raises(ConfigError, match="`size` of the digits must be at least 8"):
        load_dataset(name, size=4)


def test_tables_of_scikit_learn():
    data = load_dataset("sklearn:diabetes")
    assert (data.task, data.input_shape, data.output_shape) == ("regression", (10,), (1,))
    np.testing.assert_allclose(data.labels[:, 0], load_diabetes().target)
    assert load_dataset("sklearn:iris").class_names == ("setosa", "versicolor", "virginica")
    assert load_dataset("sklearn:linnerud").output_shape == (3,)
    with pytest.raises(UnknownNameError, match="Did you mean 'diabetes'"):
        load_dataset("sklearn:diabtes")
    with pytest.raises(DataError, match="must be given as 'sklearn:NAME'"):
        load_dataset("sklearn")


def test_task_in_an_npz_file(tmp_path):
    table = load_diabetes()
    np.savez(tmp_path / "table.npz", x=table.data, y=table.target, task="regression")
    data = load_dataset(tmp_path / "table.npz")
    assert (data.task, data.output_shape) == ("regression", (1,))
    np.savez(tmp_path / "bad.npz", x=table.data, y=table.target, task="guess")
    with pytest.raises(DataError, match=r"must be one of classification, .*; got 'guess'"):
        load_dataset(tmp_path / "bad.npz")
