"""What all containers share: slicing verbs and the stratified split."""

import numbers
from collections.abc import Iterator
from typing import Any, Self, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike

from neurosnn.core import html
from neurosnn.core.arguments import explained
from neurosnn.data.checks import fraction as check_fraction
from neurosnn.data.checks import generator
from neurosnn.data.describing import summarize


def resolve_index(index, n, *, where):
    """Turn a slice, an integer array or a boolean mask into an int64 index array.

    Parameters
    ----------
    index : slice, array_like of int, or array_like of bool of length n
    n : int
        Number of items.
    where : str
        Who asks; named in the error.

    Returns
    -------
    numpy.ndarray of int64

    Raises
    ------
    IndexError
        An index outside the range, a mask of the wrong length or a value of another type.
    """
    if isinstance(index, slice):
        return np.arange(n, dtype=np.int64)[index]
    array = np.asarray(index)
    if array.size == 0 and array.dtype.kind != "b":
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise IndexError(
            f"{where}: cannot index with {index!r}. Items are picked by an integer, a slice, an "
            f"integer array or a boolean mask. Pass one of these."
        )
    if array.dtype.kind == "b":
        if len(array) != n:
            raise IndexError(
                f"{where}: the boolean mask has {len(array)} entries for {n} items. A mask says "
                f"yes or no for each. Pass a mask of length {n}."
            )
        return np.flatnonzero(array)
    array = array.astype(np.int64)
    if array.size and (array.min() < -n or array.max() >= n):
        worst = int(array.max()) if array.max() >= n else int(array.min())
        raise IndexError(
            f"{where}: index {worst} is out of range. There are {n} items. Use 0 to {n - 1}."
        )
    return np.where(array < 0, array + n, array)


def gather_rows(offsets, index):
    """Offsets and flat positions of the rows ``index`` of a CSR layout.

    Row r of the result is ``flat[new[r]:new[r + 1]]``, equal to
    ``arange(offsets[index[r]], offsets[index[r] + 1])``.
    """
    lengths = np.diff(offsets)[index]
    new = np.zeros(len(index) + 1, dtype=np.int64)
    np.cumsum(lengths, out=new[1:])
    flat = np.arange(new[-1], dtype=np.int64)
    flat += np.repeat(offsets[:-1][index] - new[:-1], lengths)
    return new, flat


def row_of(offsets):
    """The row number of each entry of a CSR layout."""
    return np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))


def split_indices(labels, fraction, seed, groups, *, where):
    """Indices (rest, held out), stratified by label or by whole groups; both sorted."""
    fraction = check_fraction(fraction, "fraction", where=where, open_ends=True)
    rng = generator(seed, where=where)
    n = len(labels)
    held = np.zeros(n, dtype=bool)
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != (n,):
            raise ValueError(
                f"{where}: groups has shape {groups.shape} for {n} items. Each item belongs to one "
                f"group. Pass one group number (or name) an item."
            )
        names = np.unique(groups)
        if len(names) < 2:
            raise ValueError(
                f"{where}: groups holds {len(names)} group, which cannot be divided. Whole groups "
                f"go to one side or the other. Pass at least two groups or groups=None."
            )
        names = rng.permutation(names)
        wanted = max(1, round(fraction * len(names)))
        held = np.isin(groups, names[: min(wanted, len(names) - 1)])
    else:
        for label in np.unique(labels):
            members = rng.permutation(np.flatnonzero(labels == label))
            held[members[: round(fraction * len(members))]] = True
    if not held.any() or held.all():
        raise ValueError(
            f"{where}: fraction={fraction} of {n} items leaves one side empty. Both sides are "
            f"needed. Use more items or another fraction."
        )
    return np.flatnonzero(~held), np.flatnonzero(held)


def sort_spikes(row, times, units, n_channels):
    """Spikes sorted by row, then time, then channel; several times faster than np.lexsort."""
    moments, rank = np.unique(times, return_inverse=True)
    key = (row * len(moments) + rank) * n_channels + units
    key.sort()
    rest, units = np.divmod(key, n_channels)
    row, rank = np.divmod(rest, max(len(moments), 1))
    return row, moments[rank], units.astype(np.int32)


