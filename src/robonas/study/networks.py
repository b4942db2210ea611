"""The networks of a search: built, trained, and in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robonas.errors import StudyError
from robonas.study.parameters import check_ready, kept_preprocessing, made_ready, read_kept

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from robonas.prediction import Predictions, Preprocessing
    from robonas.spaces import SearchSpace
    from robonas.study.query import Query


class Networks:
    """The part of a search's result that builds its networks and predicts with them; see `SearchResult`."""

    if TYPE_CHECKING:
        study: str
        space: SearchSpace
        objective: str
        seed: int
        costs: NDArray[Any] | None
        folder: Path | None

        @property
        def best(self) -> Query: ...  # noqa: D102

        @property
        def front(self) -> tuple[Query, ...]: ...  # noqa: D102

    def build(
        self, query: Query | None = None, *, trained: bool = True, logits: Callable[[Any], Tensor] | None = None
    ) -> nn.Module:
        """Build the winning network, or that of another query: trained and ready for use, or as it was before.

        A trained network is a `ReadyNetwork`, which takes inputs as they come and standardises them itself, where the
        objective told how; its ``network`` is the one within. One that is not trained is always that one.

        Args:
            query: The query, such as one of `front`; None for the winner.
            trained: Load the trained parameters, where they were kept.
            logits: Picks the answer from what the trained network returns, where the search was given one too.

        Raises:
            StudyError: They are asked for, and were not kept.
        """
        query = query or self.best
        network = self.space.build_seeded(self.space.parse(query.architecture), self.seed)
        if not trained:
            return network
        return made_ready(network, self.load_parameters(query), self.preprocessing(query), logits)

    def preprocessing(self, query: Query | None = None) -> Preprocessing | None:
        """Return how inputs are prepared for the winner, or for another query; None where nothing was kept here.

        Raises:
            StudyError: What was kept is damaged.
        """
        return kept_preprocessing(self.folder, self.study, query or self.best)

    def predict(
        self,
        inputs: Any,
        *,
        query: Query | None = None,
        batch_size: int = 64,
        logits: Callable[[Any], Tensor] | None = None,
    ) -> Predictions:
        """Return the trained winner's answers to images, files of images, arrays or a data set, with their names.

        Args:
            inputs: Inputs as they come, not standardised; see `ReadyNetwork.predict`.
            query: Query whose network answers, such as one of `front`; None for the winner.
            batch_size: Number of inputs that go through the network at once.
            logits: Picks the answer from what the network returns, where the search was given one too.

        Raises:
            StudyError: No trained parameters were kept, or nothing says how inputs are prepared.
            DataError: There is no input, or one cannot be read, or does not fit.
        """
        network = check_ready(self.build(query, logits=logits), self.study, self.objective)
        return network.predict(inputs, batch_size=batch_size)

    def load_parameters(self, query: Query | None = None) -> dict[str, Tensor]:
        """Read the trained parameters and buffers of the winner, or of another query.

        Args:
            query: The query; None for the winner.

        Raises:
            StudyError: They were not kept.
        """
        chosen = query or self.best
        if self.costs is not None and chosen.number not in {member.number for member in self.front}:
            raise StudyError(
                f"Query {chosen.number} is not on the front, and only those on it keep their trained parameters. Use "
                "`build(query, trained=False)`."
            )
        who = "the winner" if chosen.number == self.best.number else f"query {chosen.number}"
        return read_kept(self.folder, self.study, chosen, who)
