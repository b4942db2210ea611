"""Tiny files in the layouts that others publish, for formats of which no sample can be had."""

from __future__ import annotations

import bz2
import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def training(task: str, seed: int, epochs: int, splits: dict[str, float]) -> dict:
    """One training as NAS-Bench-201's `ResultsCount.state_dict` has it."""
    return {
        "name": task,
        "train_acc1es": dict.fromkeys(range(epochs), 50.0),
        "train_times": OrderedDict((epoch, 10.0 + seed) for epoch in range(epochs)),
        "params": np.float64(0.5),
        "flop": 7.5,
        "seed": f"{seed:04d}",
        "epochs": epochs,
        "latency": [np.float64(0.01), np.float64(0.03)],
        "eval_names": list(splits),
        "eval_acc1es": {f"{split}@{epochs - 1}": value + seed for split, value in splits.items()},
        "eval_times": {f"{split}@{epochs - 1}": 2.0 for split in splits},
        "net_state_dict": None,
    }


def schedule(index: int, text: str, epochs: int, seeds: tuple[int, ...]) -> dict:
    """One schedule of one architecture as `ArchResults.state_dict` has it."""
    results = {}
    for seed in seeds:
        results["cifar10-valid", seed] = training(
            "cifar10-valid", seed, epochs, {"x-valid": 60.0 + index, "ori-test": 59.0}
        )
        results["cifar10", seed] = training("cifar10", seed, epochs, {"ori-test": 70.0 + index})
        results["cifar100", seed] = training(
            "cifar100", seed, epochs, {"x-valid": 30.0 + index, "x-test": 29.0, "ori-test": 29.5}
        )
    return {
        "arch_index": index,
        "arch_str": text,
        "all_results": results,
        "dataset_seed": {"cifar10-valid": list(seeds)},
        "clear_net_done": True,
    }


TEXTS = [f"|{op}~0|+|none~0|none~1|+|none~0|none~1|none~2|" for op in ("none", "skip_connect", "nor_conv_1x1")]


def nats_folder(folder: Path, schedules: dict[str, int]) -> Path:
    """A "simple" folder; `schedules` maps their names to epochs."""
    folder.mkdir()
    for index, text in enumerate(TEXTS):
        record = OrderedDict((name, schedule(index, text, epochs, (1, 3))) for name, epochs in schedules.items())
        (folder / f"{index:06d}.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps(record)))
    (folder / "meta.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps({"meta_archs": TEXTS})))
    return folder


def nasbench201(path: Path, *, n: int = 3, zipped: bool = False, epochs: int = 4) -> Path:
    """NAS-Bench-201's ``.pth``."""
    import torch

    texts = [TEXTS[i] if i < 3 else f"|none~0|+|none~0|none~1|+|none~0|none~1|none~{i}|" for i in range(n)]
    content = {
        "meta_archs": texts,
        "total_archs": n,
        "arch2infos": OrderedDict(
            (i, {"full": schedule(i, texts[i], epochs, (1, 3)), "less": schedule(i, texts[i], 2, (1,))})
            for i in range(n)
        ),
        "evaluated_indexes": set(range(n)),
    }
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def transnas(path: Path, *, zipped: bool = True) -> Path:
    """TransNAS-Bench-101's ``.pth``."""
    import torch

    def record(shift: float) -> dict:
        return {
            "class_scene": {
                "metrics": {
                    "valid_top1": [10.0, 50.0 + shift, 40.0 + shift],
                    "valid_loss": [3.0, 1.0, 2.0],
                    "valid_neg_loss": [-3.0, -1.0, -2.0],
                    "test_top1": [9.0, np.float64(45.0 + shift)],
                    "train_loss": [2.0, 1.0],
                    "time_elapsed": [5.0, 6.0],
                },
                "model_info": {"encoder_params": 100, "encoder_FLOPs": np.float64(2.5)},
            },
            "normal": {"metrics": {"valid_ssim": [0.1, float("nan")]}},
        }

    content = {
        "database": {
            "micro": {"64-41414-3_33_123": record(0.0), "64-41414-0_00_000": record(1.0)},
            "macro": {"64-1242-basic": record(2.0)},
        },
        "metainfo": {"search_spaces": ["micro", "macro"], "task_list": ["class_scene", "normal"]},
    }
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def zero_cost_nas(path: Path) -> Path:
    """A dictionary an architecture, pickled one after the other."""
    with path.open("wb") as file:
        for index, text in enumerate(TEXTS):
            measures = {"synflow": 10.0**index, "jacob_cov": np.float64("nan") if index == 1 else np.complex128(-5.0)}
            record = {"i": index, "arch": text, "logmeasures": measures, "valacc": 80.0 + index, "testacc": 81.0}
            pickle.dump(record, file, protocol=index + 2)
    return path


def hwnasbench(path: Path) -> Path:
    """HW-NAS-Bench's pickle."""
    configs = [{"name": "infer.tiny", "C": 16, "N": 5, "arch_str": text, "num_classes": 10} for text in TEXTS]
    part = {"config": configs, "edgegpu_latency": [1.0, 2.0, 3.0], "edgegpu_energy": np.array([4.0, 5.0, np.inf])}
    content = {"nasbench201": {"cifar10": part, "cifar100": {**part, "edgegpu_latency": [7.0, 8.0, 9.0]}}, "fbnet": {}}
    path.write_bytes(pickle.dumps(content))
    return path
