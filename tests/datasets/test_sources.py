"""Folders, npz files, torch data sets, torchvision, and the text that names them."""

from __future__ import annotations

import io
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset

from robonas.datasets import DATASETS, LabelledData, from_arrays, from_dataset, load_dataset
from robonas.datasets.images import suffixes
from robonas.datasets.samples import InMemory, Lazy
from robonas.errors import ConfigError, DataError, MissingExtraError, UnknownNameError

root_reads_all = pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")


def picture(path, colour=(255, 0, 0), size=(6, 4), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pets"
    for index in range(3):
        picture(root / "cat" / f"{index}.png", (255, 0, index))
        picture(root / "dog" / "deeper" / f"{index}.PNG", (0, 255, index))
    (root / ".hidden").mkdir()
    picture(root / "cat" / ".hidden.png", size=(1, 1))
    return root


# ── digits ──


def test_digits():
    data = load_dataset("digits")
    assert (len(data), data.input_shape, data.n_classes) == (1797, (1, 8, 8), 10)
    assert float(data.inputs.min()) == 0
    assert float(data.inputs.max()) == 1
    assert data.fingerprint() == "5ce2711cd3a3314ec1b70a64fe4fb710"  # the same on every machine


# ── folder ──


def test_folder(folder):
    data = load_dataset(f"folder:{folder}")
    assert data.class_names == ("cat", "dog")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.input_shape == (3, 4, 6)
    assert data.inputs[4, :, 2, 3].mul(255).round().tolist() == [0, 255, 1]
    assert load_dataset(folder).fingerprint() == data.fingerprint()


def test_folder_crops_in_the_middle_then_resizes(tmp_path):
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = 200  # the middle third is all that a square keeps
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(wide).save(tmp_path / name / "1.png")
        Image.fromarray(wide.transpose(1, 0, 2)).save(tmp_path / name / "2.png")
    data = load_dataset(tmp_path, size=4)
    assert data.input_shape == (3, 4, 4)
    assert (data.inputs * 255).round().unique().tolist() == [200]
    assert load_dataset(tmp_path, size=(2, 3)).input_shape == (3, 2, 3)


def test_folder_reads_the_usual_kinds(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / name / "1.jpg", (10, 20, 30))
        picture(tmp_path / name / "2.bmp", (10, 20, 30))
        picture(tmp_path / name / "3.gif", 3, mode="P")
        picture(tmp_path / name / "4.png", (10, 20, 30, 128), mode="RGBA")
    assert load_dataset(tmp_path).input_shape == (3, 4, 6)


def test_grey_images_have_one_channel_and_16_bits_become_8(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / name / "1.png", 128, mode="L")
        Image.fromarray(np.full((4, 6), 0x80FF, np.uint16)).save(_made(tmp_path / name) / "2.png")
    data = load_dataset(tmp_path)
    assert data.input_shape == (1, 4, 6)
    assert (data.inputs * 255).round().unique().tolist() == [128]


def _made(path):
    path.mkdir(exist_ok=True)
    return path


def test_images_are_turned_upright(tmp_path):
    for name in ("a", "b"):
        exif = Image.Exif()
        exif[0x0112] = 6  # turn by 90 degrees
        picture(tmp_path / name / "1.jpg", size=(6, 4), exif=exif)
    assert load_dataset(tmp_path).input_shape == (3, 6, 4)


def test_grey_and_colour_do_not_mix_unless_told(folder):
    picture(folder / "dog" / "grey.png", 100, mode="L")
    with pytest.raises(DataError, match=r"'dog/grey.png' is grey and 'cat/0.png' is not. Choose with mode='RGB'"):
        load_dataset(folder)
    assert load_dataset(folder, mode="RGB").input_shape == (3, 4, 6)
    assert load_dataset(folder, mode="L").input_shape == (1, 4, 6)


def test_sizes_do_not_mix_unless_told(folder):
    picture(folder / "dog" / "large.png", size=(9, 9))
    with pytest.raises(DataError, match=r"'cat/0.png' has 4x6 and 'dog/large.png' has 9x9 .* such as size=32"):
        load_dataset(folder)
    assert load_dataset(folder, size=5).input_shape == (3, 5, 5)


def test_a_large_folder_is_read_lazily_with_the_same_values(folder):
    lazy, eager = load_dataset(folder, memory_limit=0), load_dataset(folder)
    assert isinstance(lazy.samples, Lazy)
    assert isinstance(eager.samples, InMemory)
    assert torch.equal(lazy.inputs, eager.inputs)
    assert lazy.split()[0].mean == eager.split()[0].mean
    assert torch.equal(lazy.batch(2).inputs, eager.batch(2).inputs)
    sent = pickle.loads(pickle.dumps(lazy))  # as to another process
    assert sent.fingerprint() == lazy.fingerprint()


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_an_unreadable_image_is_named(folder, content):
    whole = (folder / "cat" / "1.png").read_bytes()
    (folder / "dog" / "broken.png").write_bytes(whole[:-30] if content is None else content)
    with pytest.raises(DataError, match=r"Cannot read image 'dog/broken.png': it is damaged or not an image"):
        load_dataset(folder)


def test_32_bit_grey_is_refused(folder):
    picture(folder / "dog" / "z.tiff", 1.5, mode="F")
    with pytest.raises(
        DataError, match=r"image 'dog/z.tiff': an image must be grey or in colour, of 8 or 16 bits; got mode 'F'"
    ):
        load_dataset(folder)


# ── folder: links, and files that are left out ──


def left_out(root, match, **settings):
    """The data of a folder that warns."""
    with pytest.warns(UserWarning, match=match) as caught:
        data = load_dataset(root, **settings)
    assert len(caught) == 1
    return data


@pytest.mark.parametrize("target", [".", "..", "../..", "deeper", "../cat/deeper"])
def test_a_link_loop_loads_each_image_once(folder, target):
    expected = load_dataset(folder).fingerprint()
    (folder / "cat" / "deeper").mkdir()
    (folder / "cat" / "deeper" / "0.png").symlink_to("../0.png")
    (folder / "cat" / "loop").symlink_to(target)
    (folder / "cat" / "deeper" / "back").symlink_to("../deeper")
    data = left_out(
        folder, r"Left out of '.*pets': 1 .png \(another name of an image that is taken\); 2 link \(to a folder"
    )
    assert data.fingerprint() == expected


def test_a_link_loop_beside_the_classes(folder):
    (folder / "all").symlink_to(".")
    assert left_out(folder, r"1 link \(to a folder that is read already, or that holds this one\)").n_classes == 2


def test_links_to_images_elsewhere_are_followed(folder, tmp_path):
    picture(tmp_path / "more" / "inner" / "9.png", (7, 7, 7))
    (folder / "cat" / "more").symlink_to(tmp_path / "more")
    (folder / "eel").symlink_to(tmp_path / "eels")
    picture(tmp_path / "eels" / "1.png")
    data = load_dataset(folder)
    assert data.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_one_file_under_two_names_of_a_class_is_one_image(folder, link):
    link(folder / "cat" / "1.png", folder / "cat" / "copy.png")
    assert len(left_out(folder, r": 1 .png \(another name of an image that is taken\)\.$")) == 6


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_one_file_in_two_classes_is_refused(folder, link):
    link(folder / "cat" / "1.png", folder / "dog" / "copy.png")
    with pytest.raises(DataError, match=r"must be in one class; 'cat/1.png' and 'dog/copy.png' of '.*' are one file"):
        load_dataset(folder)


def test_one_class_within_another_is_refused(folder):
    (folder / "dog" / "cats").symlink_to(folder / "cat")
    with pytest.raises(DataError, match=r"'cat/0.png' and 'dog/cats/0.png' of '.*' are one file"):
        load_dataset(folder)


def test_what_this_pillow_reads_is_loaded(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / name / "1.jfif", format="JPEG")
        picture(tmp_path / name / "2.TGA")
        picture(tmp_path / name / "3.jpe", format="JPEG")
        picture(tmp_path / name / "4.qoi") if "QOI" in Image.SAVE else None
    assert len(load_dataset(tmp_path)) >= 6
    assert {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"} <= suffixes()


def test_files_that_are_left_out_are_counted_by_ending_and_reason(folder):
    for name in ("notes.txt", "1.heic", "2.HEIC", "film.mpg", "page.eps", "no_ending"):
        (folder / "cat" / name).write_bytes(b"?")
    picture(folder / "loose.png")
    os.mkfifo(folder / "dog" / "pipe.png")
    told = (
        r"1 .png \(beside the class folders\); 1 .png \(no file\); "
        r"1 without an ending, 1 .eps, 2 .heic, 1 .mpg, 1 .txt \(no image that this Pillow reads\)\.$"
    )
    assert len(left_out(folder, told)) == 6


def test_a_class_of_files_that_pillow_does_not_read(folder):
    (folder / "eel").mkdir()
    (folder / "eel" / "1.heic").write_bytes(b"?")
    with pytest.raises(
        DataError, match=r"'eel' .* it has none: left out were 1 .heic \(no image that this Pillow reads"
    ):
        load_dataset(folder)


def test_a_link_to_nothing_is_named(folder):
    (folder / "cat" / "x.png").symlink_to("gone.png")
    with pytest.raises(DataError, match=r"Cannot read image 'cat/x.png': it is gone"):
        load_dataset(folder)


def test_a_page_description_under_the_name_of_an_image_starts_no_program(folder, monkeypatch):
    monkeypatch.setattr("PIL.EpsImagePlugin.EpsImageFile.load", lambda *_: pytest.fail("was read"))
    (folder / "cat" / "x.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n%%EndComments\nshowpage\n%%EOF\n"
    )
    with pytest.raises(DataError, match=r"'cat/x.png': it is damaged or not an image"):
        load_dataset(folder)


def test_a_folder_with_one_class(tmp_path):
    picture(tmp_path / "cat" / "1.png")
    with pytest.raises(DataError, match="at least 2 classes; it has one, 'cat'"):
        load_dataset(tmp_path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="at least 2 classes; it has none"):
        load_dataset(tmp_path)


def test_a_class_without_images(folder):
    (folder / "eel").mkdir()
    with pytest.raises(DataError, match=r"Class folder 'eel' .* must hold images"):
        load_dataset(folder)


def test_a_file_is_no_folder(folder):
    with pytest.raises(DataError, match="it is a file"):
        load_dataset(f"folder:{folder / 'cat' / '0.png'}")


@root_reads_all
def test_a_folder_without_permission(folder):
    (folder / "dog").chmod(0)
    try:
        with pytest.raises(DataError, match="no permission"):
            load_dataset(folder)
    finally:
        (folder / "dog").chmod(0o755)


def test_no_permission_is_told_as_such(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied", "x")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(DataError, match=r"Cannot read image 'cat/0.png': no permission"):
        load_dataset(folder)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size": 0}, "must be positive"),
        ({"size": (3, 4, 5)}, "must be a whole number, or"),
        ({"size": 2.5}, "must be a whole number, or"),
        ({"mode": "CMYK"}, "'L' for grey"),
    ],
)
def test_bad_folder_settings(folder, settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_dataset(folder, **settings)


@pytest.mark.parametrize(("size", "shape"), [(np.int64(4), (3, 4, 4)), ([np.int32(2), 5], (3, 2, 5))], ids=str)
def test_any_whole_number_is_a_size(folder, size, shape):
    assert load_dataset(folder, size=size, mode="RGB").input_shape == shape


def test_no_permission_for_a_folder_is_told_as_such(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(DataError, match=r"Cannot read folder '.*pets': no permission"):
        load_dataset(folder)


# ── npz ──

IMAGES = np.arange(4 * 3 * 5 * 6, dtype=np.uint8).reshape(4, 3, 5, 6)
LABELS = np.array([0, 1, 0, 1])


def saved(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("inputs", "labels"),
    [("x", "y"), ("X", "y"), ("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels")],
)
def test_npz_names(tmp_path, inputs, labels):
    path = saved(tmp_path, **{inputs: IMAGES, labels: LABELS, "x_test": IMAGES[:1]})
    for text in (path, str(path), f"npz:{path}"):
        assert load_dataset(text).input_shape == (3, 5, 6)


def test_npz_layouts(tmp_path):
    first = load_dataset(saved(tmp_path, x=IMAGES, y=LABELS))
    last = load_dataset(saved(tmp_path, x=IMAGES.transpose(0, 2, 3, 1), y=LABELS[:, None]))
    assert first.fingerprint() == last.fingerprint()
    assert load_dataset(saved(tmp_path, x=IMAGES[:, 0], y=LABELS)).input_shape == (1, 5, 6)
    assert load_dataset(saved(tmp_path, x=IMAGES[:, 0, 0], y=LABELS)).input_shape == (6,)


def test_npz_class_names(tmp_path):
    assert load_dataset(saved(tmp_path, x=IMAGES, y=LABELS, class_names=["cat", "dog"])).class_names == ("cat", "dog")


def test_npz_with_other_arrays(tmp_path):
    with pytest.raises(DataError, match="It holds 'a', 'b'"):
        load_dataset(saved(tmp_path, a=IMAGES, b=LABELS))


def test_npz_with_objects_runs_no_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    path = saved(tmp_path, x=np.array([Bomb()] * 4, object), y=LABELS)
    with pytest.raises(DataError, match=r"Array 'x' .* holds Python objects"):
        load_dataset(path)
    assert not (tmp_path / "exploded").exists()


def test_npz_truncated_at_any_place(tmp_path):
    whole = saved(tmp_path, x=IMAGES, y=LABELS).read_bytes()
    for length in range(0, len(whole) - 1, 97):
        (tmp_path / "short.npz").write_bytes(whole[:length])
        with pytest.raises(DataError, match="damaged"):
            load_dataset(tmp_path / "short.npz")


def test_npz_with_a_flipped_byte(tmp_path):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=IMAGES, y=LABELS)
    content = bytearray(path.read_bytes())
    content[zipfile.ZipFile(path).getinfo("x.npy").header_offset + 60] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        load_dataset(path)


def test_npz_compressed_in_a_rare_way_is_refused(tmp_path):
    whole = saved(tmp_path, x=IMAGES, y=LABELS)
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(tmp_path / "rare.npz", "w", zipfile.ZIP_LZMA) as rare:
        for name in archive.namelist():
            rare.writestr(name, archive.read(name))
    content = bytearray((tmp_path / "rare.npz").read_bytes())
    content[60] ^= 0xFF  # where its decoder raises an error of its own
    (tmp_path / "rare.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"must be stored or deflated"):
        load_dataset(tmp_path / "rare.npz")


def test_an_npy_file_is_no_npz(tmp_path):
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, IMAGES)
    with pytest.raises(DataError, match=r"a single array. Save both with numpy.savez"):
        load_dataset(tmp_path / "one.npz")


def test_no_such_npz(tmp_path):
    with pytest.raises(DataError, match=r"There is no file .*gone.npz"):
        load_dataset(tmp_path / "gone.npz")


@root_reads_all
def test_an_npz_without_permission(tmp_path):
    path = saved(tmp_path, x=IMAGES, y=LABELS)
    path.chmod(0)
    with pytest.raises(DataError, match="no permission"):
        load_dataset(path)


def test_no_permission_for_an_npz_is_told_as_such(tmp_path, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(13, "Permission denied", str(path))

    path = saved(tmp_path, x=IMAGES, y=LABELS)
    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(DataError, match=r"Cannot read '.*data.npz': no permission"):
        load_dataset(path)


# ── any torch data set ──


class Items(Dataset):
    """Items from a list."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


class Noisy(Items):
    """Items with random noise from all three global generators, as augmentations add it."""

    def __getitem__(self, index):
        value, label = self.items[index]
        return value + torch.rand(()) + np.random.rand(), label  # noqa: NPY002


def floats(n=8):
    return [(torch.full((1, 2, 2), float(index)), index % 2) for index in range(n)]


def test_from_dataset():
    data = from_dataset(Items(floats()), name="mine")
    assert (len(data), data.input_shape, data.n_classes, data.name) == (8, (1, 2, 2), 2, "mine")
    assert data.inputs[:, 0, 0, 0].tolist() == list(range(8))


@pytest.mark.parametrize("label", [1, np.int64(1), np.array(1), torch.tensor(1), torch.tensor([1]), True])
def test_kinds_of_labels(label):
    assert from_dataset(Items([*floats(2), (torch.zeros(1, 2, 2), label)])).labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "value", [np.zeros((1, 2, 2)), torch.zeros(1, 2, 2, dtype=torch.float64), np.zeros((1, 2, 2), ">i4")]
)
def test_kinds_of_inputs(value):
    assert from_dataset(Items([(value, 0), (value, 1)])).inputs.dtype == torch.float32


def test_pillow_images_of_a_dataset():
    data = from_dataset(Items([(Image.new("RGB", (4, 3), (9, 8, 7)), 0), (Image.new("RGB", (4, 3)), 1)]))
    assert data.input_shape == (3, 3, 4)
    assert (data.inputs[0, :, 0, 0] * 255).round().tolist() == [9, 8, 7]


COLOURS = ["RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV"]
GREYS = ["1", "L", "LA", "I;16", "I;16L", "I;16B"]


def in_mode(mode):
    """One image of two colours or greys in any of Pillow's modes."""
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:, 3:] = (250, 10, 90) if mode in COLOURS else 255
    image = Image.fromarray(pixels)
    if mode in {"RGBX", "PA"}:
        return image.convert({"RGBX": "RGB", "PA": "P"}[mode]).convert(mode)
    if mode.startswith("I;16"):
        raw = np.asarray(image.convert("L")).astype(">u2" if mode.endswith("B") else "<u2") * 257
        return Image.frombytes(mode, image.size, raw.tobytes())
    return image.convert(mode)


@pytest.mark.parametrize("mode", [*COLOURS, *GREYS])
def test_images_from_python_are_converted_as_those_of_a_folder(mode):
    image, other = in_mode(mode), in_mode(mode)
    data = from_dataset(Items([(image, 0), (other, 1)]))
    assert image.mode == mode
    assert data.samples.values.dtype == torch.uint8
    assert data.input_shape == ((3 if mode in COLOURS else 1), 4, 6)
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1) if mode in COLOURS else np.full((1, 4, 6), 255)
    if mode in GREYS:
        expected[:, :, :3] = 0
    np.testing.assert_array_equal((data.inputs[0] * 255).round().numpy(), expected)


def test_palettes_from_python_and_from_a_file_are_the_same(tmp_path):
    image = in_mode("P")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "1.png", transparency=bytes([0, 128]))
    from_file = load_dataset(tmp_path)
    assert torch.equal(from_file.inputs[0], from_dataset(Items([(image, 0), (image, 1)])).inputs[0])
    assert len(from_file.inputs.unique()) > 2, "colours, and not the palette's indices"