class TrialSet:
    """Slicing verbs of SpikeTrials, FrameTrials and Images.

    A sub-class gives ``__len__``, ``_trial(k)``, ``_take(index)`` and ``_strata()``.
    """

    __slots__ = ()

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice | ArrayLike) -> Self: ...

    def __getitem__(self, index: Any) -> Any:
        """One item for an integer; a container of the same type for anything else."""
        if isinstance(index, numbers.Integral) and not isinstance(index, bool | np.bool_):
            return self._trial(int(resolve_index([index], len(self), where=self._label())[0]))
        return self._take(resolve_index(index, len(self), where=self._label()))

    def __iter__(self) -> Iterator[Any]:
        return (self._trial(k) for k in range(len(self)))

    def _label(self):
        name = getattr(self, "name", "")
        return f"{type(self).__name__}({name!r})" if name else type(self).__name__

    def select(self, mask: slice | ArrayLike) -> Self:
        """The items where ``mask`` is true (or those of a slice or index array).

        Parameters
        ----------
        mask : array_like of bool (n,), slice, or array_like of int
            Which items to take.

        Returns
        -------
        A container of the same type.

        Raises
        ------
        IndexError
            The mask has another length, or an index is out of range.
        """
        return self._take(resolve_index(mask, len(self), where=f"{self._label()}.select"))

    def summary(self) -> str:
        """What is in the trials, in a few lines to be printed: classes, spikes, what is silent.

        Returns
        -------
        str
            The classes with their numbers of trials, spikes (or frames) a trial, lengths, and how many
            trials and channels have no spike.

        Examples
        --------
        >>> from brian2.units import ms
        >>> from neurosnn.data import SpikeTrials
        >>> trials = SpikeTrials.from_lists([[1, 4]*ms, [2]*ms], [[0, 2], [2]], ["left", "right"])
        >>> print(trials.summary())
        SpikeTrials: 2 trials, 2 classes, 3 channels, 1.5 spikes a trial, 5 ms
        class  trials  spikes a trial
        left        1               2
        right       1               1
        spikes a trial: 1 to 2, mean 1.5
        length of a trial: 5 to 5 ms
        rate of a channel: 100 Hz
        spikes from 1 to 4 ms
        trials without a spike: 0 of 2
        channels without a spike: 1 of 3
        """
        return summarize(self)

    def _repr_html_(self) -> str:
        return html.block(self._label(), html.code(summarize(self)))

    @explained(
        seed="trials.split(0.25, seed=0)",
        positional="The share that is held out is one number: trials.split(0.25, seed=0).",
    )
    def split(
        self, fraction: float, *, seed: int | np.random.Generator, groups: ArrayLike | None = None
    ) -> tuple[Self, Self]:
        """Hold out a share of the items, class by class, or group by group.

        Of the m items of a class, ``round(fraction * m)`` drawn at random are held out; with
        ``groups`` whole groups (speakers, say) are held out instead, ``fraction`` of their number.

        Parameters
        ----------
        fraction : float in (0, 1)
            Share that is held out.
        seed : int or numpy.random.Generator
            The same seed gives the same split.
        groups : array_like (n,) or None
            Group of each item; no group appears on both sides.

        Returns
        -------
        rest, held_out : two containers of the same type, in the original order

        Raises
        ------
        ValueError
            ``fraction`` outside (0, 1), groups of the wrong length, or one side empty.

        Examples
        --------
        >>> from neurosnn.data import digits_8x8
        >>> train, _ = digits_8x8()
        >>> train, valid = train.split(0.1, seed=0)
        >>> len(train), len(valid)
        (1295, 143)
        """
        rest, held = split_indices(
            self._strata(), fraction, seed, groups, where=f"{self._label()}.split"
        )
        return self._take(rest), self._take(held)


Trials = TypeVar("Trials", bound=TrialSet)


def validation_split(
    trials: Trials,
    fraction: float = 0.1,
    *,
    seed: int | np.random.Generator = 0,
    groups: ArrayLike | None = None,
) -> tuple[Trials, Trials]:
    """Split training trials into a training and a validation set.

    The same as ``trials.split(fraction, seed=seed, groups=groups)`` with the defaults used by the
    examples: a tenth, drawn class by class with seed 0.

    Parameters
    ----------
    trials : SpikeTrials, FrameTrials or Images
        The training set.
    fraction : float in (0, 1)
        Share that is held out.
    seed : int or numpy.random.Generator
        The same seed gives the same split.
    groups : array_like (n,) or None
        For example ``trials.speaker``, to validate on unheard speakers.

    Returns
    -------
    train, valid : two containers of the same type

    Raises
    ------
    TypeError
        ``trials`` is not one of the containers.
    ValueError
        As ``split``.

    Examples
    --------
    >>> from neurosnn.data import digits_8x8, validation_split
    >>> train, valid = validation_split(digits_8x8()[0])
    >>> len(valid)
    143
    """
    if not isinstance(trials, TrialSet):
        raise TypeError(
            f"validation_split: trials is a {type(trials).__name__}. Only the containers of "
            f"neurosnn.data know their classes. Pass a SpikeTrials, FrameTrials or Images."
        )
    return trials.split(fraction, seed=seed, groups=groups)
