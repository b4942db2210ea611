"""`ReadyNetwork`: a trained network that takes inputs as they come, and answers in the unit of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from robonas.common.settings import count_of
from robonas.datasets.standardising import by_channel, is_standardised
from robonas.errors import DataError, NetworkError
from robonas.prediction.answers import Predictions
from robonas.prediction.inputs import TWICE, Inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from robonas.prediction.preprocessing import Preprocessing


class ReadyNetwork(nn.Module):
    """A trained network with the preparation of its inputs built in.

    Called with inputs as they come, bytes or real numbers, ``(n, *data_shape)``, it standardises and resizes them as in
    the training, and returns the network's answer: logits of classes, (n, classes) or (n, classes, height, width);
    images; or the numbers of a regression in the unit of the data. `predict` also reads images, and names the classes.

    Args:
        network: The network as it was trained; it is put into evaluation mode.
        preprocessing: Preparation of its inputs.
        logits: Picks the answer from what the network returns, where it is not that itself.

    Attributes:
        network: The network alone, which takes standardised inputs.
        preprocessing: Preparation of its inputs.
    """

    mean: Tensor
    std: Tensor
    target_mean: Tensor | None
    target_std: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        *,
        logits: Callable[[Any], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.preprocessing = preprocessing
        self._logits = logits
        shape = preprocessing.data_shape
        self.register_buffer("mean", by_channel(preprocessing.mean, shape), persistent=False)
        self.register_buffer("std", by_channel(preprocessing.std, shape), persistent=False)
        scaled = preprocessing.target_mean is not None and preprocessing.target_std is not None
        for name, numbers in (("target_mean", preprocessing.target_mean), ("target_std", preprocessing.target_std)):
            self.register_buffer(name, torch.tensor(numbers) if scaled else None, persistent=False)
        self.eval()

    def forward(self, inputs: Tensor) -> Any:
        """Prepare the inputs, and return the network's answers.

        Args:
            inputs: ``(n, *data_shape)``, as they come.

        Raises:
            DataError: They are known to be standardised already.
        """
        if not torch.compiler.is_compiling() and is_standardised(inputs):
            raise DataError(TWICE)
        returned = self.network(self.preprocessing.prepare_by(inputs, self.mean, self.std))
        if self._logits is not None:
            returned = self._logits(returned)
        if isinstance(returned, Tensor) and self.target_mean is not None and self.target_std is not None:
            return returned * self.target_std + self.target_mean
        return returned

    def predict(self, inputs: Any, *, batch_size: int = 64) -> Predictions:
        """Return the answers to images, files of images, arrays or a data set, with their names.

        Images are read as those of the training were: turned upright, converted to grey or colour, cropped in the
        middle to the aspect ratio of the data, and resized. Arrays are taken as the inputs of the data were, not
        standardised.

        Args:
            inputs: Path of an image, a Pillow image, or a list of them; an array or tensor of one input, or of
                several, ``(n, *data_shape)``, of images also with the channels last; or a `LabelledData`, standardised
                or not.
            batch_size: Number of inputs that go through the network at once.

        Raises:
            DataError: There is no input, or one cannot be read, or does not fit.
            NetworkError: The network returns no tensor of answers.
        """
        size = count_of("batch_size", batch_size, "input")
        how, given = self.preprocessing, Inputs(inputs, self.preprocessing)
        wanted = self.mean.device
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                found = [self._answer(batch.to(wanted)) for batch in given.batches(size)]
        finally:
            self.train(training)
        return Predictions(how.task, how.class_names, given.names, torch.cat(found).numpy())

    def _answer(self, batch: Tensor) -> Tensor:
        """Return the answers to one batch, on the CPU, checked."""
        returned: Any = self(batch)
        shape: Sequence[int] = (len(batch), len(self.preprocessing.class_names))
        if not isinstance(returned, Tensor) or tuple(returned.shape[:2]) != shape:
            got = tuple(returned.shape) if isinstance(returned, Tensor) else f"a {type(returned).__name__}"
            raise NetworkError(
                f"The network must return a tensor that begins with shape {tuple(shape)}, answers by input and name; "
                f"got {got}. Pick it with `logits`, such as logits=lambda returned: returned[0]."
            )
        return returned.float().cpu()
