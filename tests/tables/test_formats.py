"""Every published format: samples of real files where there are any, tiny faithful ones elsewhere."""

from __future__ import annotations

import bz2
import gc
import json
import math
import pickle
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest

from robonas.errors import TableError, UnknownNameError
from robonas.tables import TABLE_FORMATS, UnsafePickleError, detect_format, read_table
from robonas.tables.plain_data import Name
from robonas.tables.torch_files import read_torch
from tests.published import original, table
from tests.tables import records
from tests.tables.test_unpickling import Hostile

# ── real files ──


def test_suite_zero_sample() -> None:
    path = original("zc_nasbench201-sample.json")
    found = read_table(path)
    assert detect_format(path) == "suite_zero"
    assert found.tasks == ("cifar10", "cifar100", "ImageNet16-120")
    assert found.provenance["records_by_task"] == {"cifar10": 725, "cifar100": 725, "ImageNet16-120": 724}
    assert dict(found.column("nwot_cifar10").undefined) == {"infinite": 1}
    assert dict(found.column("jacov_cifar10").undefined) == {"sentinel": 1}
    assert dict(found.column("synflow_cifar10").undefined) == {"absent": 1}
    one = read_table(path, task="ImageNet16-120")
    assert len(one) == 724
    assert dict(one.column("epe_nas").undefined) == {"sentinel": 9}
    assert one.names("objective") == ("val_accuracy",)


def test_suite_zero_agrees_with_the_collected_table() -> None:
    ours = read_table(original("zc_nasbench201-sample.json"), task="cifar100").frame.set_index("architecture")
    theirs = table("nb201-cifar100-sample").set_index("arch")
    assert set(ours.index) == set(theirs.index)  # the keys that number the operations are read right
    ours = ours.loc[theirs.index]
    for metric in ("fisher", "grasp", "jacov", "nwot", "synflow"):
        np.testing.assert_array_equal(ours[metric], theirs[metric])
    np.testing.assert_array_equal(ours["val_accuracy"], theirs["val_acc"])


def test_nats_bench_sample_agrees_with_the_collected_tables() -> None:
    found = read_table(original("NATS-tss-v1_0-3ffb9-simple"))
    assert detect_format(original("NATS-tss-v1_0-3ffb9-simple")) == "nats_bench"
    assert found.values("index").tolist() == [0, 11, 284]
    cifar10 = table("nb201-cifar10").set_index("arch").loc[list(found.architectures)]
    np.testing.assert_allclose(found.values("val_acc_cifar10-valid_12ep"), cifar10["val_acc_cifar10_12ep"], rtol=1e-12)
    np.testing.assert_allclose(found.values("train_seconds_cifar10-valid_12ep"), cifar10["train_seconds_12ep"])
    np.testing.assert_allclose(found.values("test_acc_cifar10_200ep"), cifar10["test_acc"], rtol=1e-12)
    imagenet = table("nb201-ImageNet16-120").set_index("arch").loc[list(found.architectures)]
    np.testing.assert_allclose(found.values("test_acc_ImageNet16-120_200ep"), imagenet["test_acc"], rtol=1e-8)


def test_nats_bench_names_the_right_column() -> None:
    found = read_table(original("NATS-tss-v1_0-3ffb9-simple"))
    with pytest.raises(TableError, match=r"nothing validates it\. Did you mean 'val_acc_cifar10-valid_12ep'\?"):
        found.column("val_acc_cifar10_12ep")
    with pytest.raises(TableError, match="may be any of val_acc_cifar100_12ep, val_acc_cifar100_200ep; name one"):
        found.column("val_acc_cifar100")
    with pytest.raises(TableError, match="may be any of val_acc_cifar10-valid_12ep, val_acc_cifar100_12ep"):
        found.column("val_acc")


def test_nasbenchmacro_agrees_with_the_collected_table() -> None:
    found = read_table(original("nas-bench-macro_cifar10.json"))
    theirs = table("nbmacro-cifar10")
    assert found.architectures == tuple(theirs["arch"])
    np.testing.assert_array_equal(found.values("test_acc"), theirs["test_acc"])
    np.testing.assert_array_equal(found.values("params"), theirs["params"])
    runs = found.frame[["test_acc_run0", "test_acc_run1", "test_acc_run2"]].mean(axis=1)
    np.testing.assert_allclose(runs, theirs["test_acc"])