@pytest.mark.parametrize("mode", ["F", "I", "LAB", "La"])
def test_images_without_a_meaning_as_bytes_are_refused(mode):
    with pytest.raises(DataError, match=f"Cannot use image at item 0: .* got mode '{mode}'"):
        from_dataset(Items([(Image.new(mode, (4, 3)), 0)] * 2))


def test_a_damaged_image_of_a_dataset(tmp_path):
    picture(tmp_path / "1.png", size=(64, 64))
    damaged = Image.open(io.BytesIO((tmp_path / "1.png").read_bytes()[:-30]))
    with pytest.raises(DataError, match="Cannot read image at item 0: it is damaged"):
        from_dataset(Items([(damaged, 0)] * 2))


def test_a_list_of_images_is_no_array():
    with pytest.raises(DataError, match=r"got a list of images\. Give a list of"):
        from_arrays([Image.new("RGB", (4, 3))] * 2, [0, 1])


def test_classes_are_named_by_the_dataset():
    items = Items(floats())
    items.classes = ["even", "odd", "neither"]
    assert from_dataset(items).class_names == ("even", "odd", "neither")
    assert from_dataset(items, 4).class_names == ("0", "1", "2", "3")


class Counting(Items):
    """Counts how often items are read, and lists the labels."""

    def __init__(self, items):
        super().__init__(items)
        self.targets = [label for _, label in items]
        self.reads = 0

    def __getitem__(self, index):
        self.reads += 1
        return super().__getitem__(index)


