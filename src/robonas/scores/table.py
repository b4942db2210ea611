"""The table of scores: architectures × metrics, why a score is missing, what it cost, and where it all came from."""

from __future__ import annotations

import hashlib
import json
import platform
import warnings
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd

from robonas.common.files import replacing, write_parquet
from robonas.common.notebook import facts_html, histogram
from robonas.common.reading import parse_json, read_parquet, to_frame
from robonas.errors import ConfigError, ScoreTableError
from robonas.scores.columns import TEXTS, ScoreColumns

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from robonas.metrics import Score

FORMAT = 2
"""Version of the file's layout; a newer one is refused, an older one is read."""
_METADATA_KEY = b"robonas"
_REASON, _SECONDS = "reason:", "seconds:"


def provenance(
    space_name: str, space_settings: Mapping[str, Any], batch_fingerprint: str, seed: int, device: str = "cpu"
) -> dict[str, Any]:
    """Return where scores come from: what they depend on, and the versions that made them; JSON values."""
    return {
        "format": FORMAT,
        "space": {"name": space_name, "settings": dict(space_settings)},
        "batch": batch_fingerprint,
        "seed": seed,
        **({} if device == "cpu" else {"device": device}),
        "versions": {"python": platform.python_version()}
        | {name: version_of(name) for name in ("robonas", "torch", "numpy")},
    }


