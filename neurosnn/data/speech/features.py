"""Speech features and frame labels, shared by the readers of phone-labelled speech."""

import numpy as np
from brian2.units import ms, second

from neurosnn.core.optional import import_optional
from neurosnn.data.checks import positive_int, seconds
from neurosnn.data.locations import bad_file


def mfcc_features(samples, rate, *, window=25 * ms, hop=10 * ms, n_mfcc=13):
    """Mel-frequency cepstral coefficients with first and second time derivatives.

    ``n_mfcc`` coefficients of a Hann window centred on multiples of ``hop``, then their first and
    second derivatives (a local line or parabola over nine frames), by the optional librosa.

    Parameters
    ----------
    samples : numpy.ndarray of float (n,)
    rate : int
        Samples a second.
    window, hop : Quantity [s]
    n_mfcc : int

    Returns
    -------
    numpy.ndarray of float32 (n // hop + 1, 3 * n_mfcc)

    Raises
    ------
    ImportError
        librosa is not installed.
    ValueError
        Window or hop is not a time, or the recording is shorter than nine frames.
    """
    where = "mfcc_features"
    n_mfcc = positive_int(n_mfcc, "n_mfcc", where=where)
    step = int(round(seconds(hop, "hop", where=where) * rate))
    width = int(round(seconds(window, "window", where=where) * rate))
    librosa = import_optional("librosa", where=where)
    if len(samples) // step + 1 < 9:
        raise ValueError(
            f"{where}: the recording has {len(samples)} samples, {len(samples) // step + 1} "
            f"frames. Derivatives are taken over nine. Leave it out or use a shorter hop."
        )
    static = librosa.feature.mfcc(
        y=np.asarray(samples, dtype=np.float32),
        sr=rate,
        n_mfcc=n_mfcc,
        n_fft=1 << (width - 1).bit_length(),
        win_length=width,
        hop_length=step,
    )
    parts = [static, *(librosa.feature.delta(static, order=k, mode="nearest") for k in (1, 2))]
    return np.concatenate(parts).T.astype(np.float32)


def parse_phn(data, n_samples, path):
    """Start, end and phone of each segment of a .PHN file.

    Parameters
    ----------
    data : bytes
        Lines "start end phone" in samples.
    n_samples : int
        Length of the recording.
    path : str
        For messages.

    Returns
    -------
    list of (int, int, str)

    Raises
    ------
    ValueError
        A line has another form, segments run backwards, or they end far beyond the recording.
    """
    segments = []
    for number, line in enumerate(data.decode("ascii", "replace").splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or not fields[0].isdigit() or not fields[1].isdigit():
            raise bad_file(
                path,
                f"line {number} is {line!r}",
                "A line has the form 'start end phone', in samples.",
                "Check that it is the .PHN file.",
            )
        start, end = int(fields[0]), int(fields[1])
        if end < start or (segments and start < segments[-1][1]):
            raise bad_file(
                path,
                f"line {number} starts at {start} and ends at {end}, before the one above ends",
                "Segments follow each other.",
                "Get the file again.",
            )
        segments.append((start, end, fields[2].lower()))
    if not segments:
        raise bad_file(
            path, "holds no segment", "Every frame needs a phone.", "Get the file again."
        )
    if segments[-1][1] > 2 * n_samples:
        raise bad_file(
            path,
            f"ends at sample {segments[-1][1]} of a recording of {n_samples}",
            "Its times are in samples of that recording.",
            "Check that recording and labels belong together and have one sample rate.",
        )
    return segments


def frame_labels(segments, n_frames, step):
    """The phone at the centre ``k * step`` of each frame; None where no segment is.

    Parameters
    ----------
    segments : list of (int, int, str)
    n_frames : int
    step : int
        Samples from frame to frame.

    Returns
    -------
    list of str or None
    """
    starts = np.array([s[0] for s in segments])
    centres = np.arange(n_frames) * step
    at = np.searchsorted(starts, centres, side="right") - 1
    last = len(segments) - 1
    # The last phone holds to the end: the last frame is centred on the last sample or after it.
    return [
        segments[i][2] if i >= 0 and (i == last or c < segments[i][1]) else None
        for i, c in zip(at, centres, strict=True)
    ]


def hop_seconds(step, rate):
    """The time between frames as a Quantity."""
    return step / rate * second
