"""TIMIT, and other phone-labelled speech in folders like TIMIT's."""

import re
from os import PathLike

import numpy as np
from brian2.units import Quantity, ms

from neurosnn.core.messages import message
from neurosnn.data.checks import choice, seconds
from neurosnn.data.frame_trials import FrameTrials, standardize
from neurosnn.data.locations import Folder, bad_file, find_root, read_wave
from neurosnn.data.speech.features import frame_labels, hop_seconds, mfcc_features, parse_phn
from neurosnn.data.speech.phones import (
    CORE_TEST_SPEAKERS,
    FOLD_61_TO_39,
    PHONES_39,
    VALIDATION_SPEAKERS,
)

_DIALECT = re.compile(r"dr\d$")
_HOW = (
    "TIMIT is sold by the Linguistic Data Consortium (LDC93S1); its folder holds TRAIN and TEST, "
    "with DR1/SPEAKER/SENTENCE.WAV and .PHN in them."
)


def read_timit(
    root: str | PathLike[str] | None = None,
    *,
    phones: int = 39,
    window: Quantity = 25 * ms,
    hop: Quantity = 10 * ms,
    n_mfcc: int = 13,
    validation_speakers: float | None = None,
    seed: int = 0,
) -> tuple[FrameTrials, FrameTrials, FrameTrials]:
    """TIMIT as frames of MFCC features with one phone a frame.

    Parameters
    ----------
    root : str, path-like or None
        Folder or zip archive with, at any depth, TRAIN and TEST (any case), holding either
        DRn/SPEAKER/SENTENCE.WAV and .PHN (TIMIT) or SPEAKER/SENTENCE.wav and .phn (the layout of
        synthetic or own speech); None: ``timit`` in the folder of the environment variable
        NEUROSNN_DATA. NIST SPHERE files are read through soundfile.
    phones : {39, 61}
        39: phones are folded to the 39 classes of Lee and Hon (1989) and the glottal stop is not
        scored (label -1). 61: as labelled. With 61, classes are the phones that occur.
    window, hop : Quantity [s]
        Length of a frame, and from frame to frame.
    n_mfcc : int
        Coefficients a frame; with both derivatives there are ``3 * n_mfcc`` channels.
    validation_speakers : float in (0, 1) or None
        For layouts other than TIMIT's own: the share of the speakers of TRAIN, drawn at random, whose
        sentences become the validation part. None: a tenth of the sentences, whoever speaks them.
    seed : int
        Of that draw.

    Returns
    -------
    train, valid, test : FrameTrials
        TIMIT: 3696, 400 and 192 sentences, without the SA sentences (the same two are read by
        everyone); the test part is the core test set, the validation part the 50 speakers of
        Kaldi's recipe. Other layouts: TEST is the test part, and a part of TRAIN, drawn with
        `seed`, the validation part. All features are z-scored with the training statistics.

    Raises
    ------
    FileNotFoundError
        No TRAIN and TEST with recordings below ``root``, or a .PHN is missing.
    ImportError
        librosa, or soundfile for SPHERE files, is not installed.
    ValueError
        A recording is empty or damaged, labels do not fit, a phone is not known, or
        `validation_speakers` is given for TIMIT, whose validation part is standard.

    Notes
    -----
    Frame k is centred on ``k * hop`` and has the phone at that instant. About 0.1 s a sentence.
    """
    where = "read_timit"
    choice(phones, "phones", (39, 61), where=where)
    path = find_root(root, ("timit", "TIMIT"), where=where, how=_HOW)
    with Folder(path) as folder:
        sentences = _sentences(folder)
        if not any(s[0] == "train" for s in sentences) or not any(
            s[0] == "test" for s in sentences
        ):
            raise FileNotFoundError(
                f"{where}: no TRAIN and TEST folders with .wav files are in {path}. The split is "
                f"read from these names. {_HOW}"
            )
        is_timit = any(dialect for _, dialect, *_ in sentences)
        if is_timit and validation_speakers is not None:
            raise ValueError(
                message(
                    f"validation_speakers={validation_speakers!r} for TIMIT.",
                    f"{where}, {path}",
                    "Its validation part is the 50 speakers that everyone uses.",
                    "Leave it out.",
                )
            )
        if is_timit:
            sentences = [s for s in sentences if not s[3].startswith("sa")]
        read = [_read_one(folder, s, window, hop, n_mfcc, where) for s in sentences]
    known = FOLD_61_TO_39
    if phones == 39:
        names = PHONES_39
    else:
        names = tuple(sorted({p for r in read for p in r[1] if p is not None}))
    index = {name: k for k, name in enumerate(names)} | {None: -1}
    speakers = tuple(sorted({s[2] for s in sentences}))
    groups = {"train": [], "valid": [], "test": []}
    for (part, _, speaker, sentence, sound, _), (features, labels, frame) in zip(
        sentences, read, strict=True
    ):
        if phones == 39:
            unknown = next((p for p in labels if p is not None and p not in known), None)
            if unknown is not None:
                raise bad_file(
                    sound,
                    f"is labelled with the phone {unknown!r}",
                    "The folding to 39 classes knows the 61 phones of TIMIT only.",
                    "Pass phones=61 to take the labels as they are.",
                )
            labels = [known[p] if p is not None else None for p in labels]
        part = _part(part, speaker, is_timit)
        if part is not None:
            trial = (features, [index[p] for p in labels], speakers.index(speaker), sentence, frame)
            groups[part].append(trial)
    sets = {
        part: _trials(rows, names, speakers, n_mfcc, frame, "timit" if is_timit else path.stem)
        for part, rows in groups.items()
    }
    if not is_timit:
        train = sets["train"]
        by_speaker = validation_speakers is not None
        sets["train"], sets["valid"] = train.split(
            validation_speakers if by_speaker else 0.1,
            seed=seed,
            groups=train.speaker if by_speaker else None,
        )
    return standardize(sets["train"], sets["valid"], sets["test"])


