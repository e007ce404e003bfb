"""Which class was taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from neurosnn.core import html
from neurosnn.core.messages import message, shortened

__all__ = ["Confusion", "confusion_matrix"]


class Confusion(NamedTuple):
    """Decisions by true and predicted class.

    Attributes
    ----------
    counts : ndarray of int (n, n)
        Row: true class; column: predicted class.
    class_names : tuple of str
        Names of the classes.
    """

    counts: np.ndarray
    class_names: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """Share of correct decisions; nan if there are none."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")

    @property
    def class_accuracy(self) -> np.ndarray:
        """Share of correct decisions of each true class (its recall); nan where there are none."""
        total = self.counts.sum(axis=1)
        return np.where(total > 0, np.diagonal(self.counts) / np.maximum(total, 1), np.nan)

    def table(self) -> str:
        """One line a class: how many, the accuracy, and what it was most often taken for."""
        names = [shortened(name, 30) for name in self.class_names]
        width = max([5, *map(len, names)])
        lines = [f"{'class'.ljust(width)}  decisions  accuracy  most often taken for"]
        for k, (name, accuracy) in enumerate(zip(names, self.class_accuracy, strict=True)):
            wrong = self.counts[k].copy()
            wrong[k] = 0
            other = f"{names[int(wrong.argmax())]} ({wrong.max()})" if wrong.any() else "-"
            share = "-" if np.isnan(accuracy) else f"{accuracy:.1%}"
            lines.append(f"{name.ljust(width)}  {self.counts[k].sum():>9d}  {share:>8}  {other}")
        lines.append(f"{'all'.ljust(width)}  {self.counts.sum():>9d}  {self.accuracy:>8.1%}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html.block(repr(self), html.code(self.table()))

    def __repr__(self) -> str:
        n = len(self.class_names)
        return f"Confusion: {n} classes, {self.counts.sum()} decisions, {self.accuracy:.1%} correct"


def confusion_matrix(labels: Any, predicted: Any, class_names: Sequence[str] = ()) -> Confusion:
    """Count decisions by true and predicted class.

    Parameters
    ----------
    labels, predicted : array_like of int (n_decisions,)
        True and predicted classes; a label -1 does not count.
    class_names : sequence of str, optional
        Names of the classes; numbers up to the largest if empty.

    Returns
    -------
    Confusion

    Raises
    ------
    ValueError
        Arrays of different lengths, or a class without a name.

    Examples
    --------
    >>> confusion = confusion_matrix([0, 0, 1], [0, 1, 1], ("left", "right"))
    >>> confusion.counts
    array([[1, 1],
           [0, 1]])
    >>> print(confusion.table())
    class  decisions  accuracy  most often taken for
    left           2     50.0%  right (1)
    right          1    100.0%  -
    all            3     66.7%
    """
    true, predicted = np.asarray(labels), np.asarray(predicted)
    if true.ndim != 1 or true.shape != predicted.shape:
        raise ValueError(
            message(
                f"labels have shape {true.shape}, predictions {predicted.shape}.",
                "confusion_matrix",
                "Each decision has a true and a predicted class.",
                "Pass trials.labels and trainer.predict(trials).",
            )
        )
    counted = true >= 0
    true, predicted = true[counted].astype(np.int64), predicted[counted].astype(np.int64)
    largest = int(max(true.max(initial=-1), predicted.max(initial=-1)))
    if predicted.min(initial=0) < 0 or (class_names and largest >= len(class_names)):
        raise ValueError(
            message(
                f"there is a class {largest if largest >= len(class_names) else int(predicted.min())}, but "
                f"{len(class_names)} class_names.",
                "confusion_matrix",
                "Classes are numbered from 0.",
                "Name all outputs.",
            )
        )
    names = tuple(map(str, class_names)) or tuple(map(str, range(largest + 1)))
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (true, predicted), 1)
    return Confusion(counts, names)