def test_robot_pickle_agrees_with_the_collected_table() -> None:
    path = original("nb2_cf100_test_accuracy.p")
    found, theirs = read_table(path), table("nb201-cifar100")
    assert detect_format(path) == "robot"
    assert found.architectures == tuple(theirs["arch"])
    np.testing.assert_array_equal(found.values("nb2_cf100_test_accuracy"), theirs["test_acc"])
    assert found.names("final") == ("nb2_cf100_test_accuracy",)


# ── the documented layouts ──


@pytest.mark.parametrize("level", ["above", "inside"])
def test_suite_zero_one_level_deeper_and_without_nwot(tmp_path, level) -> None:
    def record(i: int) -> dict:
        scores = {
            "jacov": {"score": -1e8 if i == 1 else -30.0 - i, "time": 0.5},
            "epe_nas": {"score": -1e8, "time": 0.1},
        }
        return {"id": i, "val_accuracy": 90.0 + i, **(scores if level == "above" else {"scores": scores})}

    cells = {f"(0, {i}, 1)": record(i) for i in range(3)}
    path = tmp_path / "zc_nasbench101.json"
    path.write_text(json.dumps({"cifar10": {"108": cells} if level == "above" else cells}))
    found = read_table(path)
    assert found.architectures == ("(0, 0, 1)", "(0, 1, 1)", "(0, 2, 1)")
    assert found.values("jacov").tolist()[::2] == [-30.0, -32.0]
    assert dict(found.column("jacov").undefined) == {"sentinel": 1}
    assert found.metrics == ("jacov",)
    with pytest.raises(TableError, match=r"Metric 'epe_nas' is undefined for all 3 rows \(3 sentinel\)"):
        found.scores(["jacov", "epe_nas"])
    (sentence,) = found.warnings()
    assert "Metric 'jacov' is undefined for 1 of 3 architectures (1 sentinel)" in sentence
    assert "1 column has no value at all and cannot be used: metric 'epe_nas'" in sentence


@pytest.mark.parametrize("schedules", [{"12": 2, "200": 4}, {"01": 1, "12": 2, "90": 3}], ids=["topology", "size"])
def test_nats_layout(tmp_path, schedules) -> None:
    found = read_table(records.nats_folder(tmp_path / "NATS", schedules))
    for epochs in schedules.values():
        assert found.values(f"val_acc_cifar10-valid_{epochs}ep").tolist() == [62.0, 63.0, 64.0]  # mean of seeds 1 and 3
        assert found.values(f"train_seconds_cifar10_{epochs}ep").tolist() == [12.0 * epochs] * 3
        assert f"val_acc_cifar10_{epochs}ep" not in found.frame
    assert found.values("latency_cifar10")[0] == pytest.approx(0.02)
    assert (
        found.column("test_all_acc_cifar100_2ep" if "200" in schedules else "test_all_acc_cifar100_1ep").role == "final"
    )


def test_nats_files_are_checked(tmp_path) -> None:
    folder = records.nats_folder(tmp_path / "NATS", {"12": 2})
    (folder / "000001.pickle.pbz2").rename(folder / "000007.pickle.pbz2")
    with pytest.raises(TableError, match="must hold architecture 7"):
        read_table(folder)
    (folder / "000007.pickle.pbz2").write_bytes(b"not bz2")
    with pytest.raises(TableError, match="not a whole bz2 file"):
        read_table(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TableError, match=r"has none"):
        read_table(tmp_path / "empty", format="nats_bench")


def test_nats_bombs_are_refused(tmp_path) -> None:
    folder = tmp_path / "NATS"
    folder.mkdir()
    (folder / "000000.pickle.pbz2").write_bytes(bz2.compress(b"\0" * (5 * 2**20)))
    with pytest.raises(TableError, match="grows beyond 4,194,304 bytes"):
        read_table(folder)
    (folder / "000000.pickle.pbz2").write_bytes(bz2.compress(b"\0" * (65 * 2**20)) + b"\0" * 2**20)
    with pytest.raises(TableError, match="grows beyond 67,108,864 bytes"):
        read_table(folder)


@pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])
def test_nasbench201_layout(tmp_path, zipped) -> None:
    path = records.nasbench201(tmp_path / "NAS-Bench-201-v1_1.pth", zipped=zipped)
    assert detect_format(path) == "nasbench201"
    found = read_table(path)
    assert found.architectures == tuple(records.TEXTS)
    assert found.values("index").tolist() == [0, 1, 2]
    assert found.values("val_acc_cifar10-valid_4ep").tolist() == [62.0, 63.0, 64.0]
    assert found.values("val_acc_cifar10-valid_2ep").tolist() == [61.0, 62.0, 63.0]
    assert found.values("test_acc_cifar100_4ep").tolist() == [31.0] * 3
    assert found.values("test_all_acc_cifar100_4ep").tolist() == [31.5] * 3
    with pytest.raises(TableError, match="val_acc_cifar100_4ep, val_acc_cifar100_2ep"):
        found.column("val_acc_cifar100")


