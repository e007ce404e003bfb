"""Google Speech Commands: one-second recordings of single words, with their official split."""

import re
from collections.abc import Sequence
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from brian2.units import Hz, Quantity, ms

from neurosnn.core.messages import did_you_mean, message, warn
from neurosnn.data.locations import Folder, bad_file, find_root, read_wave
from neurosnn.data.speech.cached import encode_cached
from neurosnn.data.spike_trials import SpikeTrials

PARTS = ("train", "valid", "test")
RATE = 16000
#: Samples of a recording at most; many are a little shorter.
LONGEST = 16000
NOISE = "_background_noise_"
_LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
_NAME = re.compile(r"([0-9a-z]+)_nohash_\d+\.wav")
_HOW = (
    "People download speech_commands_v0.02.tar.gz (2.3 GB) from download.tensorflow.org/data or "
    "through torchaudio, and unpack it: a folder a word, validation_list.txt and testing_list.txt."
)
_FOLDERS = ("speech_commands", "speech_commands_v0.02", "SpeechCommands/speech_commands_v0.02")


class SpokenWords(NamedTuple):
    """Recordings of one part of the split.

    Attributes
    ----------
    waves : sequence of numpy.ndarray of float32
        Samples from -1 to 1, 16000 at most; each is read and checked when it is asked for.
    sample_rate : Quantity [Hz]
        16 kHz.
    word, speaker : numpy.ndarray of int64 (n,)
        What was said, and by whom.
    words : tuple of str
        Name of each word number.
    speaker_names : tuple of str
        Code of each speaker number, the same in all parts.
    names : tuple of str
        "word/file" of each recording.
    """

    waves: Sequence[np.ndarray]
    sample_rate: Quantity
    word: np.ndarray
    speaker: np.ndarray
    words: tuple[str, ...]
    speaker_names: tuple[str, ...]
    names: tuple[str, ...]


class _Waves(Sequence):
    """Recordings of a folder; the whole data set would not fit the memory of many computers."""

    def __init__(self, folder: Folder, files: Sequence[str], padded: bool = False):
        self._folder, self._files, self._padded = folder, tuple(files), padded

    def padded(self) -> "_Waves":
        """The same, silent to the end of the second."""
        return _Waves(self._folder, self._files, True)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return _Waves(self._folder, self._files[k], self._padded)
        file = self._files[k]
        path = self._folder.full(file)
        samples, rate = read_wave(self._folder.read(file), path, where="read_speech_commands")
        if rate != RATE or len(samples) > LONGEST:
            raise bad_file(
                path,
                f"has {len(samples)} samples at {rate} a second",
                f"Recordings of this set have {LONGEST} at most, at {RATE} a second.",
                "Get the file again, or resample and cut it.",
            )
        return np.pad(samples, (0, LONGEST - len(samples))) if self._padded else samples


def read_speech_commands_waves(
    root: str | PathLike[str] | None = None, *, words: Sequence[str] | None = None
) -> tuple[SpokenWords, SpokenWords, SpokenWords]:
    """Find the recordings of Speech Commands by word, speaker and official part.

    Parameters
    ----------
    root : str, path-like or None
        Folder or zip archive with a folder a word, ``validation_list.txt`` and ``testing_list.txt``;
        None: ``speech_commands``, ``speech_commands_v0.02`` or that of torchaudio in the folder of the
        environment variable NEUROSNN_DATA.
    words : sequence of str or None
        Which words, in the order of their classes; None: all, in that of the alphabet. The long
        recordings in ``_background_noise_`` are no words and never read.

    Returns
    -------
    train, valid, test : SpokenWords
        Recordings sorted by word and file name. What neither list names is the training part.

    Raises
    ------
    FileNotFoundError
        The folder, a list, or the folder of a word is missing, or no word is there.
    ValueError
        A file has another name than ``speaker_nohash_number.wav``, a speaker is in two parts, or words
        are named twice. When a recording is read: it is empty, no 16 kHz mono wav, or longer
        than a second.

    Warns
    -----
    UserWarning
        Listed recordings of the words are missing: a part of the set, or an incomplete download.

    Notes
    -----
    Recordings are read when they are asked for: 64 kB each. The lists follow from a hash of the speaker's
    code, so that nobody is in two parts.

    References
    ----------
    Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv:1804.03209 (2018).
    """
    where = "read_speech_commands"
    path = find_root(root, _FOLDERS, where=where, how=_HOW)
    folder = Folder(path)
    files = folder.names()
    listed = {part: _listed(folder, files, name, where) for part, name in _LISTS.items()}
    # A zip archive may have everything in a folder of its own.
    above = next(n for n in files if n.rpartition("/")[2] == _LISTS["test"])
    above = above.removesuffix(_LISTS["test"])
    found: dict[str, list[str]] = {}
    for name in files:
        word, slash, file = name.removeprefix(above).partition("/")
        if name.startswith(above) and slash and word != NOISE and file.endswith(".wav"):
            found.setdefault(word, []).append(file)
    if not found:
        raise FileNotFoundError(
            message("no WORD/NAME.wav is there.", f"{where}, {path}", "Folders name words.", _HOW)
        )
    chosen = _chosen(words, found, where, path)
    rows: dict[str, list[tuple[int, str, str]]] = {part: [] for part in PARTS}
    for k, word in enumerate(chosen):
        for file in sorted(found[word]):
            match = _NAME.fullmatch(file)
            if match is None:
                raise bad_file(
                    folder.full(f"{above}{word}/{file}"),
                    "has a name of another form than speaker_nohash_number.wav",
                    "Who spoke is read from it.",
                    "Take the file out of the folder, or give it such a name.",
                )
            name = f"{word}/{file}"
            part = next((part for part, names in listed.items() if name in names), "train")
            rows[part].append((k, match[1], name))
    _check_speakers(rows, where, path)
    there = {name for part in PARTS for _, _, name in rows[part]}
    for part, names in listed.items():
        wanted = {name for name in names if name.partition("/")[0] in chosen}
        if missing := wanted - there:
            warn(
                message(
                    f"{len(missing)} of {len(wanted)} recordings of {_LISTS[part]} are missing.",
                    f"{where}, {path}",
                    "Results on a part cannot be compared with those on the whole.",
                    f"Unpack the archive again, or say that it is a part. {_HOW}",
                )
            )
    speakers = tuple(sorted({speaker for part in PARTS for _, speaker, _ in rows[part]}))
    number = {speaker: k for k, speaker in enumerate(speakers)}
    train, valid, test = (
        SpokenWords(
            waves=_Waves(folder, [above + name for *_, name in rows[part]]),
            sample_rate=RATE * Hz,
            word=np.array([k for k, *_ in rows[part]], dtype=np.int64),
            speaker=np.array([number[speaker] for _, speaker, _ in rows[part]], dtype=np.int64),
            words=chosen,
            speaker_names=speakers,
            names=tuple(name for *_, name in rows[part]),
        )
        for part in PARTS
    )
    return train, valid, test


