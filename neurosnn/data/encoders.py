"""Encoders: images to spikes or currents."""

import numpy as np
from brian2.units import Hz, Quantity, ms, nA, second
from numpy.typing import ArrayLike

from neurosnn.data.checks import fraction, generator, hertz, seconds
from neurosnn.data.images import Images
from neurosnn.data.spike_trials import SpikeTrials
from neurosnn.data.trial_set import sort_spikes


def encode_latency(
    images: Images | ArrayLike,
    labels: ArrayLike | None = None,
    *,
    earliest: Quantity = 0 * ms,
    latest: Quantity = 20 * ms,
    duration: Quantity | None = None,
    threshold: float = 0.0,
    name: str = "",
) -> SpikeTrials:
    """One spike a pixel: the brighter, the earlier.

    ``t = earliest + (1 - x) (latest - earliest)`` for pixels of brightness ``x > threshold``, x
    from 0 to 1; darker pixels stay silent.

    Parameters
    ----------
    images : Images, or array_like (n, h, w), (n, h, w, c) or (n, pixels)
        uint8 arrays are divided by 255, floats must lie between 0 and 1.
    labels : array_like of int (n,) or None
        Class of each image; taken from Images, and all 0 for an array without labels.
    earliest, latest : Quantity [s]
        Times of full white and of black.
    duration : Quantity [s] or None
        Length of a trial. None: ``latest`` rounded up to the next whole millisecond.
    threshold : float
        Pixels at or below are silent. 1/255 leaves out 8-bit values 0 and 1.
    name : str
        Name of the data, used in messages.

    Returns
    -------
    SpikeTrials
        One channel a pixel, in the order of ``image.ravel()``; times float64.

    Raises
    ------
    ValueError
        Values outside 0..1, ``latest`` not after ``earliest``, spikes after ``duration``.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2.units import ms
    >>> from neurosnn.data import encode_latency
    >>> trials = encode_latency(np.array([[0.0, 0.5, 1.0]]), latest=20*ms)
    >>> trials[0].times / ms, trials[0].units
    (array([ 0., 10.]), array([2, 1], dtype=int32))
    """
    where = "encode_latency"
    values, labels, class_names, name = _brightness(images, labels, name, where)
    first = seconds(earliest, "earliest", where=where, zero_ok=True)
    last = seconds(latest, "latest", where=where)
    threshold = fraction(threshold, "threshold", where=where)
    if last <= first:
        raise ValueError(
            f"{where}: latest={latest} is not after earliest={earliest}. Brighter pixels spike "
            f"first. Write for example earliest=2*ms, latest=18*ms."
        )
    trial, unit = np.nonzero(values > threshold)
    times = first + (1 - values[trial, unit]) * (last - first)
    return _trials(trial, times, unit, values, labels, duration, last, class_names, name)


def encode_poisson(
    images: Images | ArrayLike,
    labels: ArrayLike | None = None,
    *,
    seed: int | np.random.Generator,
    max_rate: Quantity = 100 * Hz,
    duration: Quantity = 100 * ms,
    name: str = "",
) -> SpikeTrials:
    """Independent Poisson spike trains with rates in proportion to brightness.

    A pixel of brightness x fires as a homogeneous Poisson process of rate ``x max_rate``.

    Parameters
    ----------
    images : Images, or array_like (n, h, w), (n, h, w, c) or (n, pixels)
        uint8 arrays are divided by 255, floats must lie between 0 and 1.
    labels : array_like of int (n,) or None
        Class of each image; taken from Images, and all 0 for an array without labels.
    seed : int or numpy.random.Generator
        The same seed gives the same spikes.
    max_rate : Quantity [Hz]
        Rate of full white.
    duration : Quantity [s]
        Length of a trial.
    name : str
        Name of the data, used in messages.

    Returns
    -------
    SpikeTrials
        One channel a pixel; times float64, not on a grid.

    Raises
    ------
    ValueError
        Values outside 0..1, a rate or time in other units, no seed.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2.units import Hz, second
    >>> from neurosnn.data import encode_poisson
    >>> trials = encode_poisson(np.ones((1, 1000)), seed=0, max_rate=20*Hz, duration=1*second)
    >>> round(len(trials.times) / 1000)
    20
    """
    where = "encode_poisson"
    values, labels, class_names, name = _brightness(images, labels, name, where)
    rng = generator(seed, where=where)
    length = seconds(duration, "duration", where=where)
    counts = rng.poisson(values * (hertz(max_rate, "max_rate", where=where) * length))
    flat = np.repeat(np.arange(values.size), counts.ravel())
    trial, unit = np.divmod(flat, values.shape[1])
    # random() can be as large as 1 - 2**-53, whose product may round up to the length itself.
    times = np.minimum(rng.random(len(flat)) * length, np.nextafter(length, 0))
    return _trials(trial, times, unit, values, labels, duration, length, class_names, name)