def test_lazy_data_with_listed_labels_reads_one_item_only():
    items = Counting(floats(100))
    data = from_dataset(items, memory_limit=0)
    assert items.reads == 1
    assert data.labels.tolist() == items.targets


def test_lazy_data_of_a_subset():
    data = from_dataset(Subset(Counting(floats(100)), [3, 4, 9, 20]), memory_limit=0)
    assert data.labels.tolist() == [1, 0, 1, 0]
    assert data.inputs[:, 0, 0, 0].tolist() == [3, 4, 9, 20]


@pytest.mark.parametrize("n_workers", [0, 2])
def test_lazy_random_items_depend_on_row_and_seed_alone(n_workers):
    data = from_dataset(Noisy(floats()), memory_limit=0)
    order = [torch.tensor([1, 5]), torch.tensor([2])]
    expected = dict(zip([1, 5, 2], _read(data, order, seed=7), strict=True))
    torch.rand(5), np.random.rand(5)  # noqa: NPY002
    other = [torch.tensor([5, 2, 1])]
    again = _read(data, other, seed=7, n_workers=n_workers)
    assert [expected[row] for row in (5, 2, 1)] == again
    assert _read(data, other, seed=8) != again


def _read(data, order, **options):
    return [float(value.mean()) for raw, _ in data.batches(order, **options) for value in raw]


