"""LibriSpeech with phone alignments, as frames."""

import re
from os import PathLike

import numpy as np
from brian2.units import Quantity, ms

from neurosnn.data.checks import seconds
from neurosnn.data.frame_trials import FrameTrials, standardize
from neurosnn.data.locations import Folder, bad_file, find_root, read_wave
from neurosnn.data.speech.alignments import parse_ctm, parse_textgrid, plain_phone
from neurosnn.data.speech.features import frame_labels, hop_seconds, mfcc_features

_UTTERANCE = re.compile(r"(?:^|/)(\d+)-(\d+)-(\d+)\.(flac|wav)$", re.IGNORECASE)
_HOW = (
    "LibriSpeech comes from www.openslr.org/12: train-clean-100, dev-clean and test-clean, with "
    "SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac in them. Phone labels are not part of it: people "
    "run the Montreal Forced Aligner and keep its TextGrid files, or use a Kaldi CTM of phones."
)


def read_librispeech(
    root: str | PathLike[str] | None = None,
    *,
    alignments: str | PathLike[str] | None = None,
    parts: tuple[str, str, str] = ("train-clean-100", "dev-clean", "test-clean"),
    window: Quantity = 25 * ms,
    hop: Quantity = 10 * ms,
    n_mfcc: int = 13,
) -> tuple[FrameTrials, FrameTrials, FrameTrials]:
    """LibriSpeech as frames of MFCC features with one phone a frame.

    Parameters
    ----------
    root : str, path-like or None
        Folder or zip archive that holds the parts, at any depth; None: ``LibriSpeech`` in the folder
        of the environment variable NEUROSNN_DATA.
    alignments : str, path-like or None
        Folder or zip archive with, at any depth, one SPEAKER-CHAPTER-NUMBER.TextGrid an utterance, or
        .ctm files of many; None: in `root`.
    parts : tuple of three str
        Folders of the training, validation and test part.
    window, hop : Quantity [s]
        Length of a frame, and from frame to frame.
    n_mfcc : int
        Coefficients a frame; with both derivatives there are ``3 * n_mfcc`` channels.

    Returns
    -------
    train, valid, test : FrameTrials
        Utterances that have an alignment. Classes are the phones of the alignments without stress
        and word position, and "sil"; unknown words (spn) are not scored (label -1). All
        features are z-scored with the training statistics.

    Raises
    ------
    FileNotFoundError
        A part has no recording, or no recording of a part has an alignment.
    ImportError
        librosa or soundfile is not installed.
    ValueError
        A recording or an alignment is damaged.

    Notes
    -----
    Frame k is centred on ``k * hop``. Everything is read into memory: 100 hours are 36 million
    frames, 5.6 GB with 39 channels; pass smaller parts for less. Kaldi archives of alignments are
    not read: write them as CTM with ``ali-to-phones --ctm-output``.
    """
    where = "read_librispeech"
    path = find_root(root, ("LibriSpeech", "librispeech"), where=where, how=_HOW)
    beside = path if alignments is None else find_root(alignments, (), where=where, how=_HOW)
    with Folder(path) as sounds, Folder(beside) as labels:
        intervals = _Intervals(labels)
        rows: dict = {part: [] for part in parts}
        for name in sounds.names():
            match, folder = _UTTERANCE.search(name), set(name.split("/")[:-1])
            part = next((part for part in parts if part in folder), None)
            if match is None or part is None:
                continue
            utterance = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
            aligned = intervals.of(utterance)
            rows[part].append((utterance, match[1], name, aligned))
        read = {
            part: [
                _read_recording(sounds, row, window, hop, n_mfcc, where)
                for row in rows[part]
                if row[3]
            ]
            for part in parts
        }
    for part in parts:
        if not read[part]:
            lacking = (
                f"none of the {len(rows[part])} recordings of {part} has an alignment in {beside}"
                if rows[part]
                else f"no recording of {part} is in {path}"
            )
            raise FileNotFoundError(
                f"{where}: {lacking}. Each of the three parts needs labelled frames. {_HOW}"
            )
    phones = tuple(sorted({p for part in parts for r in read[part] for p in r[1] if p is not None}))
    speakers = tuple(sorted({r[2] for part in parts for r in read[part]}, key=int))
    return standardize(*(_trials(read[part], part, phones, speakers) for part in parts))


class _Intervals:
    """The alignments of a folder by utterance: TextGrids are read when asked for."""

    def __init__(self, folder):
        self.folder, self.grids, self.lines = folder, {}, {}
        for name in folder.names():
            last = name.rsplit("/", 1)[-1]
            if last.lower().endswith(".textgrid"):
                self.grids[last.rsplit(".", 1)[0]] = name
            elif last.lower().endswith(".ctm"):
                self.lines |= parse_ctm(folder.read(name), folder.full(name))

    def of(self, utterance):
        """Intervals of one utterance; None if there is no alignment."""
        if utterance in self.grids:
            name = self.grids[utterance]
            return parse_textgrid(self.folder.read(name), self.folder.full(name))
        return self.lines.get(utterance)


def _read_recording(folder, row, window, hop, n_mfcc, where):
    utterance, speaker, name, intervals = row
    path = folder.full(name)
    samples, rate = read_wave(folder.read(name), path, where=where)
    step = int(round(seconds(hop, "hop", where=where) * rate))
    if intervals[-1][1] > 2 * len(samples) / rate + 1:
        raise bad_file(
            path,
            f"lasts {len(samples) / rate:.2f} s, its alignment {intervals[-1][1]:.2f} s",
            "They belong to different recordings.",
            "Check the alignments.",
        )
    try:
        features = mfcc_features(samples, rate, window=window, hop=hop, n_mfcc=n_mfcc)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    segments = [(round(a * rate), round(b * rate), plain_phone(p)) for a, b, p in intervals]
    labels = frame_labels(segments, len(features), step)
    return features, labels, speaker, utterance, hop_seconds(step, rate)


def _trials(rows, part, phones, speakers):
    index = {phone: k for k, phone in enumerate(phones)} | {None: -1}
    return FrameTrials(
        features=np.concatenate([r[0] for r in rows]),
        offsets=np.append(0, np.cumsum([len(r[0]) for r in rows])),
        labels=np.array([index[p] for r in rows for p in r[1]]),
        frame=rows[0][4],
        class_names=phones,
        speaker=np.array([speakers.index(r[2]) for r in rows]),
        speaker_names=speakers,
        trial_names=tuple(r[3] for r in rows),
        name=f"librispeech {part}",
    )