def version_of(package: str) -> str:
    """Return the version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


def check_provenance(found: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    """Raise unless scores of `found` can stand beside scores of `wanted`; warn where only versions differ.

    Raises:
        ScoreTableError: Another space, batch, seed or kind of device, or a newer file format.
    """
    found, wanted = {"device": "cpu", **found}, {"device": "cpu", **wanted}
    if found.get("format", 0) > FORMAT:
        raise ScoreTableError(
            f"Scores file '{path}' has format {found['format']}; this robonas reads up to {FORMAT}. Update robonas."
        )
    for key, word in (("space", "search space"), ("batch", "batch"), ("seed", "seed"), ("device", "device")):
        if found.get(key) != wanted.get(key):
            raise ScoreTableError(
                f"Scores file '{path}' was written for another {word} ({_brief(found.get(key))}) than this run's "
                f"({_brief(wanted.get(key))}). Name another file, or delete this one to score again."
            )
    stale = {
        package: (old, wanted["versions"].get(package))
        for package, old in found.get("versions", {}).items()
        if package in {"robonas", "torch"} and old != wanted["versions"].get(package)
    }
    if stale:
        changes = ", ".join(f"{package} {old} then, {new} now" for package, (old, new) in stale.items())
        warnings.warn(
            f"Scores file '{path}' was begun with other versions ({changes}); its scores are kept as they are.",
            stacklevel=3,
        )


def _brief(value: object) -> str:
    return json.dumps(value) if not isinstance(value, str) else value


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Raw scores of a pool of architectures.

    A score is the metric's own value. NaN means undefined here, and `reason` says why. Scaling, and what NaN becomes,
    belong to the strategy.
    """

    frame: pd.DataFrame
    """One row an architecture, in the order of the pool: ``architecture``, ``canonical`` and ``scored_as`` (texts of
    the space), a column a metric with its scores, and for each metric ``reason:NAME`` (None where there is a score) and
    ``seconds:NAME`` (CPU seconds). Scores of the metrics in `by_class` are of the network of ``scored_as``, which
    stands for its scoring class; others are of the network of ``canonical``."""
    metrics: tuple[str, ...]
    """Names of the metrics, in the order of the columns."""
    provenance: Mapping[str, Any]
    """Space, batch, seed and versions; see `provenance`."""

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        rows = self._rows.to_string(float_format="{:.6g}".format) if self.metrics else ""
        return f"{self._title}\n{rows}".strip()

    def _repr_html_(self) -> str:
        if not self.metrics:
            return facts_html(self._title, {})
        rows = self._rows.assign(spread=[histogram(self.frame[name]) for name in self.metrics])
        rows.index = pd.Index([escape(name) for name in self.metrics], name="metric")  # a file may name them anything
        with pd.option_context("display.max_colwidth", None):
            return facts_html(self._title, {}, rows.to_html(escape=False, border=0, float_format="{:.6g}".format))

    @property
    def _title(self) -> str:
        space = self.provenance.get("space", {}).get("name", "an unknown space")
        return (
            f"ScoreTable of {space}: {len(self):,} architectures, "
            f"{len(self.distinct):,} of them distinct, {len(self.metrics)} metrics"
        )

    @property
    def _rows(self) -> pd.DataFrame:
        """The summary without what is long."""
        return self.summary().drop(columns="reason").round({"seconds": 1})

    @property
    def by_class(self) -> frozenset[str]:
        """Names of the metrics whose scores the members of a scoring class share."""
        return frozenset(map(str, self.provenance.get("by_class", ())))

    def networks(self, metric: str) -> pd.Series:
        """Return the text of the architecture whose network was scored by a metric, for each row."""
        return self.frame["scored_as" if metric in self.by_class else "canonical"]

    @property
    def architectures(self) -> tuple[str, ...]:
        """The texts of the architectures."""
        return tuple(self.frame["architecture"])

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """The scores, (n_architectures, n_metrics), a read-only copy."""
        values = np.array(self.frame[list(self.metrics)], dtype=np.float64)
        values.setflags(write=False)
        return values

    def reason(self, row: int, metric: str) -> str | None:
        """Return why this architecture has no score by this metric; None where it has one."""
        value = self.frame[_REASON + metric].iloc[row]
        return None if pd.isna(value) else str(value)

    def fingerprint(self) -> str:
        """Return a short hash of the architectures and their scores."""
        digest = hashlib.blake2b("\n".join((*self.metrics, *self.architectures)).encode(), digest_size=16)
        digest.update(self.scores.tobytes())
        return digest.hexdigest()

    @cached_property
    def distinct(self) -> NDArray[np.int64]:
        """Rows of the first architecture of each isomorphism class, in order."""
        rows = np.flatnonzero(~self.frame["canonical"].duplicated().to_numpy()).astype(np.int64)
        rows.setflags(write=False)
        return rows

    @property
    def seconds(self) -> float:
        """CPU seconds that all scores took; those that several architectures share are counted once."""
        return float(sum(self._seconds(name) for name in self.metrics))

    def _seconds(self, metric: str) -> float:
        return float(self.frame[_SECONDS + metric][~self.networks(metric).duplicated()].sum())

    @property
    def n_networks(self) -> int:
        """Number of networks that were built for the scores; 0 where there are none."""
        return len(set().union(*(self.networks(name) for name in self.metrics)))

    def summary(self) -> pd.DataFrame:
        """Return one row a metric.

        Counts ``defined`` and ``undefined``, ``minimum``, ``median``, ``maximum``, ``seconds`` in all, and the
        commonest ``reason``.
        """
        rows = []
        for name in self.metrics:
            values, reasons = self.frame[name], self.frame[_REASON + name].dropna()
            rows.append(
                {
                    "metric": name,
                    "defined": int(values.notna().sum()),
                    "undefined": int(values.isna().sum()),
                    "minimum": values.min(),
                    "median": values.median(),
                    "maximum": values.max(),
                    "seconds": self._seconds(name),
                    "reason": str(reasons.mode().iloc[0]) if len(reasons) else None,
                }
            )
        columns = ["metric", "defined", "undefined", "minimum", "median", "maximum", "seconds", "reason"]
        return pd.DataFrame(rows, columns=columns).set_index("metric")

    def warnings(self) -> list[str]:
        """Return what a user should know before trusting these scores, a sentence each; empty where all is well."""
        sentences = []
        for name, row in self.summary().iterrows():
            reasons = self.frame[_REASON + str(name)]
            raised = [row for row, reason in enumerate(reasons) if str(reason).startswith(f"{name} raised ")]
            if raised:
                sentences.append(
                    f"Metric {name!r} failed for {len(raised):,} of {len(self):,} architectures, first for "
                    f"{self.architectures[raised[0]]!r}: {reasons.iloc[raised[0]]}"
                )
            elif row["undefined"] * 2 > len(self):
                sentences.append(
                    f"Metric {name!r} is undefined for {row['undefined']:,} of {len(self):,} architectures: "
                    f"{row['reason']}"
                )
            elif row["minimum"] == row["maximum"] and len(self) > 1:
                sentences.append(
                    f"Metric {name!r} has the same score for all architectures ({row['minimum']:.6g}): "
                    "it cannot tell them apart."
                )
        return sentences

    def shared(self) -> ScoreTable:
        """Return the table with each scoring class as one candidate, of which its first row is the distinct one."""
        return ScoreTable(self.frame.assign(canonical=self.frame["scored_as"]), self.metrics, self.provenance)

    def correlations(
        self,
        values: ArrayLike | None = None,
        *,
        name: str = "objective",
        method: Literal["spearman", "kendall", "pearson"] = "spearman",
    ) -> pd.DataFrame:
        """Return the correlation of each metric with each other, and with an objective where its values are known.

        Isomorphic architectures count once, and each pair is taken over the architectures that have both. NaN where
        fewer than 4 have, or one side is constant. Raw scores are compared: a metric for which lower is better
        correlates negatively with a good objective.

        Args:
            values: Value of each architecture, (n,), NaN where unknown; it makes the last row and column.
            name: Name of that row and column.
            method: ``"spearman"`` and ``"kendall"`` compare orders, ``"pearson"`` the numbers.

        Returns:
            Symmetric, in [-1, 1], metrics × metrics.

        Raises:
            ConfigError: `values` has another length than the table, or there is no such method.
        """
        if method not in {"spearman", "kendall", "pearson"}:
            raise ConfigError(f"`method` must be spearman, kendall or pearson; got {method!r}.")
        frame = pd.DataFrame(self.scores, columns=list(self.metrics))
        if values is not None:
            known = np.asarray(values, dtype=np.float64)
            if known.shape != (len(self),):
                raise ConfigError(f"`values` must have one number a row, ({len(self)},); got shape {known.shape}.")
            if name in self.metrics:
                raise ConfigError(f"`name` must not be a metric's; got {name!r}.")
            frame[name] = known
        rows = frame.replace([np.inf, -np.inf], np.nan).groupby(self.frame["canonical"], sort=False).first()
        with np.errstate(divide="ignore", invalid="ignore"):
            return rows.corr(method=method, min_periods=4).clip(-1, 1)

    def part(self, start: int, stop: int) -> ScoreTable:
        """Return the rows from one place up to another."""
        return ScoreTable(self.frame.iloc[start:stop].reset_index(drop=True), self.metrics, self.provenance)

    def select(self, metrics: Sequence[str]) -> ScoreTable:
        """Return the same architectures with these metrics only.

        Raises:
            ScoreTableError: A metric that this table does not have.
        """
        for name in metrics:
            if name not in self.metrics:
                raise ScoreTableError(f"The table has no metric {name!r}; it has {', '.join(self.metrics)}.")
        columns = [prefix + name for name in metrics for prefix in ("", _REASON, _SECONDS)]
        return ScoreTable(self.frame[[*TEXTS, *columns]], tuple(metrics), self.provenance)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a Parquet file, whole or not at all; readable by pandas, and by `read` with its provenance."""
        import pyarrow as pa

        content = pa.Table.from_pandas(self.frame, preserve_index=False)
        note = json.dumps({"metrics": self.metrics, "provenance": self.provenance})
        content = content.replace_schema_metadata({**(content.schema.metadata or {}), _METADATA_KEY: note.encode()})
        write_parquet(path, content)

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file, whole or not at all: the architectures and their scores, empty where undefined.

        Canonical forms, reasons, times and provenance are in what `write` writes, and not here.
        """
        with replacing(path) as temporary:
            self.frame[["architecture", *self.metrics]].to_csv(temporary, index=False)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `write` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ScoreTableError: The file is damaged, or not a table of scores.
        """
        try:
            content, notes = read_parquet(Path(path))
            note = parse_json(notes[_METADATA_KEY])
            metrics, origin = tuple(map(str, note["metrics"])), dict(note["provenance"])
            if "scored_as" not in content.column_names:  # before format 2, each canonical form was scored itself
                content = content.append_column("scored_as", content["canonical"])
            wanted = [*TEXTS, *(prefix + name for name in metrics for prefix in ("", _REASON, _SECONDS))]
            frame = to_frame(content, wanted, [prefix + name for name in metrics for prefix in ("", _SECONDS)])
        except FileNotFoundError:
            raise
        except KeyError as error:
            raise ScoreTableError(
                f"'{path}' is a Parquet file, but not robonas's table of scores: {error} is missing."
            ) from error
        except (AttributeError, OSError, TypeError, ValueError) as error:
            raise ScoreTableError(
                f"Scores file '{path}' is damaged ({error}). Restore it, or delete it to score again."
            ) from error
        return cls(frame, metrics, origin)

    @classmethod
    def from_scores(
        cls,
        architectures: Iterable[tuple[str, str]],
        scores: Mapping[str, Mapping[str, Score]],
        metrics: Sequence[str],
        origin: Mapping[str, Any],
    ) -> Self:
        """Assemble a table.

        Args:
            architectures: Texts of each architecture and of its canonical form.
            scores: Scores by canonical text, then by metric.
            metrics: The columns.
            origin: The provenance.
        """
        columns = ScoreColumns()
        for canonical, found in scores.items():
            columns.add(canonical, found)
        return cls.from_columns(architectures, columns, metrics, origin)

    @classmethod
    def from_columns(
        cls,
        architectures: Iterable[tuple[str, str]],
        columns: ScoreColumns,
        metrics: Sequence[str],
        origin: Mapping[str, Any],
        *,
        absent: str = "not scored",
        classes: Mapping[str, str] | None = None,
        by_class: Collection[str] = (),
    ) -> Self:
        """Assemble a table from columns.

        Args:
            architectures: Texts of each architecture and of its canonical form.
            columns: The scores, by the texts of the architectures whose networks were scored.
            metrics: Names of the metrics to take.
            origin: The provenance.
            absent: Reason of a score that the columns do not have.
            classes: For each canonical text the one that stands for its scoring class; None where each is its own.
            by_class: Names of the metrics whose scores are those of the class.
        """
        pairs = list(architectures)
        canonical = [text for _, text in pairs]
        scored_as = canonical if classes is None else [classes[text] for text in canonical]
        texts = ([text for text, _ in pairs], canonical, scored_as)
        content: dict[str, Any] = dict(zip(TEXTS, texts, strict=True))
        for name in metrics:
            values, seconds, reasons = columns.take(scored_as if name in by_class else canonical, name, absent)
            content |= {name: values, _REASON + name: reasons, _SECONDS + name: seconds}
        shared = {"by_class": sorted(by_class)} if by_class else {}
        return cls(pd.DataFrame(content), tuple(metrics), {**origin, **shared})
