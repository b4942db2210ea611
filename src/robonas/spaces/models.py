"""A search space of ready networks: timm and torchvision by name, or anything that makes a network.

Source: Ours; the networks are those of timm (Wightman, 2019) and torchvision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from robonas.architecture import Architecture, Option, text_of
from robonas.common.registry import unknown_name
from robonas.errors import ArchitectureError, ConfigError, MissingExtraError
from robonas.spaces.base import SearchSpace
from robonas.spaces.building import call_builder

if TYPE_CHECKING:
    from torch import nn

Make: TypeAlias = "Callable[[], nn.Module]"
"""Makes a new network."""


@dataclass(frozen=True)
class Model:
    """One candidate of `from_models` whose input size is known."""

    name: str
    """Its option in the space."""
    make: Make
    """Makes a new network, pretrained or not."""
    input_shape: tuple[int, ...]
    """Shape of one sample."""


class ModelSpace(SearchSpace):
    """Ready networks, one choice: which; made by `from_models`.

    Each network has its own input size, `input_shape_of`; the space's `input_shape` is the largest in every dimension.

    Args:
        models: The candidates, with different names.
        n_classes: Number of values that each network returns for a sample.
        name: Name of this space in errors and files.
    """

    def __init__(self, models: Sequence[Model], *, n_classes: int, name: str) -> None:
        if not models:
            raise ConfigError("A space of models must have at least one; got none.")
        names = [model.name for model in models]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"Models of a space must have different names; {twice!r} comes twice.")
        if len({len(model.input_shape) for model in models}) > 1:
            shapes = {model.name: model.input_shape for model in models}
            raise ConfigError(f"Models of a space must take inputs of one kind; got {shapes}.")
        largest = [max(sizes) for sizes in zip(*(model.input_shape for model in models), strict=True)]
        self.name = name
        super().__init__(input_shape=largest, n_classes=n_classes)
        self.models: Mapping[str, Model] = {model.name: model for model in models}

    @property
    def choices(self) -> Mapping[str, tuple[Option, ...]]:
        """One choice, ``model``."""
        return {"model": tuple(self.models)}

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that tell this space from others."""
        shapes = {name: list(model.input_shape) for name, model in self.models.items()}
        return {"n_classes": self.n_classes, "models": shapes}

    def input_shape_of(self, architecture: Architecture) -> tuple[int, ...]:
        """Return the model's own input size."""
        return self.models[str(self.check(architecture)["model"])].input_shape

    def format(self, architecture: Architecture) -> str:
        """Return the model's name."""
        return str(self.check(architecture)["model"])

    def parse(self, text: str) -> Architecture:
        """Return the architecture of a model's name.

        Raises:
            ArchitectureError: There is no such model here.
        """
        return self.check(Architecture({"model": text_of(text).strip()}))

    def build(self, architecture: Architecture) -> nn.Module:
        """Build a new network.

        Raises:
            ArchitectureError: The library or the callable raised, or returned no network.
        """
        model = self.models[self.format(architecture)]
        return call_builder(model.make, {}, f"{model.name!r} of {self.name}", model.input_shape)


def from_models(
    models: Sequence[str | Model | Make] | Mapping[str, Make],
    *,
    n_classes: int,
    input_shape: Sequence[int] | None = None,
    pretrained: bool = False,
    name: str = "models",
) -> ModelSpace:
    """Return a search space of ready networks.

    Args:
        models: Names of timm or torchvision models (``"timm:NAME"`` and ``"torchvision:NAME"`` say which; a bare name
            is timm's where timm is installed and has it), callables without arguments that make a network, or
            instances of `Model`, which say their own input size. A mapping gives the names of callables.
        n_classes: Number of values that each network returns for a sample; named models get a head of that width.
        input_shape: Shape of one sample for all of them; None leaves each named model the size that it was made for,
            and asks for a `Model` instead of every plain callable.
        pretrained: True for the published weights of named models, which the library downloads once.
        name: Name of this space in errors and files.

    Raises:
        UnknownNameError: Neither library has a model of that name.
        MissingExtraError: The library that was named is not installed.
        ConfigError: No model, two of one name, or a callable of unknown input size.

    Example:
        >>> from torch import nn
        >>> def linear():
        ...     return nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
        >>> space = from_models([Model("linear", linear, (3, 8, 8))], n_classes=10)
        >>> space.format(space.at(0)), space.count_parameters(space.at(0))
        ('linear', 1930)
    """
    shape = None if input_shape is None else tuple(int(size) for size in input_shape)
    entries: Sequence[Any] = (
        [_of_callable(key, make, shape) for key, make in models.items()] if isinstance(models, Mapping) else models
    )
    made = []
    for entry in entries:
        if isinstance(entry, Model):
            made.append(entry)
        elif isinstance(entry, str):
            made.append(_of_name(entry, shape, n_classes, pretrained))
        else:
            made.append(_of_callable(getattr(entry, "__name__", repr(entry)), entry, shape))
    return ModelSpace(made, n_classes=n_classes, name=name)


