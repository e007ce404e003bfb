"""From loudness to spikes: leaky integrate-and-fire cells that listen to mel bands."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from brian2.units import Quantity, ms, second
from numpy.typing import ArrayLike

from neurosnn.data.checks import positive_int, seconds
from neurosnn.data.frame_trials import FrameTrials
from neurosnn.data.speech.mel import log_mel
from neurosnn.data.spike_trials import SpikeTrials

# Cells are simulated in groups of trials whose state stays in the processor's cache.
_CELLS_A_GROUP = 40_000


def encode_cochlea(
    sound: FrameTrials | ArrayLike | Sequence[ArrayLike],
    sample_rate: Quantity | None = None,
    *,
    labels: ArrayLike | None = None,
    n_bands: int = 70,
    n_thresholds: int = 10,
    thresholds: tuple[float, float] = (0.25, 0.95),
    tau_m: Quantity = 6.5 * ms,
    refractory: Quantity = 8 * ms,
    step: Quantity = 1 * ms,
    class_names: Sequence[str] = (),
    speaker: ArrayLike | None = None,
    speaker_names: Sequence[str] = (),
    name: str = "",
    **mel: Any,
) -> SpikeTrials:
    """Turn recordings into spikes of cells that resemble the auditory nerve.

    Each mel band drives ``n_thresholds`` leaky integrate-and-fire cells
    ``dv/dt = (x - v) / tau_m``, where x is the loudness of the band from 0 to 1; cell k spikes at
    ``v >= v_th[k]``, is reset to 0 and held there for ``refractory``. The v_th are spaced evenly
    over ``thresholds``, so quiet cells mark onsets and sensitive ones follow the level. Channel
    ``band * n_thresholds + k``: neighbours in frequency are neighbours in number.

    Parameters
    ----------
    sound : array_like (n,), list of array_like, or FrameTrials
        Recordings, or frames from `log_mel` with values 0 to 1, which are interpolated linearly
        from their ``frame`` to ``step``.
    sample_rate : Quantity [Hz] or None
        Of the recordings; None for frames.
    labels : array_like of int (n_trials,) or None
        Class of each recording. None: all 0.
    n_bands : int
        Mel bands. Frames with more bands are pooled by averaging neighbours.
    n_thresholds : int
        Cells a band; one cell has the middle of ``thresholds``.
    thresholds : (float, float)
        Lowest and highest v_th.
    tau_m, refractory, step : Quantity [s]
        Time constant, refractory time and time step; exact update between steps.
    class_names : sequence of str
        One name a class.
    speaker : array_like of int (n_trials,) or None
        Who spoke; taken from frames.
    speaker_names : sequence of str
        Name of each speaker number; taken from frames.
    name : str
        Name of the data, used in messages.
    **mel : Any
        Further settings of `log_mel`, for recordings.

    Returns
    -------
    SpikeTrials
        ``n_bands * n_thresholds`` channels; times float32, multiples of ``step``.

    Raises
    ------
    ValueError
        As `log_mel`; frames outside 0..1; more bands than the frames have; thresholds that are
        not 0 < low <= high < 1; mel settings or a sample rate together with frames.

    Notes
    -----
    The settings are those of the project's own spoken digits; 6.5 ms gives about 3300 spikes a
    digit on 700 channels. Cost: about 1 ns a cell and step.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2.units import Hz
    >>> from neurosnn.data import encode_cochlea
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000)
    >>> trials = encode_cochlea(tone, 8000*Hz)
    >>> trials.n_channels
    700
    >>> band = np.bincount(trials.units // 10).argmax()  # the band around 1000 Hz
    >>> int(band)
    31
    """
    where = "encode_cochlea"
    n_bands = positive_int(n_bands, "n_bands", where=where)
    n_thresholds = positive_int(n_thresholds, "n_thresholds", where=where)
    v_th = _thresholds(thresholds, n_thresholds, where)
    tau = seconds(tau_m, "tau_m", where=where)
    dt = seconds(step, "step", where=where)
    held = int(round(seconds(refractory, "refractory", where=where, zero_ok=True) / dt))
    if isinstance(sound, FrameTrials):
        if sample_rate is not None or mel:
            settings = ", ".join([*(["sample_rate"] if sample_rate is not None else []), *mel])
            raise ValueError(
                f"{where}: {settings} given together with frames. Frames are past the sound already. "
                f"Leave it out, or give it to log_mel."
            )
        frames = sound
        speaker = frames.speaker if speaker is None else speaker
        speaker_names = speaker_names or frames.speaker_names
    else:
        if sample_rate is None:
            raise ValueError(
                f"{where}: sample_rate is missing. Recordings do not say how fast they are. Write "
                f"for example sample_rate=8000*Hz."
            )
        frames = log_mel(sound, sample_rate, **{"n_bands": n_bands, "hop": step, **mel})
    values = _pool(frames.features, n_bands, where)
    ratio = float(frames.frame) / dt
    counts = np.floor((frames.lengths - 1) * ratio + 1e-6).astype(np.int64) + 1
    counts[frames.lengths == 0] = 0
    offsets, at, units = _spikes(values, frames.offsets, counts, ratio, v_th, dt / tau, held)
    n_trials = len(frames)
    return SpikeTrials(
        times=(at * dt).astype(np.float32),
        units=units,
        offsets=offsets,
        labels=np.zeros(n_trials, dtype=np.int64) if labels is None else labels,
        n_channels=n_bands * n_thresholds,
        duration=max(int(counts.max(initial=1)), 1) * dt * second,
        durations=np.maximum(counts, 1) * dt,
        class_names=class_names,
        speaker=speaker,
        speaker_names=speaker_names,
        name=name or frames.name,
    )


def _spikes(values, frame_offsets, counts, ratio, v_th, leak, held):
    """CSR offsets, step and channel of all spikes, trials of similar length together."""
    n_bands = values.shape[1]
    n_cells = n_bands * len(v_th)
    order = np.argsort(counts, kind="stable")[::-1]
    group = max(1, _CELLS_A_GROUP // n_cells)
    parts = [None] * len(counts)
    for start in range(0, len(order), group):
        trials = order[start : start + group]
        row, step, unit = _group_spikes(
            values, frame_offsets, counts, trials, ratio, v_th, leak, held
        )
        edges = np.searchsorted(row, np.arange(len(trials) + 1))
        for k, trial in enumerate(trials):
            parts[trial] = (step[edges[k] : edges[k + 1]], unit[edges[k] : edges[k + 1]])
    offsets = np.append(0, np.cumsum([len(p[0]) for p in parts], dtype=np.int64))
    none = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    step, unit = (np.concatenate(p) for p in zip(*(parts or none), strict=True))
    return offsets, step, unit


def _group_spikes(values, frame_offsets, counts, trials, ratio, v_th, leak, held):
    """Row, step and channel of the spikes of some trials, in that order of sorting.

    The state is (threshold, trial, band), so that each operation runs over long rows.
    """
    n_bands = values.shape[1]
    n_thresholds = len(v_th)
    lengths = np.diff(frame_offsets)[trials]
    n_steps = int(counts[trials[0]])
    # Zeros beyond the end; one frame more, since the last one has no successor to go to.
    x = np.zeros((int(lengths.max()) + 1, len(trials), n_bands), dtype=np.float32)
    for k, trial in enumerate(trials):
        x[: lengths[k], k] = values[frame_offsets[trial] : frame_offsets[trial + 1]]
    x *= np.float32(1 - np.exp(-leak))
    # Far below any threshold, and keeps silent cells out of the slow subnormal numbers.
    x += np.float32(1e-30)
    x = x.reshape(len(x), -1)
    decay = np.float32(np.exp(-leak))
    v = np.zeros((n_thresholds, x.shape[1]), dtype=np.float32)
    flat = v.reshape(-1)
    over = np.empty(v.shape, dtype=bool)
    over_flat = over.reshape(-1)
    barrier = np.repeat(v_th.astype(np.float32)[:, None], v.shape[1], axis=1)
    recent = [np.empty(0, dtype=np.int64)] * max(held, 1)
    alive = counts[trials]
    spike_cells, spike_steps = [], []
    for t in range(n_steps):
        frame, part = divmod(t / ratio, 1)
        frame = int(frame)
        drive = x[frame]
        if part:
            drive = drive + np.float32(part) * (x[frame + 1] - drive)
        v *= decay
        v += drive
        if held:
            flat[np.concatenate(recent)] = 0
        np.greater_equal(v, barrier, out=over)
        cells = np.flatnonzero(over_flat)
        flat[cells] = 0
        recent[t % len(recent)] = cells
        if len(cells):
            spike_cells.append(cells)
            spike_steps.append(t)
    if not spike_cells:
        return (np.empty(0, np.int64),) * 3
    cell = np.concatenate(spike_cells)
    step = np.repeat(spike_steps, [len(c) for c in spike_cells])
    k, rest = np.divmod(cell, len(trials) * n_bands)
    row, band = np.divmod(rest, n_bands)
    inside = step < alive[row]
    unit = band * n_thresholds + k
    key = ((row * n_steps + step) * (n_bands * n_thresholds) + unit)[inside]
    key.sort()
    key, unit = np.divmod(key, n_bands * n_thresholds)
    row, step = np.divmod(key, n_steps)
    return row, step, unit


def _pool(values, n_bands, where):
    """Average neighbouring bands down to n_bands, sharing a band that lies on an edge."""
    have = values.shape[1]
    if values.size and (values.min() < 0 or values.max() > 1):
        raise ValueError(
            f"{where}: frames hold values from {values.min():g} to {values.max():g}. Thresholds "
            f"refer to loudness from 0 to 1. Make the frames with log_mel, or scale them."
        )
    if n_bands == have:
        return values
    if n_bands > have:
        raise ValueError(
            f"{where}: n_bands={n_bands} but the frames have {have}. Bands can be pooled, not "
            f"divided. Use n_bands={have} or fewer."
        )
    edge = np.arange(n_bands + 1) * (have / n_bands)
    band = np.arange(have)[:, None]
    share = np.minimum(band + 1, edge[1:]) - np.maximum(band, edge[:-1])
    weights = np.clip(share, 0, None) * (n_bands / have)
    return np.clip(values @ weights.astype(np.float32), 0, 1)


def _thresholds(thresholds, n, where):
    ends = np.asarray(thresholds, dtype=float)
    if ends.shape != (2,) or not 0 < ends[0] <= ends[1] < 1:
        raise ValueError(
            f"{where}: thresholds must be two numbers 0 < low <= high < 1, got {thresholds!r}. The "
            f"drive of a cell lies between 0 and 1. Write for example thresholds=(0.25, 0.95)."
        )
    return np.linspace(*ends, n) if n > 1 else ends.mean(keepdims=True)
