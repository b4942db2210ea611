"""Changes of images: what each does, pixel by pixel, and that it is drawn as often as it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from robonas.common.randomness import torch_generator
from robonas.datasets.batch import middle
from robonas.errors import ConfigError
from robonas.training.augment import (
    augment,
    blank_squares,
    cut_out_boxes,
    draw,
    draw_boxes,
    jitter,
    mirror,
    shift,
)
from robonas.training.recipe import Recipe
from robonas.training.workers import Workers


def test_flip_mirrors_some() -> None:
    images = torch.arange(64.0 * 6).reshape(64, 1, 2, 3)
    mirrored = draw(Recipe(flip=True), 64, (1, 2, 3), torch_generator("test"))["mirrored"]
    assert 16 < int(mirrored.sum()) < 48
    flipped = mirror(images, mirrored)
    assert torch.equal(flipped[mirrored], images[mirrored].flip(-1))
    assert torch.equal(flipped[~mirrored], images[~mirrored])


def test_crop_shifts_each_and_fills_with_zeros() -> None:
    images = torch.arange(1.0, 1 + 50 * 2 * 3 * 4).reshape(50, 2, 3, 4)
    cropped = shift(images, draw(Recipe(crop=1), 50, (2, 3, 4), torch_generator("test"))["offsets"], 1)
    windows = F.pad(images, (1, 1, 1, 1))
    found = set()
    for image, window in zip(cropped, windows, strict=True):
        places = [(i, j) for i in range(3) for j in range(3) if torch.equal(image, window[:, i : i + 3, j : j + 4])]
        assert len(places) == 1
        found.add(places[0])
    assert len(found) == 9


@pytest.mark.parametrize(
    ("centre", "side", "rows", "columns"),
    [
        ((0.5, 0.5), 4, (2, 6), (2, 6)),  # around pixel 4 of 8: two above, itself and one below
        ((0.5, 0.5), 3, (3, 6), (3, 6)),
        ((0.0, 0.99), 4, (0, 2), (5, 8)),  # cut off at the corner
    ],
)
def test_cutout_blanks_a_square(centre, side, rows, columns) -> None:
    images = torch.ones(1, 2, 8, 8)
    blanked = blank_squares(images, torch.tensor([centre]), side)
    expected = images.clone()
    expected[:, :, slice(*rows), slice(*columns)] = 0
    assert torch.equal(blanked, expected)


def test_mean_area_of_cutout() -> None:
    """16 of 32 pixels: a side keeps (136 + 17 · 16 + 100 + …)/32 pixels on average; counted over all centres."""
    centres = torch.cartesian_prod(torch.arange(32) / 32, torch.arange(32) / 32)
    blank = blank_squares(torch.ones(1024, 1, 32, 32), centres, 16) == 0
    side = np.mean([min(32, c + 8) - max(0, c - 8) for c in range(32)])
    assert float(blank.flatten(1).sum(1).float().mean()) == pytest.approx(side**2)


def test_a_box_that_is_the_whole_image_changes_nothing() -> None:
    images = torch.rand(2, 3, 6, 8)
    assert torch.allclose(cut_out_boxes(images, torch.tensor([[1.0, 1.0, 0.0, 0.0]] * 2), (6, 8)), images, atol=1e-6)


def test_a_box_is_cut_out() -> None:
    images = torch.arange(48.0).reshape(1, 1, 6, 8)
    found = cut_out_boxes(images, torch.tensor([[0.5, 0.5, 1 / 3, 0.25]]), (3, 4))  # rows 2 to 4, columns 2 to 5
    assert torch.allclose(found, images[:, :, 2:5, 2:6], atol=1e-4)


def test_boxes_keep_their_share_and_aspect() -> None:
    boxes = draw_boxes(0.5, 4000, (3, 100, 100), torch_generator("test"))
    height, width, top, left = boxes.unbind(1)
    uncut = (height < 1) & (width < 1)
    area, aspect = (height * width)[uncut], (width / height)[uncut]
    assert 0.5 <= float(area.min()) < 0.51
    assert 0.95 < float(area.max()) <= 1
    assert 0.75 <= float(aspect.min()) + 1e-6 < 0.76
    assert 1.32 < float(aspect.max()) <= 4 / 3 + 1e-6
    assert float(torch.log(aspect).mean()) == pytest.approx(0, abs=0.02)
    assert float((top + height).max()) <= 1 + 1e-6
    assert float((left + width).max()) <= 1 + 1e-6
    wide = draw_boxes(0.1, 4000, (3, 50, 100), torch_generator("test"))
    assert float((2 * wide[:, 1] / wide[:, 0]).min()) >= 0.75 - 1e-5  # in pixels, where no side was cut


def test_the_middle() -> None:
    images = torch.arange(30.0).reshape(1, 1, 5, 6)
    assert torch.equal(middle(images, (1, 3, 4)), images[:, :, 1:4, 1:5])
    assert torch.equal(middle(images, (1, 5, 6)), images)


def test_jitter_by_hand() -> None:
    raw = torch.tensor([[100, 200], [50, 250], [0, 40]], dtype=torch.uint8).reshape(1, 3, 1, 2)
    same = jitter(raw, torch.ones(1, 3))
    assert torch.equal(same, raw)
    assert jitter(raw, torch.tensor([[0.5, 1, 1]])).flatten().tolist() == [50, 100, 25, 125, 0, 20]
    grey = [0.299 * 100 + 0.587 * 50, 0.299 * 200 + 0.587 * 250 + 0.114 * 40]
    flat = jitter(raw, torch.tensor([[1, 1, 0.0]])).reshape(3, 2)  # without saturation
    assert flat.tolist() == [[round(value) for value in grey]] * 3
    mean = sum(grey) / 2
    half = jitter(raw, torch.tensor([[1, 0.5, 1]])).flatten().tolist()
    assert half == [round(mean + 0.5 * (value - mean)) for value in raw.flatten().tolist()]
    with pytest.raises(ConfigError, match=r"for images of bytes; got torch\.float32"):
        jitter(raw.float(), torch.ones(1, 3))


def test_jitter_of_torchvision() -> None:
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    raw = torch.randint(256, (1, 3, 9, 7), dtype=torch.uint8, generator=torch_generator("raw"))
    expected = functional.adjust_brightness(raw / 255, 1.3)
    expected = functional.adjust_contrast(expected, 0.7)
    expected = 255 * functional.adjust_saturation(expected, 1.2)
    found = jitter(raw, torch.tensor([[1.3, 0.7, 1.2]]))
    assert float((found - expected).abs().max()) < 0.6  # torchvision's red, green and blue have a digit more


def test_processes_change_their_images_as_one_would() -> None:
    recipe = Recipe(flip=True, crop=2, cutout=3, resized_crop=0.5, colour_jitter=0.4)
    images = torch.rand(7, 3, 8, 8)
    draws = draw(recipe, 7, (3, 8, 8), torch_generator("test"))
    assert {len(values) for values in draws.values()} == {7}
    alone = augment(images, recipe, draws, (3, 6, 6))
    assert alone.shape == (7, 3, 6, 6)
    parts = []
    for rank in range(3):
        mine = Workers(rank, 3)
        rows = mine.share_range(7)
        assert torch.arange(7)[rows].tolist() == mine.share(torch.arange(7)).tolist()
        parts.append(augment(images[rows], recipe, {name: values[rows] for name, values in draws.items()}, (3, 6, 6)))
    assert torch.equal(torch.cat(parts), alone)