def test_lazy_items_are_checked_when_read():
    items = Counting(floats(20))
    data = from_dataset(items, memory_limit=0)
    items.items[3] = (torch.zeros(1, 3, 3), 1)
    with pytest.raises(DataError, match=r"one shape, \(1, 2, 2\) as the first; got \(1, 3, 3\) at item 3"):
        _ = data.inputs
    items.items[3] = (torch.zeros(1, 2, 2), 0)
    with pytest.raises(DataError, match=r"Item 3 must have the label .* 1; got 0"):
        _ = data.inputs


def test_lazy_fingerprints_see_labels_and_items():
    items = Counting(floats(20))
    first = from_dataset(items, memory_limit=0).fingerprint()
    assert from_dataset(Counting(floats(20)), memory_limit=0).fingerprint() == first
    items.items[3] = (torch.ones(1, 2, 2), 1)
    assert from_dataset(items, memory_limit=0).fingerprint() != first


class Stream(IterableDataset):
    def __iter__(self):
        yield from floats()


ZERO = torch.zeros(1, 2, 2)


class Endless(Stream):
    def __len__(self):
        return 8


class Broken(Items):
    """Fails at one item, as a data set does whose files are gone."""

    def __getitem__(self, index):
        if index == 3:
            raise KeyError("row 3")
        return super().__getitem__(index)