def test_nasbench201_is_streamed(tmp_path) -> None:
    peaks = []
    for n in (8, 32):
        path = records.nasbench201(tmp_path / f"{n}.pth", n=n, epochs=100)
        gc.collect()
        tracemalloc.start()
        assert len(read_table(path)) == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 24 more architectures, of some 100 kB each as objects, cost the table's rows and two bytes an object.
    assert peaks[1] - peaks[0] < 24 * 12_000
    assert peaks[1] < 1.5 * peaks[0]


def test_the_memo_of_the_stream(monkeypatch) -> None:
    from robonas.tables import nasbench201

    monkeypatch.setattr(nasbench201, "_BLOCK", 7)
    memo, record = nasbench201._Memo(), {}
    for place in range(10):
        memo[place] = f"text {place}"
    memo[10] = record
    memo[11] = [1]
    memo[12] = "text 3"
    memo[13] = name = Name("numpy.dtype", len)
    assert [memo[place] for place in (0, 9, 12)] == ["text 0", "text 9", "text 3"]
    assert memo[11] == [1]
    memo.forget_since(record)
    assert (memo[12], memo[13], len(memo)) == ("text 3", name, 14)
    with pytest.raises(TableError, match="read and forgotten"):
        memo[11]
    with pytest.raises(KeyError):
        memo[14]
    with pytest.raises(TableError, match="in no order"):
        memo[99] = "x"
    for place in range(14, 2**16 + 40):  # more different texts than two bytes can number
        memo[place] = f"more {place}"
    assert (memo[9], memo[14], memo[2**16 + 39]) == ("text 9", "more 14", f"more {2**16 + 39}")


def test_nasbench201_hostile_or_damaged(tmp_path) -> None:
    import torch

    path = tmp_path / "NAS-Bench-201.pth"
    torch.save({"meta_archs": [], "arch2infos": Hostile(str(tmp_path / "owned"))}, path)
    with pytest.raises(UnsafePickleError, match="mkdir"):
        read_table(path)
    path.write_bytes(b"meta_archs and no more")
    with pytest.raises(TableError, match="not a readable pickle"):
        read_table(path)
    records.nasbench201(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(TableError, match="not a readable pickle"):
        read_table(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])
def test_transnas_layout(tmp_path, zipped) -> None:
    path = records.transnas(tmp_path / "transnas-bench.pth", zipped=zipped)
    with pytest.raises(TableError, match=r"transnas_macro, transnas_micro\. Name its format"):
        read_table(path)
    micro = read_table(path, format="transnas_micro")
    assert micro.architectures == ("64-41414-3_33_123", "64-41414-0_00_000")
    assert micro.values("valid_top1_class_scene").tolist() == [40.0, 41.0]
    assert micro.values("valid_top1_best_class_scene").tolist() == [50.0, 51.0]
    assert micro.values("valid_loss_best_class_scene").tolist() == [1.0, 1.0]
    assert micro.values("valid_neg_loss_best_class_scene").tolist() == [-1.0, -1.0]
    assert not micro.column("valid_loss_class_scene").higher_is_better
    assert micro.column("test_top1_class_scene").role == "final"
    assert dict(micro.column("valid_ssim_normal").undefined) == {"nan": 2}
    assert micro.names("metric") == ("encoder_params_class_scene", "encoder_FLOPs_class_scene")
    assert read_table(path, format="transnas_macro", task="class_scene").values("valid_top1").tolist() == [42.0]


def test_transnas_hostile(tmp_path) -> None:
    import torch

    path = tmp_path / "t.pth"
    torch.save({"search_spaces": Hostile(str(tmp_path / "owned"))}, path)
    with pytest.raises(UnsafePickleError, match="mkdir"):
        read_table(path, format="transnas_micro")
    assert not (tmp_path / "owned").exists()