def _sentences(folder):
    """(part, dialect, speaker, sentence, sound file, label file) of each recording."""
    sounds, labels = {}, {}
    for name in folder.names():
        lower = name.lower()
        if lower.endswith(".phn"):
            labels[lower[:-4]] = name
        elif lower.endswith(".wav"):
            # Some copies hold SA1.WAV (SPHERE) and SA1.WAV.wav (converted); the latter is simpler.
            stem = re.sub(r"(\.wav)+$", "", lower)
            if stem not in sounds or lower.endswith(".wav.wav"):
                sounds[stem] = name
    sentences = []
    for stem, sound in sorted(sounds.items()):
        parts = stem.split("/")
        where = [k for k, p in enumerate(parts[:-1]) if p in ("train", "test")]
        if not where or len(parts) - where[-1] not in (3, 4):
            continue
        part, *middle, sentence = parts[where[-1] :]
        dialect = middle[0] if len(middle) == 2 and _DIALECT.match(middle[0]) else None
        sentences.append((part, dialect, middle[-1], sentence, sound, labels.get(stem)))
    return sentences


def _read_one(folder, sentence, window, hop, n_mfcc, where):
    *_, sound, label = sentence
    path = folder.full(sound)
    if label is None:
        raise FileNotFoundError(
            f"{where}: {path} has no .PHN file beside it. Every frame needs a phone. {_HOW}"
        )
    samples, rate = read_wave(folder.read(sound), path, where=where)
    step = int(round(seconds(hop, "hop", where=where) * rate))
    try:
        features = mfcc_features(samples, rate, window=window, hop=hop, n_mfcc=n_mfcc)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    segments = parse_phn(folder.read(label), len(samples), folder.full(label))
    return features, frame_labels(segments, len(features), step), hop_seconds(step, rate)


def _part(part, speaker, is_timit):
    if part == "train" or not is_timit:
        return part
    if speaker in CORE_TEST_SPEAKERS:
        return "test"
    return "valid" if speaker in VALIDATION_SPEAKERS else None


def _trials(rows, names, speakers, n_mfcc, frame, name):
    none = [(np.empty((0, 3 * n_mfcc), dtype=np.float32), [])]
    return FrameTrials(
        features=np.concatenate([r[0] for r in rows or none]),
        offsets=np.append(0, np.cumsum([len(r[0]) for r in rows], dtype=np.int64)),
        labels=np.concatenate([np.asarray(r[1], dtype=np.int64) for r in rows or none]),
        frame=frame,
        class_names=names,
        speaker=np.array([r[2] for r in rows], dtype=np.int64),
        speaker_names=speakers,
        trial_names=tuple(f"{speakers[r[2]]}/{r[3]}" for r in rows),
        name=name,
    )
