"""The embedded spoken digits: 3000 recordings of six speakers as spikes of 64 to 700 channels."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from brian2.units import second

from neurosnn.data.checks import choice, fraction
from neurosnn.data.frame_trials import FrameTrials
from neurosnn.data.locations import read_npz
from neurosnn.data.speech.cochlea import encode_cochlea
from neurosnn.data.speech.endpoints import trim_quiet
from neurosnn.data.speech.equalize import equalize_bands
from neurosnn.data.spike_trials import SpikeTrials

_RECORDINGS_A_DIGIT = 50
_TEST_INDICES = 5
_NUMBERS = ("frame_differences", "lengths", "n_levels", "hop_seconds")


def _read(names, texts=()):
    """Arrays of the embedded file."""
    with as_file(files("neurosnn.data.speech") / "spoken_digits.npz") as path:
        return read_npz(path, names, texts=texts)


def _speakers():
    """Number of the speaker of each recording, and the speakers' names."""
    stored = _read(("speaker",), texts=("speaker_names",))
    return stored["speaker"].astype(np.int64), tuple(stored["speaker_names"].tolist())


def spoken_digit_frames() -> FrameTrials:
    """The embedded log-mel frames of the 3000 Free Spoken Digit recordings.

    Loudness in 70 mel bands every 5 ms, 0 to 1 over the loudest 45 dB, in 24 levels. Trials are
    sorted by digit, speaker and index; `spoken_digit_labels` tells them apart.

    Returns
    -------
    FrameTrials
        No frame labels; ``speaker`` and ``speaker_names`` set.

    Examples
    --------
    >>> from neurosnn.data import spoken_digit_frames
    >>> spoken_digit_frames()
    FrameTrials 'spoken_digits': 3000 trials, no labels, 70 channels, 29 to 457 frames of 5 ms
    """
    stored = _read(_NUMBERS)
    speaker, speaker_names = _speakers()
    # Stored as differences along time, modulo 256: a fifth smaller after compression.
    levels = np.cumsum(stored["frame_differences"], axis=0, dtype=np.uint8)
    return FrameTrials(
        features=levels * np.float32(1 / int(stored["n_levels"] - 1)),
        offsets=np.append(0, np.cumsum(stored["lengths"], dtype=np.int64)),
        frame=float(stored["hop_seconds"]) * second,
        speaker=speaker,
        speaker_names=speaker_names,
        name="spoken_digits",
    )


def spoken_digit_labels() -> tuple[np.ndarray, np.ndarray]:
    """Digit and index of each embedded recording.

    Returns
    -------
    digit : numpy.ndarray of int64 (3000,)
    index : numpy.ndarray of int64 (3000,)
        0 to 49 within each digit and speaker; 0 to 4 are the official test recordings.
    """
    k = np.arange(10 * 6 * _RECORDINGS_A_DIGIT)
    return k // (6 * _RECORDINGS_A_DIGIT), k % _RECORDINGS_A_DIGIT


def spoken_digits(
    split: str = "official",
    *,
    n_bands: int = 70,
    n_thresholds: int = 10,
    equalize: float = 0.0,
    trim: float = 0.0,
    speakers: Sequence[str] | None = None,
    test_speaker: str | None = None,
) -> tuple[SpikeTrials, SpikeTrials]:
    """Real spoken digits as spike trials, embedded in the package.

    The Free Spoken Digit Dataset (CC BY-SA 4.0): six speakers, ten digits, 50 recordings each,
    through `encode_cochlea`. A small task of the kind of the Heidelberg digits; its numbers are not
    SHD numbers.

    Parameters
    ----------
    split : {"official", "speaker"}
        "official": recordings 0 to 4 of each digit and speaker are the test set (300), 5 to 49 the
        training set (2700). "speaker": all recordings of ``test_speaker`` are the test set.
    n_bands : int
        1 to 70 mel bands; fewer pool neighbours.
    n_thresholds : int
        Cells a band. ``n_bands * n_thresholds`` channels: 700 by default, 64 with
        ``n_bands=64, n_thresholds=1``.
    equalize : float
        0 to 1: how far `equalize_bands` moves the mean spectrum of every recording towards that of
        the training recordings before it is encoded. Helps with unknown voices.
    trim : float
        0 to 1: threshold of `trim_quiet`, which cuts what is quiet before and after the word, before
        all else. 0 cuts nothing.
    speakers : sequence of str or None
        Keep these speakers only: george, jackson, lucas, nicolas, theo, yweweler.
    test_speaker : str or None
        For ``split="speaker"``; "theo" if None.

    Returns
    -------
    train, test : SpikeTrials
        ``speaker`` numbers ``speaker_names``.

    Raises
    ------
    ValueError
        An unknown split or speaker, ``equalize`` or ``trim`` outside 0..1, ``test_speaker`` with the official
        split, or no speaker left to train on.

    Notes
    -----
    The first call takes two to three seconds, a repeated one a moment (the last two encodings are
    kept in memory). No random number is involved. The frames are stored every 5 ms; against frames
    every 1 ms the number of spikes differs by 0.2 % on average, and 90 % of spikes have a partner
    within 2 ms.

    Examples
    --------
    >>> from neurosnn.data import spoken_digits
    >>> train, test = spoken_digits(n_bands=16, n_thresholds=4)
    >>> len(train), len(test), train.n_channels
    (2700, 300, 64)
    """
    where = "spoken_digits"
    choice(split, "split", ("official", "speaker"), where=where)
    if split == "official" and test_speaker is not None:
        raise ValueError(
            f"{where}: test_speaker={test_speaker!r} with split='official'. The official split has "
            f"every speaker on both sides. Use split='speaker'."
        )
    speaker, names = _speakers()
    keep = np.ones(len(speaker), dtype=bool)
    if speakers is not None:
        if isinstance(speakers, str):
            speakers = (speakers,)
        for name in speakers:
            choice(name, "speakers", names, where=where)
        keep = np.isin(speaker, [names.index(name) for name in speakers])
    if split == "official":
        test = spoken_digit_labels()[1] < _TEST_INDICES
    else:
        test_speaker = choice(test_speaker or "theo", "test_speaker", names, where=where)
        test = speaker == names.index(test_speaker)
    if not np.any(keep & test) or not np.any(keep & ~test):
        raise ValueError(
            f"{where}: speakers={speakers!r} with split={split!r} and test_speaker="
            f"{test_speaker!r} leaves one side empty. Both are needed. Name more speakers."
        )
    equalize = fraction(equalize, "equalize", where=where)
    train = tuple(np.flatnonzero(keep & ~test)) if equalize else None
    trim = fraction(trim, "trim", where=where)
    trials = _encoded(n_bands, n_thresholds, equalize, trim, train)
    return trials.select(keep & ~test), trials.select(keep & test)


@lru_cache(maxsize=2)
def _encoded(n_bands, n_thresholds, equalize, trim, train):
    frames = spoken_digit_frames()
    if trim:
        frames = trim_quiet(frames, trim)
    if equalize:
        _, frames = equalize_bands(frames[list(train)], frames, strength=equalize)
    return encode_cochlea(
        frames,
        labels=spoken_digit_labels()[0],
        n_bands=n_bands,
        n_thresholds=n_thresholds,
        class_names=tuple("0123456789"),
    )