def forged(path, change, *, members=None) -> None:
    """Write a file of `torch.save` again with another pickle, and with other members where they are given."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            changed = change(data) if name.endswith("data.pkl") else (members or {}).get(name.split("/")[-1], data)
            archive.writestr(name, changed)


def test_transnas_never_lets_numpy_make_an_array_of_addresses(tmp_path) -> None:
    path = records.transnas(tmp_path / "t.pth")
    for code in (
        b"cnumpy\nndarray\n(K\x01\x85X\x01\x00\x00\x00OC\x08AAAAAAAAtR.",  # numpy.ndarray((1,), "O", b"AAAAAAAA")
        b"cnumpy\nndarray\nK\x01\x85X\x01\x00\x00\x00O\x86\x81.",
        b"cnumpy\ndtype\nX\x02\x00\x00\x00f8\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNK\x08K\x08K\x3ftb.",
        b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nM\xe8\x03\x85C\x01b\x87R.",
    ):
        forged(path, lambda _, code=code: b"\x80\x04" + code)
        with pytest.raises(TableError, match=r"t\.pth"):
            read_table(path, format="transnas_micro")


@pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])
def test_tensors_are_read_as_torch_reads_them(tmp_path, zipped) -> None:
    import torch

    large = torch.arange(24.0).reshape(2, 3, 4)
    content = {
        "whole": large,
        "part": large[1, :, 1:3].T,
        "numbers": torch.tensor(3),
        "true": torch.tensor([True, False]),
        "one": torch.tensor(True),
        "half": torch.tensor(0.5, dtype=torch.bfloat16),
        "small": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "double": torch.tensor([], dtype=torch.float64),
        "weight": torch.nn.Parameter(torch.ones(2, dtype=torch.float16)),
        "shape": torch.Size([2, 3]),
    }
    path = tmp_path / "x.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = read_torch(path)
    assert list(found) == list(content)
    assert found.pop("shape") == (2, 3)
    for name, array in found.items():
        expected = content[name].detach()
        np.testing.assert_array_equal(array, (expected.float() if name in {"small", "half"} else expected).numpy())
        assert array.flags.writeable


def test_tensors_that_lie(tmp_path) -> None:
    import torch

    path = tmp_path / "x.pth"

    def saved(old: bytes = b"", new: bytes = b"", members=None) -> None:
        torch.save([torch.zeros(3)], path)
        forged(path, lambda data: data.replace(old, new) if old else data, members=members)

    saved()
    assert read_torch(path)[0].tolist() == [0.0] * 3
    size = b"K\x03\x85"  # of the tensor, in its state
    for old, new, message in (
        (size, b"J\x00\x00\x00\x40\x85", "must lie within its storage"),
        (b"K\x01\x85", b"K\x09\x85", "must lie within its storage"),  # its steps
        (b"QK\x00", b"QK\x02", "must lie within its storage"),  # its offset
        (b"QK\x00", b"QJ\xff\xff\xff\xff", "an offset, a shape and steps"),
        (b"FloatStorage", b"DoubleStorage", "states 24 bytes; the file has 12"),
        (b"FloatStorage", b"_load_from_", "torch._load_from_"),
        (b"cpu", b"cpu", None),
    ):
        saved(old, new)
        if message is not None:
            with pytest.raises(TableError, match=message):
                read_torch(path)
    saved(members={"0": b"short"})
    with pytest.raises(TableError, match="states 12 bytes; the file has 5"):
        read_torch(path)
    saved(members={"byteorder": b"big"})
    with pytest.raises(TableError, match="big-endian"):
        read_torch(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(TableError, match=r"not a readable file of torch\.save"):
        read_torch(path)


def test_a_compressed_file_of_torch_is_refused(tmp_path) -> None:
    path = records.nasbench201(tmp_path / "n.pth", zipped=True)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    for name in ("nasbench201", "transnas_micro"):
        with pytest.raises(TableError, match=r"is compressed, as torch\.save never does"):
            read_table(path, format=name)


def test_zero_cost_nas_layout(tmp_path) -> None:
    path = records.zero_cost_nas(tmp_path / "nb2_cf10.p")
    assert detect_format(path) == "zero_cost_nas"
    found = read_table(path)
    assert found.values("synflow").tolist() == [1.0, 10.0, 100.0]
    assert found.values("jacob_cov").tolist()[::2] == [-5.0, -5.0]  # complex without an imaginary part
    assert dict(found.column("jacob_cov").undefined) == {"nan": 1}
    assert (found.names("objective"), found.names("final")) == (("val_acc",), ("test_acc",))


def test_hwnasbench_layout(tmp_path) -> None:
    path = records.hwnasbench(tmp_path / "HW-NAS-Bench-v1_0.pickle")
    assert detect_format(path) == "hwnasbench"
    found = read_table(path)
    assert found.values("edgegpu_latency_cifar100").tolist() == [7.0, 8.0, 9.0]
    assert dict(found.column("edgegpu_energy_cifar10").undefined) == {"infinite": 1}
    assert found.column("edgegpu_energy_cifar10").unit == "mJ"
    assert found.provenance["left_out"] == ["fbnet"]


def test_robot_tuples_and_dictionaries(tmp_path) -> None:
    path = tmp_path / "nb2_valid_and_cost.p"
    path.write_bytes(pickle.dumps({0: (91.0, 20.0), 5: (np.float64(92.0), 30.0)}))
    found = read_table(path)
    assert found.architectures == ("0", "5")
    assert found.values("nb2_valid_and_cost_1").tolist() == [20.0, 30.0]
    path.write_bytes(pickle.dumps([{"val": 1.0}, {"val": math.inf}]))
    assert dict(read_table(path).column("val").undefined) == {"infinite": 1}
    path.write_bytes(pickle.dumps(np.arange(3.0)))
    assert read_table(path).values("nb2_valid_and_cost").tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columnar(tmp_path, ending) -> None:
    frame = pd.DataFrame(
        {
            "arch": ["001", "010", "100"],
            "synflow": [1.0, -1e8, 3.0],
            "zen_normal": [1, 2, 3],
            "val_acc_12ep": [0.5, 0.6, np.inf],
            "test_acc": [0.4, 0.5, 0.6],
            "train_seconds": [1.0, 2.0, 3.0],
            "val_loss": [1.0, 2.0, 3.0],
            "comment": ["a", "b", "c"],
        }
    )
    path = tmp_path / f"mine.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    found = read_table(path)
    assert found.architectures == ("001", "010", "100")  # not the numbers 1, 10, 100
    assert {column.name: column.role for column in found.columns} == {
        "synflow": "metric",
        "zen_normal": "metric",
        "val_acc_12ep": "objective",
        "test_acc": "final",
        "train_seconds": "cost",
        "val_loss": "objective",
    }
    assert dict(found.column("synflow").undefined) == {"sentinel": 1}
    assert dict(found.column("val_acc_12ep").undefined) == {"infinite": 1}
    assert found.column("val_acc_12ep").epochs == 12
    assert not found.column("val_loss").higher_is_better
    assert found.provenance["left_out"] == ["comment"]


def test_columnar_needs_one_column_of_texts(tmp_path) -> None:
    path = tmp_path / "x.csv"
    pd.DataFrame({"a": ["x"], "b": ["y"], "c": [1]}).to_csv(path, index=False)
    with pytest.raises(TableError, match="called 'architecture'; it has a, b, c"):
        read_table(path)
    pd.DataFrame({"arch": ["x", "x"], "c": [1, 2]}).to_csv(path, index=False)
    with pytest.raises(TableError, match="'x' occurs twice"):
        read_table(path)
    path.write_text("")
    with pytest.raises(TableError, match="not a readable csv file"):
        read_table(path)
    path.with_suffix(".parquet").write_bytes(b"PAR1")
    with pytest.raises(TableError, match="not a readable parquet file"):
        read_table(path.with_suffix(".parquet"))


# ── all of them ──


def test_the_catalogue_is_sorted_and_says_what_was_checked() -> None:
    assert list(TABLE_FORMATS) == sorted(TABLE_FORMATS)
    for name, reader in TABLE_FORMATS.items():
        assert reader.name == name
        assert reader.description
        assert reader.verified


@pytest.mark.parametrize("name", sorted(TABLE_FORMATS))
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1, 2", b"\x80\x04}.", b"\x80\x04N.", b"PK\x03\x04rubbish", b"\xff" * 64]
)
def test_rubbish_is_a_table_error(tmp_path, name, content) -> None:
    path = tmp_path / "rubbish.parquet"
    path.write_bytes(content)
    with pytest.raises(TableError):
        read_table(path, format=name)


def test_absent_and_unknown(tmp_path) -> None:
    with pytest.raises(TableError, match=r"no benchmark file '.*nothing\.json'"):
        read_table(tmp_path / "nothing.json")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(TableError, match="looks like none of the known formats"):
        read_table(tmp_path / "notes.txt")
    with pytest.raises(UnknownNameError, match="Did you mean 'nats_bench'"):
        read_table(tmp_path / "notes.txt", format="nats-bench")


def test_progress_is_told(tmp_path) -> None:
    told = []
    read_table(
        records.nats_folder(tmp_path / "NATS", {"12": 2}), progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