def encode_regular_rate(
    images: Images | ArrayLike,
    labels: ArrayLike | None = None,
    *,
    max_rate: Quantity = 100 * Hz,
    duration: Quantity = 100 * ms,
    name: str = "",
) -> SpikeTrials:
    """Evenly spaced spikes with rates in proportion to brightness; nothing is random.

    A pixel of brightness x spikes at ``(k + 1/2) / (x max_rate)``, k = 0, 1, ...

    Parameters
    ----------
    images : Images, or array_like (n, h, w), (n, h, w, c) or (n, pixels)
        uint8 arrays are divided by 255, floats must lie between 0 and 1.
    labels : array_like of int (n,) or None
        Class of each image; taken from Images, and all 0 for an array without labels.
    max_rate : Quantity [Hz]
        Rate of full white.
    duration : Quantity [s]
        Length of a trial.
    name : str
        Name of the data, used in messages.

    Returns
    -------
    SpikeTrials
        One channel a pixel; times float64.

    Raises
    ------
    ValueError
        Values outside 0..1, a rate or time in other units.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2.units import Hz, ms
    >>> from neurosnn.data import encode_regular_rate
    >>> encode_regular_rate(np.ones((1, 1)), max_rate=100*Hz, duration=30*ms)[0].times / ms
    array([ 5., 15., 25.])
    """
    where = "encode_regular_rate"
    values, labels, class_names, name = _brightness(images, labels, name, where)
    length = seconds(duration, "duration", where=where)
    rate = values * hertz(max_rate, "max_rate", where=where)
    # k spikes fit if (k - 1/2) / rate < length; the strict bound keeps the last inside the trial.
    counts = np.maximum(np.ceil(rate * length - 0.5 - 1e-9), 0).astype(np.int64).ravel()
    flat = np.repeat(np.arange(values.size), counts)
    k = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
    trial, unit = np.divmod(flat, values.shape[1])
    times = (k + 0.5) / rate.ravel()[flat]
    return _trials(trial, times, unit, values, labels, duration, length, class_names, name)


def encode_current(images: Images | ArrayLike, *, amplitude: Quantity = 1 * nA) -> Quantity:
    """A constant input current a pixel, in proportion to brightness.

    ``I = x amplitude``, for the whole presentation: assign it to a parameter of a NeuronGroup, or
    pass it through a TimedArray.

    Parameters
    ----------
    images : Images, or array_like (n, h, w), (n, h, w, c) or (n, pixels)
        uint8 arrays are divided by 255, floats must lie between 0 and 1.
    amplitude : Quantity
        Value of full white, in any unit.

    Returns
    -------
    Quantity (n, pixels)
        In the unit of ``amplitude``.

    Raises
    ------
    ValueError
        Values outside 0..1, or an amplitude that is no single finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2.units import pA
    >>> from neurosnn.data import encode_current
    >>> encode_current(np.array([[0.0, 0.5]]), amplitude=200*pA) / pA
    array([[  0., 100.]])
    """
    where = "encode_current"
    values, *_ = _brightness(images, None, "", where)
    if np.ndim(amplitude) or not np.isfinite(np.asarray(amplitude, dtype=float)):
        raise ValueError(
            f"{where}: amplitude must be one finite number, got {amplitude!r}. It is the input of "
            f"full white. Write for example amplitude=1*nA."
        )
    return values * amplitude


def _brightness(images, labels, name, where):
    """Values float64 (n, pixels) from 0 to 1, labels, class names and name."""
    class_names = ()
    if isinstance(images, Images):
        labels = images.labels if labels is None else labels
        class_names = images.class_names
        name = name or images.name
        values = images.images / images.maximum
    else:
        values = np.asarray(images)
        values = values / 255 if values.dtype == np.uint8 else values.astype(np.float64)
    if values.ndim not in (2, 3, 4):
        raise ValueError(
            f"{where}: images must have shape (n, h, w), (n, h, w, c) or (n, pixels), got "
            f"{values.shape}. The first axis counts the images. For one image write image[None]."
        )
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(
            f"{where}: images hold values from {values.min():g} to {values.max():g}. Floats are "
            f"brightness from 0 to 1. Divide by the largest value, or pass uint8 (0 to 255)."
        )
    values = values.reshape(len(values), int(np.prod(values.shape[1:])))
    if labels is None:
        labels = np.zeros(len(values), dtype=np.int64)
    return values, labels, class_names, name


def _trials(trial, times, unit, values, labels, duration, last, class_names, name):
    trial, times, unit = sort_spikes(trial, times, unit, values.shape[1])
    if duration is None:
        # The next whole millisecond after the last possible spike.
        duration = (np.floor(last / 1e-3 + 1e-3) + 1) * 1e-3 * second
    return SpikeTrials(
        times=times,
        units=unit,
        offsets=np.searchsorted(trial, np.arange(len(values) + 1)),
        labels=labels,
        n_channels=values.shape[1],
        duration=duration,
        class_names=class_names,
        name=name,
    )