def row(value):
    return Items([(ZERO, 0), (value, 1)])


BAD = {
    "stream": (Stream(), "must have a length"),
    "stream with a length": (Endless(), "must have a length"),
    "generator": ((item for item in floats()), "must be a torch.utils.data.Dataset; got a generator"),
    "dictionary": ({"x": 1, "y": 0}, "cannot give item 0 of 2: KeyError: 0"),
    "raises": (Broken(floats()), "cannot give item 3 of 8: KeyError: 'row 3'"),
    "shorter than it says": (Subset(Items(floats(2)), [0, 1, 2]), "cannot give item 2 of 3: IndexError"),
    "named parts": (Items([{"image": ZERO, "label": 0}] * 2), r"must be \(input, label\); got a dict of 2 at item 0"),
    "sparse": (
        row(ZERO.to_sparse()),
        "input at item 1 must be a dense tensor; got one that is of layout torch.sparse_coo",
    ),
    "meta": (row(ZERO.to("meta")), "must hold values; got a tensor on the device 'meta'"),
    "masked": (row(np.ma.masked_equal(np.zeros((1, 2, 2)), 0)), "got a masked array"),
    "ragged": (row([[1.0, 2.0], [3.0]]), r"all rows of one shape; got a list \("),
    "no dimension": (
        Items([(torch.tensor(1.0), 0)] * 2),
        r"must be arrays that hold numbers; got shape \(\) at item 0",
    ),
    "no numbers": (Items([(torch.zeros(3, 0), 0)] * 2), r"got shape \(3, 0\)"),
    "too large for 32 bits": (row(np.full((1, 2, 2), 1e300)), "at item 1, as a number of 32 bits"),
    "label of 31 digits": (Items([(ZERO, 0), (ZERO, 10**30)]), "got 1000000000000000000000000000000 at item 1"),
    "labels that are no indices": (
        Items([(ZERO, 0), (ZERO, 10**9)]),
        "the largest is 1000000000, and there are only 2",
    ),
    "empty": (Items([]), "is empty"),
    "one class": (Items([(ZERO, 1), (ZERO, 1)]), "at least 2 classes"),
    "no pair": (Items([ZERO, ZERO]), r"must be \(input, label\); got a Tensor at item 0"),
    "triple": (Items([(ZERO, 0, 0)] * 2), r"must be \(input, label\); got a tuple of 3 at item 0"),
    "float label": (Items([(ZERO, 0.5), (ZERO, 1)]), "Labels must be integers, one a sample; got 0.5"),
    "text label": (Items([(ZERO, 0), (ZERO, "dog")]), "got 'dog' that is a str at item 1"),
    "many labels": (Items([(ZERO, torch.tensor([0, 1]))] * 2), "of several"),
    "negative label": (Items([(ZERO, 0), (ZERO, -1)]), "got -1"),
    "text input": (Items([("path.png", 0)] * 2), "input at item 0 must be an array of numbers, .* got a str"),
    "NaN": (Items([(ZERO, 0), (ZERO / 0, 1)]), "NaN or infinity at item 1"),
    "complex": (Items([(ZERO * 1j, 0)] * 2), "must be real"),
    "shapes": (Items([(ZERO, 0), (torch.zeros(1, 3, 3), 1)]), "one shape and type"),
    "types": (Items([(ZERO, 0), (ZERO.byte(), 1)]), "one shape and type"),
    "not a dataset": (3, "must be a torch.utils.data.Dataset"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_datasets_are_one_clear_sentence(case):
    dataset, sentence = BAD[case]
    with pytest.raises(DataError, match=sentence):
        from_dataset(dataset)


def test_labels_that_are_no_indices_are_refused_before_they_cost_memory_or_time(tmp_path):
    huge = np.array([0, 1, 0, 10**9])
    listed = Counting([(ZERO, int(label)) for label in huge])
    for load in (
        lambda: from_arrays(IMAGES, huge),
        lambda: from_dataset(Items([(ZERO, label) for label in huge])),
        lambda: from_dataset(listed, memory_limit=0),
        lambda: load_dataset(saved(tmp_path, x=IMAGES, y=huge)),
    ):
        with pytest.raises(DataError, match=r"the largest is 1000000000, and there are only 4 samples\. Number"):
            load()


@pytest.mark.parametrize("n_classes", [0, -1, 2.5, "3", True, 10**9])
def test_what_is_no_number_of_classes(n_classes):
    for load in (
        lambda: from_arrays(IMAGES, LABELS, n_classes=n_classes),
        lambda: from_dataset(Items(floats()), n_classes),
    ):
        with pytest.raises(ConfigError, match="must be a whole number from 1 to 1,000,000; got"):
            load()


def test_names_and_number_of_classes_that_contradict_each_other():
    with pytest.raises(ConfigError, match="must be the number of `class_names`, 2; got 3"):
        from_arrays(IMAGES, LABELS, class_names=["cat", "dog"], n_classes=3)
    with pytest.raises(ConfigError, match="must be the number of `class_names`, 2; got 3"):
        from_dataset(Items(floats()), 3, class_names=["cat", "dog"])


def test_a_split_visits_only_classes_that_have_samples(monkeypatch):
    drawn = []

    class Spy:
        def permutation(self, members):
            drawn.append(members.tolist())
            return members

    monkeypatch.setattr("robonas.datasets.data.numpy_generator", lambda *_: Spy())
    data = from_arrays(np.zeros((4, 1)), [0, 999_999, 0, 999_999], n_classes=1_000_000)
    training, validation = data.split(0.5)
    assert drawn == [[0, 2], [1, 3]]
    assert training.labels.tolist() == validation.labels.tolist() == [0, 999_999]


def test_labels_beyond_the_number_of_classes():
    with pytest.raises(DataError, match="for 1 classes; got 1"):
        from_dataset(Items(floats()), 1)


# ── torchvision ──


def test_torchvision_needs_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'robonas\[vision\]'"):
        load_dataset("torchvision:CIFAR10", root="x")


class TestTorchvision:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("torchvision", reason="needs the extra 'vision'")

    def test_fake_data(self):
        data = load_dataset("torchvision:FakeData", image_size=(3, 6, 5), num_classes=4)
        assert (len(data), data.input_shape, data.name) == (1000, (3, 6, 5), "torchvision:FakeData")
        assert isinstance(data.samples, InMemory)
        assert data.samples.values.dtype == torch.uint8

    def test_size_and_mode(self):
        data = load_dataset("torchvision:FakeData", image_size=(3, 6, 5), num_classes=4, size=4, mode="L")
        assert data.input_shape == (1, 4, 4)

    def test_training_part_of_a_data_set_on_disk(self, tmp_path):
        raw = tmp_path / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for part, n in (("train", 6), ("t10k", 2)):
            pixels = np.arange(n * 28 * 28, dtype=np.uint8).tobytes()
            (raw / f"{part}-images-idx3-ubyte").write_bytes(_idx(3, (n, 28, 28)) + pixels)
            (raw / f"{part}-labels-idx1-ubyte").write_bytes(_idx(1, (n,)) + bytes(range(n)))
        data = load_dataset("torchvision:MNIST", root=tmp_path)
        assert (len(data), data.input_shape, data.n_classes) == (6, (1, 28, 28), 10)
        assert data.class_names[3] == "3 - three"

    def test_parts_of_a_class_that_passes_arguments_on(self, tmp_path, monkeypatch):
        raw = tmp_path / "EMNIST" / "raw"
        raw.mkdir(parents=True)
        for part, n in (("train", 6), ("test", 2)):
            pixels = np.arange(n * 28 * 28, dtype=np.uint8).tobytes()
            (raw / f"emnist-letters-{part}-images-idx3-ubyte").write_bytes(_idx(3, (n, 28, 28)) + pixels)
            (raw / f"emnist-letters-{part}-labels-idx1-ubyte").write_bytes(_idx(1, (n,)) + bytes(range(1, n + 1)))
        parts = [load_dataset("torchvision:EMNIST", root=tmp_path, split="letters", part=p) for p in ("train", "test")]
        assert [len(part) for part in parts] == [6, 2]
        import torchvision

        asked = []
        monkeypatch.setattr(torchvision.datasets.EMNIST, "download", lambda self: asked.append(self.split))
        load_dataset("torchvision:EMNIST", root=tmp_path, split="letters", download=True)
        assert asked == ["letters"]

    def test_no_other_split_is_taken_for_the_test_part(self, tmp_path):
        with pytest.raises(ConfigError, match=r"part 'test' and split='extra' contradict"):
            load_dataset("torchvision:SVHN", root=tmp_path, split="extra", part="test")

    def test_absent_data_are_told_with_the_remedy(self, tmp_path):
        with pytest.raises(DataError, match=r"Cannot load data set 'torchvision:CIFAR10' .*allow the download"):
            load_dataset("torchvision:CIFAR10", root=tmp_path)

    def test_root_is_needed(self):
        with pytest.raises(ConfigError, match="needs `root`"):
            load_dataset("torchvision:CIFAR10")

    def test_unknown_name_and_option(self):
        with pytest.raises(UnknownNameError, match="Did you mean 'CIFAR10'"):
            load_dataset("torchvision:CIFAR11", root="x")
        with pytest.raises(ConfigError, match="has no option 'colour'"):
            load_dataset("torchvision:FakeData", colour=1)


def _idx(rank, sizes):
    return bytes([0, 0, 8, rank]) + b"".join(size.to_bytes(4, "big") for size in sizes)


# ── names ──


def test_catalogue():
    assert list(DATASETS) == sorted(DATASETS)
    assert {"digits", "folder", "npz", "sklearn", "torchvision"} <= set(DATASETS)
    assert all(name == source.name and source.meaning for name, source in DATASETS.items())


def test_settings_that_are_none_are_left_out():
    assert load_dataset("digits", root=None, size=None).name == "digits"


@pytest.fixture
def module(tmp_path, monkeypatch):
    path = tmp_path / "my_own_data.py"
    path.write_text(
        "import torch\n"
        "from torch.utils.data import TensorDataset\n"
        "from robonas.datasets import from_arrays\n"
        "pairs = TensorDataset(torch.arange(8.0).reshape(4, 2), torch.tensor([0, 1, 0, 1]))\n"
        "ready = from_arrays([[1.0], [2.0]], [0, 1])\n"
        "def make(n=4): return from_arrays([[float(i)] for i in range(n)], [i % 2 for i in range(n)])\n"
        "def wrong(): return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    sys.modules.pop("my_own_data", None)


def test_own_data(module):
    assert load_dataset("my_own_data:pairs").input_shape == (2,)
    assert load_dataset("my_own_data:pairs", n_classes=5).n_classes == 5
    assert isinstance(load_dataset("my_own_data:ready"), LabelledData)
    assert len(load_dataset("my_own_data:make", n=6)) == 6
    assert len(load_dataset(f"{module}:make")) == 4


def test_own_data_that_cannot_be_used(module):
    with pytest.raises(DataError, match="got a int"):
        load_dataset("my_own_data:wrong")
    with pytest.raises(ConfigError, match="does not take these settings"):
        load_dataset("my_own_data:make", size=3)
    with pytest.raises(ConfigError, match="takes no 'size'"):
        load_dataset("my_own_data:ready", size=3)
    with pytest.raises(UnknownNameError, match="has no 'absent'"):
        load_dataset("my_own_data:absent")
    with pytest.raises(UnknownNameError, match="there is no module 'no_such_module'"):
        load_dataset("no_such_module:data")


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("digit", UnknownNameError, "no data set of that name. Did you mean 'digits'?"),
        ("digits:x", DataError, "takes nothing after its name"),
        ("folder", DataError, "must be given as 'folder:PATH'"),
        ("npz:", DataError, "must be given as 'npz:PATH.npz'"),
        ("./no/such/folder", DataError, "There is no './no/such/folder'"),
        ("folder:no/such/folder", DataError, "There is no folder 'no/such/folder'"),
    ],
)
def test_names_that_mean_nothing(text, error, sentence):
    with pytest.raises(error, match=sentence.replace("?", r"\?")):
        load_dataset(text)


def test_settings_that_the_kind_does_not_take():
    with pytest.raises(ConfigError, match=r"Data set 'digits' does not take these settings: .*size"):
        load_dataset("digits", size=32)


def test_a_file_that_is_no_data(tmp_path):
    (tmp_path / "data.csv").write_text("1,2")
    with pytest.raises(DataError, match=r"must be a folder of images or an .npz file"):
        load_dataset(tmp_path / "data.csv")
