"""From sound to loudness: log-mel frames."""

from collections.abc import Sequence

import numpy as np
from brian2.units import Hz, Quantity, ms, second
from numpy.typing import ArrayLike

from neurosnn.data.checks import hertz, positive_int, seconds
from neurosnn.data.frame_trials import FrameTrials


def log_mel(
    sound: ArrayLike | Sequence[ArrayLike],
    sample_rate: Quantity,
    *,
    n_bands: int = 70,
    hop: Quantity = 1 * ms,
    window: Quantity = 25 * ms,
    pre_emphasis: float = 0.95,
    dynamic_range: float = 45.0,
    f_min: Quantity = 50 * Hz,
    f_max: Quantity | None = None,
    name: str = "",
) -> FrameTrials:
    """Loudness in mel bands over time, from 0 (silent) to 1 (the loudest point of the recording).

    ``y[n] = s[n] - pre_emphasis s[n-1]``, then the power P of Hann windows centred on multiples of
    ``hop``, summed in triangular bands with equal steps on the mel scale
    ``m(f) = 2595 log10(1 + f / 700 Hz)``, then
    ``x = clip(1 + (10 log10 P - max) / dynamic_range, 0, 1)`` with the maximum over the recording.

    Parameters
    ----------
    sound : array_like (n,) or list of array_like
        One recording or several, mono; integers are taken as they are (the scale cancels).
    sample_rate : Quantity [Hz]
        Samples a second.
    n_bands : int
        Number of mel bands.
    hop, window : Quantity [s]
        From frame to frame, and length of a frame.
    pre_emphasis : float
        Share of the last sample that is taken off.
    dynamic_range : float
        Decibels below the maximum that map to 0.
    f_min, f_max : Quantity [Hz]
        Lowest and highest edge of the bands. None: half the sample rate.
    name : str
        Name of the data, used in messages.

    Returns
    -------
    FrameTrials
        ``n // hop + 1`` frames a recording, ``frame=hop``, no labels.

    Raises
    ------
    ValueError
        A recording that is empty, not mono or not finite; a rate or time in other units; bands
        narrower than the resolution of the window.

    Notes
    -----
    About 20 s for 1300 s of sound at 8 kHz and 1 ms hop.

    Examples
    --------
    >>> import numpy as np
    >>> from brian2.units import Hz, ms
    >>> from neurosnn.data import log_mel
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000)
    >>> frames = log_mel(tone, 8000*Hz, n_bands=20, hop=10*ms)
    >>> int(frames.features[25].argmax())
    8
    """
    where = "log_mel"
    rate = hertz(sample_rate, "sample_rate", where=where)
    n_bands = positive_int(n_bands, "n_bands", where=where)
    step = int(round(seconds(hop, "hop", where=where) * rate))
    width = int(round(seconds(window, "window", where=where) * rate))
    if step < 1 or width < 2:
        raise ValueError(
            f"{where}: hop={hop} and window={window} are {step} and {width} samples at "
            f"{rate:g} Hz. At least 1 and 2 are needed. Use longer ones."
        )
    if not np.isfinite(dynamic_range) or dynamic_range <= 0:
        raise ValueError(
            f"{where}: dynamic_range must be greater than 0 dB, got {dynamic_range!r}. It is the "
            f"span of loudness that is heard. Write for example dynamic_range=45."
        )
    low = hertz(f_min, "f_min", where=where)
    high = rate / 2 if f_max is None else hertz(f_max, "f_max", where=where)
    n_fft = 1 << (2 * width - 1).bit_length()
    bank = _mel_bank(n_bands, n_fft, rate, low, high, where)
    hann = np.hanning(width).astype(np.float32)
    frames = []
    for k, wave in enumerate(_recordings(sound, where)):
        wave = np.append(wave[:1], wave[1:] - np.float32(pre_emphasis) * wave[:-1])
        n = len(wave) // step + 1
        wave = np.pad(wave, (width // 2, width + step))
        windows = np.lib.stride_tricks.sliding_window_view(wave, width)[::step][:n] * hann
        power = np.abs(np.fft.rfft(windows, n_fft, axis=1)).astype(np.float32) ** 2 @ bank
        peak = power.max()
        if not np.isfinite(peak):
            raise ValueError(
                f"{where}: recording {k} is not finite. Its spectrum cannot be computed. Check "
                f"how it was read."
            )
        if peak == 0:
            frames.append(np.zeros((n, n_bands), dtype=np.float32))
            continue
        floor = 10.0 ** (-dynamic_range / 10)
        frames.append(1 + 10 / dynamic_range * np.log10(np.maximum(power / peak, floor)))
    return FrameTrials(
        features=np.clip(np.concatenate(frames), 0, 1),
        offsets=np.append(0, np.cumsum([len(f) for f in frames])),
        frame=step / rate * second,
        name=name,
    )


def _recordings(sound, where):
    """The recordings as float32 arrays, each checked."""
    many = isinstance(sound, list | tuple) and len(sound) and np.ndim(sound[0]) > 0
    many = list(sound) if many else [sound]
    for k, wave in enumerate(many):
        wave = np.asarray(wave)
        if wave.ndim != 1 or wave.dtype.kind not in "fiu" or len(wave) == 0:
            raise ValueError(
                f"{where}: recording {k} has shape {wave.shape} of {wave.dtype}. A recording is a "
                f"one-dimensional array of at least one sample. Average stereo channels, and leave "
                f"out empty files."
            )
        yield wave.astype(np.float32)


def _mel_bank(n_bands, n_fft, rate, low, high, where):
    """Triangular filters (n_fft // 2 + 1, n_bands)."""
    if not low < high <= rate / 2:
        raise ValueError(
            f"{where}: bands from {low:g} to {high:g} Hz do not fit a sample rate of {rate:g} Hz. "
            f"They must rise and stay below half of it. Change f_min or f_max."
        )
    ends = 2595 * np.log10(1 + np.array([low, high]) / 700)
    edge = 700 * (10 ** (np.linspace(*ends, n_bands + 2) / 2595) - 1)
    f = np.arange(n_fft // 2 + 1)[:, None] * rate / n_fft
    rise = (f - edge[:-2]) / np.diff(edge)[:-1]
    fall = (edge[2:] - f) / np.diff(edge)[1:]
    bank = np.clip(np.minimum(rise, fall), 0, None)
    if not bank.any(axis=0).all():
        raise ValueError(
            f"{where}: n_bands={n_bands} from {low:g} to {high:g} Hz is finer than the window can "
            f"resolve. Some bands would stay silent. Use fewer bands or a longer window."
        )
    return bank.astype(np.float32)
