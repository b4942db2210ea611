"""Spaces of a user's own, one of every kind, for the laws and the tests."""

from __future__ import annotations

import ConfigSpace as cs  # noqa: N813
import optuna
from torch import nn

from robonas.spaces import Model, from_choices, from_models


def build_mlp(width=8, activation="ReLU", depth=1, **_):
    layers = [nn.Flatten(), nn.Linear(64, width)]
    for _ in range(depth):
        layers += [getattr(nn, activation)(), nn.Linear(width, width)]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def lists():
    return from_choices(
        {"width": [4, 8], "activation": ["ReLU", "GELU", "Tanh"], "depth": [0, 1, 2]},
        build_mlp,
        input_shape=(1, 8, 8),
        n_classes=10,
        name="own_lists",
        # Without a hidden layer there is no activation.
        canonical=lambda arch: arch.replace(activation="ReLU") if arch["depth"] == 0 else arch,
    )


def configuration_space():
    space = cs.ConfigurationSpace()
    depth = cs.Integer("depth", (0, 2))
    width = cs.OrdinalHyperparameter("width", [4, 8, 16])
    activation = cs.Categorical("activation", ["ReLU", "GELU"])
    slope = cs.Categorical("wide", [True, False])
    task = cs.Constant("task", "digits")
    space.add(depth, width, activation, slope, task)
    space.add(cs.GreaterThanCondition(activation, depth, 0), cs.EqualsCondition(slope, activation, "GELU"))
    space.add(cs.ForbiddenAndConjunction(cs.ForbiddenEqualsClause(width, 16), cs.ForbiddenEqualsClause(depth, 2)))
    return space


def conditions():
    return from_choices(configuration_space(), build_mlp, input_shape=(1, 8, 8), n_classes=10, name="own_conditions")


def ask(trial):
    """1 + 2·2 + (2·2)·2 − pruned ones."""
    depth = trial.suggest_int("depth", 0, 2)
    widths = [trial.suggest_categorical(f"width_{layer}", [4, 8]) for layer in range(depth)]
    if depth > 0:
        activation = trial.suggest_categorical("activation", ["ReLU", "GELU"])
        if widths == [8, 4]:
            raise optuna.TrialPruned
        return {"widths": tuple(widths), "activation": activation}
    return {"widths": (), "activation": "ReLU"}


def build_asked(widths, activation):
    layers = [nn.Flatten()]
    for one, other in zip((64, *widths), widths, strict=False):
        layers += [nn.Linear(one, other), getattr(nn, activation)()]
    return nn.Sequential(*layers, nn.Linear((64, *widths)[-1], 10))


def trials():
    return from_choices(ask, build_asked, input_shape=(1, 8, 8), n_classes=10, name="own_trials")


def ask_much(trial):
    for layer in range(trial.suggest_int("depth", 1, 12)):
        trial.suggest_categorical(f"width_{layer}", [4, 8, 16, 32])


def build_much(depth, **widths):
    return build_asked([widths[f"width_{layer}"] for layer in range(depth)], "ReLU")


def many():
    """4 + 4² + … + 4¹², too many to list."""
    return from_choices(ask_much, build_much, input_shape=(1, 8, 8), n_classes=10, name="own_many")


def models():
    def make(side, width):
        return Model(
            f"side_{side}",
            lambda: nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)),
            (3, side, side),
        )

    return from_models([make(32, 4), make(48, 8), make(9, 5)], n_classes=10, name="own_models")


OWN = {
    "own_conditions": conditions,
    "own_lists": lists,
    "own_many": many,
    "own_models": models,
    "own_trials": trials,
}
