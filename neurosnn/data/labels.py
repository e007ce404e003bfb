"""Labels of any kind as numbered classes with names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurosnn.core.messages import message, shortened

__all__ = ["as_array", "as_classes"]


def as_array(values: Any) -> np.ndarray:
    """An array from numbers, or from a tensor of another package that is on its own device."""
    detach = getattr(values, "detach", None)
    return np.asarray(detach().cpu().numpy() if callable(detach) else values)


def as_classes(
    labels: Any, class_names: Sequence[Any] = (), *, where: str, n: int | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the classes of labels of any kind.

    With ``class_names`` a label that is one of the names is that class, and a whole number that is none
    of them is the number of a class. Without, whole numbers from 0 are the numbers of classes already;
    of all other labels (texts, or numbers such as 1 to 3) the distinct values in their order are the
    classes 0, 1, ..., named by themselves.

    Parameters
    ----------
    labels : sequence of str, int, bool or numpy values
        One a trial.
    class_names : sequence of str, optional
        All classes in order, those of the training data for instance.
    where : str
        Who asks; named in the error.
    n : int, optional
        How many labels there must be.

    Returns
    -------
    numbers : numpy.ndarray of int64
        Class of each label.
    class_names : tuple of str
        Empty if the labels are the numbers of classes and no names were given.

    Raises
    ------
    ValueError
        Labels that are not one value a trial, values that are not whole, or a label of no class.

    Examples
    --------
    >>> as_classes(["up", "down", "up"], where="example")
    (array([1, 0, 1]), ('down', 'up'))
    >>> as_classes([1, 3, 2], where="example")
    (array([0, 2, 1]), ('1', '2', '3'))
    >>> as_classes([0, 2], where="example")
    (array([0, 2]), ())
    """
    values = as_array(labels)
    if values.ndim != 1:
        fix = "Pass one label a trial"
        fix += "; of one-hot rows np.argmax(labels, axis=1)." if values.ndim == 2 else "."
        raise ValueError(
            message(f"labels have shape {values.shape}.", where, "A trial has one class.", fix)
        )
    if n is not None and len(values) != n:
        raise ValueError(
            message(
                f"there are {len(values)} labels for {n} trials.",
                where,
                "Each trial has a class.",
                "Pass one label a trial.",
            )
        )
    if values.dtype.kind == "f":
        if not np.all(values == np.floor(values)):
            raise ValueError(
                message(
                    "the labels are not whole numbers.",
                    where,
                    "Labels name classes; a value to be predicted is not a class.",
                    "Leave labels out, and pass the values to fit(targets=...) of a trainer with "
                    "loss='mean_square'.",
                )
            )
        values = values.astype(np.int64)
    names = tuple(_text(name) for name in class_names)
    whole = values.dtype.kind in "iu"
    if not names:
        if whole and (not values.size or values.min() == 0):
            return values.astype(np.int64), ()
        distinct, numbers = _distinct(values)
        return numbers, tuple(map(_text, distinct))
    number = {name: k for k, name in enumerate(names)}
    distinct, places = _distinct(values)
    classes = np.empty(len(distinct), dtype=np.int64)
    for k, label in enumerate(distinct):
        if _text(label) in number:
            classes[k] = number[_text(label)]
        elif whole and 0 <= int(label) < len(names):
            classes[k] = int(label)
        else:
            raise ValueError(
                message(
                    f"label {shortened(_text(label), 60)!r} is none of the {len(names)} classes.",
                    where,
                    f"class_names are {shortened(', '.join(names), 200)}.",
                    "Add it to class_names, or leave that trial out.",
                )
            )
    return classes[places], names


def _distinct(values: np.ndarray) -> tuple[list[Any], np.ndarray]:
    """The distinct values, sorted (by text if they cannot be compared), and the place of each value."""
    try:
        distinct = sorted(set(values.tolist()))
    except TypeError:
        distinct = sorted(set(values.tolist()), key=_text)
    place = {value: k for k, value in enumerate(distinct)}
    return distinct, np.array([place[value] for value in values.tolist()], dtype=np.int64)


def _text(label: Any) -> str:
    return label.decode("utf-8", "backslashreplace") if isinstance(label, bytes) else str(label)