def read_speech_commands(
    root: str | PathLike[str] | None = None,
    *,
    words: Sequence[str] | None = None,
    cache: str | PathLike[str] | None = None,
    **settings: Any,
) -> tuple[SpikeTrials, SpikeTrials, SpikeTrials]:
    """Speech Commands as spikes of the cochlea-like encoder, with the official split.

    Parameters
    ----------
    root : str, path-like or None
        As for `read_speech_commands_waves`.
    words : sequence of str or None
        Which words, in the order of their classes; None: all.
    cache : str, path-like or None
        As ``folder`` of `encode_cached`: each part is encoded once.
    **settings : Any
        Handed to `encode_cochlea`, such as ``n_bands``. ``hop`` is 5 ms if nothing else is said, which
        takes a seventh of the time of its 1 ms.

    Returns
    -------
    train, valid, test : SpikeTrials
        Shorter recordings are silent to the end of their second, so that all trials last 1001 ms.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_speech_commands_waves` and `encode_cochlea`.

    Notes
    -----
    About 2 ms a recording the first time, and 0.2 ms later, with ``hop=5*ms``.

    Examples
    --------
    >>> from neurosnn import data
    >>> train, valid, test = data.read_speech_commands(words=["left", "right"])  # doctest: +SKIP
    """
    trials = []
    for part, recordings in zip(PARTS, read_speech_commands_waves(root, words=words), strict=True):
        if not len(recordings.word):
            raise FileNotFoundError(
                message(
                    f"no recording of these words is in the {part} part.",
                    "read_speech_commands",
                    "Each part needs some.",
                    f"Name other words, or use read_speech_commands_waves. {_HOW}",
                )
            )
        trials.append(
            encode_cached(
                recordings.waves.padded(),
                recordings.sample_rate,
                folder=cache,
                labels=recordings.word,
                class_names=recordings.words,
                speaker=recordings.speaker,
                speaker_names=recordings.speaker_names,
                name=f"speech_commands {part}",
                **{"hop": 5 * ms, **settings},
            )
        )
    train, valid, test = trials
    return train, valid, test


def _listed(folder: Folder, files: Sequence[str], name: str, where: str) -> frozenset[str]:
    """The recordings that a list names."""
    found = [file for file in files if file.rpartition("/")[2] == name]
    if not found:
        raise FileNotFoundError(
            message(
                f"{name} is not there.",
                f"{where}, {folder.path}",
                "The official split is read from it.",
                _HOW,
            )
        )
    return frozenset(folder.read(found[0]).decode("utf-8", "replace").split())


def _chosen(
    words: Sequence[str] | None, found: dict[str, list[str]], where: str, path: Any
) -> tuple[str, ...]:
    """The words, in the order of their classes."""
    if words is None:
        return tuple(sorted(found))
    chosen = (words,) if isinstance(words, str) else tuple(words)
    if len(set(chosen)) != len(chosen) or not chosen:
        raise ValueError(
            message(
                f"words are named twice, or none is: {', '.join(map(str, chosen))}.",
                where,
                "Each is a class of its own.",
                "Name every word once.",
            )
        )
    for word in chosen:
        if word not in found:
            raise FileNotFoundError(
                message(
                    f"there is no folder {word!r} with recordings.",
                    f"{where}, {path}",
                    "A word is the name of its folder.",
                    f"{did_you_mean(str(word), found)} {_HOW}",
                )
            )
    return chosen


def _check_speakers(rows: dict[str, list[tuple[int, str, str]]], where: str, path: Any) -> None:
    """Nobody is heard in two parts."""
    part_of: dict[str, str] = {}
    for part in PARTS:
        for _, speaker, name in rows[part]:
            other = part_of.setdefault(speaker, part)
            if other != part:
                raise ValueError(
                    message(
                        f"the speaker of {name} is heard in the parts {other} and {part}.",
                        f"{where}, {path}",
                        "The official lists keep speakers apart; a test on known voices is another task.",
                        f"Get {' and '.join(_LISTS.values())} again.",
                    )
                )