def _of_callable(name: str, make: object, shape: tuple[int, ...] | None) -> Model:
    """Return a user's callable; its input size must have been said."""
    if isinstance(make, Model):
        return Model(name, make.make, make.input_shape)
    if not callable(make):
        raise ConfigError(f"Models must be names, `Model`s or callables; got {make!r}.")
    if shape is None:
        raise ConfigError(
            f"The input size of model {name!r} must be known: give `input_shape`, or a `Model` that has one."
        )
    return Model(name, make, shape)


def _of_name(text: str, shape: tuple[int, ...] | None, n_classes: int, pretrained: bool) -> Model:
    """Return a model of timm or torchvision."""
    library, _, name = text.rpartition(":")
    if library not in {"", "timm", "torchvision"}:
        raise ConfigError(f"A model's library must be timm or torchvision; got {library!r} in {text!r}.")
    if library != "torchvision":
        try:
            import timm
        except ImportError as error:
            if library == "timm":
                raise MissingExtraError(f"Model {text!r}", "timm") from error
        else:
            if timm.is_model(name.split(".")[0]):
                return _of_timm(text, name, shape, n_classes, pretrained)
            if library == "timm":
                raise unknown_name("model", name, timm.list_models(), f"Unknown model {text!r}")
    try:
        from torchvision import models as torchvision_models
    except ImportError as error:
        raise MissingExtraError(f"Model {text!r}", "vision") from error
    known = torchvision_models.list_models(module=torchvision_models)
    if name not in known:
        raise unknown_name("model", name, known, f"Unknown model {text!r}")
    return _of_torchvision(text, name, shape, n_classes, pretrained)


def _of_timm(text: str, name: str, shape: tuple[int, ...] | None, n_classes: int, pretrained: bool) -> Model:
    """Return a timm model; those of a fixed input size are made for the given one."""
    import timm

    card = timm.get_pretrained_cfg(name)
    own = tuple(card.input_size) if card is not None else (3, 224, 224)
    used = own if shape is None else shape

    def make() -> nn.Module:
        settings: dict[str, Any] = {"pretrained": pretrained, "num_classes": n_classes, "in_chans": used[0]}
        if used[1:] == own[1:]:
            network: nn.Module = timm.create_model(name, **settings)
            return network
        try:
            network = timm.create_model(name, img_size=used[1:], **settings)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            network = timm.create_model(name, **settings)  # takes any size
        return network

    return Model(text, make, used)


def _of_torchvision(text: str, name: str, shape: tuple[int, ...] | None, n_classes: int, pretrained: bool) -> Model:
    """Return a torchvision model; published weights keep all but a last layer of another width."""
    from torchvision import models as torchvision_models

    weights = torchvision_models.get_model_weights(name).DEFAULT
    side = int(weights.transforms().crop_size[0])
    used = (3, side, side) if shape is None else shape
    if used[0] != 3:
        raise ConfigError(f"torchvision's models take 3 channels; got {used[0]} for {text!r}. Take timm's.")

    def make() -> nn.Module:
        if pretrained:
            network: nn.Module = torchvision_models.get_model(name, weights=weights)
            if name == "inception_v3":  # its loader insists on making them
                network.aux_logits = False  # type: ignore[assignment]
                network.AuxLogits = None  # type: ignore[assignment]
            replace_head(network, n_classes)
            return network
        settings: dict[str, Any] = {"num_classes": n_classes}
        if name in {"googlenet", "inception_v3"}:
            settings |= {"aux_logits": False, "init_weights": True}
        if name.startswith("vit_"):
            settings["image_size"] = used[1]
        network = torchvision_models.get_model(name, weights=None, **settings)
        return network  # noqa: RET504  # mypy wants the type of a library without types

    return Model(text, make, used)


def replace_head(network: nn.Module, n_classes: int) -> None:
    """Give a trained classifier a last linear layer (or 1×1 convolution) of another width, freshly initialised.

    Raises:
        ArchitectureError: There is no such layer.
    """
    from torch import nn

    last = ""
    for path, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and not path.startswith(("aux", "AuxLogits")):
            last = path
    if not last:
        raise ArchitectureError(f"A {type(network).__name__} has no last linear layer to replace.")
    old = network.get_submodule(last)
    if isinstance(old, nn.Linear):
        if old.out_features == n_classes:
            return
        new: nn.Module = nn.Linear(old.in_features, n_classes, bias=old.bias is not None)
    else:
        assert isinstance(old, nn.Conv2d)
        if old.out_channels == n_classes:
            return
        new = nn.Conv2d(old.in_channels, n_classes, 1, bias=old.bias is not None)
    parent, _, leaf = last.rpartition(".")
    setattr(network.get_submodule(parent), leaf, new)
