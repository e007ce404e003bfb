"""Free Spoken Digit Dataset: the original recordings, from a folder or a zip archive."""

import re
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from brian2.units import Hz, Quantity

from neurosnn.data.locations import Folder, bad_file, find_root, read_wave
from neurosnn.data.speech.cochlea import encode_cochlea
from neurosnn.data.spike_trials import SpikeTrials

_NAME = re.compile(r"(?:.*/)?(\d)_([A-Za-z]+)_(\d+)\.wav$")
_HOW = "Clone github.com/Jakobovski/free-spoken-digit-dataset (16 MB)."


class Recordings(NamedTuple):
    """Recordings as arrays.

    Attributes
    ----------
    waves : list of numpy.ndarray of float32
        Samples from -1 to 1.
    sample_rate : Quantity [Hz]
        Of all of them.
    digit, speaker, index : numpy.ndarray of int64 (n,)
        What was said, by whom, and which time.
    speaker_names : tuple of str
        Name of each speaker number.
    """

    waves: list
    sample_rate: Quantity
    digit: np.ndarray
    speaker: np.ndarray
    index: np.ndarray
    speaker_names: tuple


def read_fsdd_waves(root: str | PathLike[str] | None = None) -> Recordings:
    """Read the recordings ``{digit}_{speaker}_{index}.wav`` below a folder or in a zip archive.

    Parameters
    ----------
    root : str, path-like or None
        Folder or .zip; None: ``fsdd`` in the folder of the environment variable NEUROSNN_DATA.

    Returns
    -------
    Recordings
        Sorted by digit, speaker and index; samples float32 from -1 to 1.

    Raises
    ------
    FileNotFoundError
        The folder is missing or holds no such recording.
    ValueError
        A recording is empty, no wav file, or has another sample rate than the others.
    """
    where = "read_fsdd"
    path = find_root(root, ("fsdd/fsdd_wav.zip", "fsdd"), where=where, how=_HOW)
    recordings = []
    with Folder(path) as folder:
        for name in folder.names():
            if match := _NAME.match(name):
                recordings.append((int(match[1]), match[2], int(match[3]), name))
        if not recordings:
            raise FileNotFoundError(
                f"{where}: no digit_speaker_index.wav is in {path}. The digit and the speaker are "
                f"read from the file name. {_HOW}"
            )
        recordings.sort()
        waves, rates = [], []
        for *_, name in recordings:
            samples, rate = read_wave(folder.read(name), folder.full(name), where=where)
            if rates and rate != rates[0]:
                raise bad_file(
                    folder.full(name),
                    f"has {rate} samples a second, the others {rates[0]}",
                    "One encoder serves all recordings.",
                    "Resample it.",
                )
            waves.append(samples)
            rates.append(rate)
    speaker_names = tuple(sorted({f[1] for f in recordings}))
    return Recordings(
        waves=waves,
        sample_rate=rates[0] * Hz,
        digit=np.array([f[0] for f in recordings]),
        speaker=np.array([speaker_names.index(f[1]) for f in recordings]),
        index=np.array([f[2] for f in recordings]),
        speaker_names=speaker_names,
    )


def read_fsdd(
    root: str | PathLike[str] | None = None, **settings: Any
) -> tuple[SpikeTrials, SpikeTrials]:
    """The Free Spoken Digit Dataset from its recordings, at full time resolution.

    The same task as `spoken_digits`, but with mel frames every 1 ms instead of every 5 ms, and
    with every setting of the encoder open. Takes half a minute.

    Parameters
    ----------
    root : str, path-like or None
        Folder or .zip; None: ``fsdd`` in the folder of the environment variable NEUROSNN_DATA.
    **settings : Any
        Handed to `encode_cochlea`.

    Returns
    -------
    train, test : SpikeTrials
        The official split: index 0 to 4 is the test set.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_fsdd_waves` and `encode_cochlea`.
    """
    recordings = read_fsdd_waves(root)
    trials = encode_cochlea(
        recordings.waves,
        recordings.sample_rate,
        labels=recordings.digit,
        speaker=recordings.speaker,
        **{
            "class_names": tuple("0123456789"),
            "speaker_names": recordings.speaker_names,
            "name": "fsdd",
            **settings,
        },
    )
    test = recordings.index < 5
    return trials.select(~test), trials.select(test)
