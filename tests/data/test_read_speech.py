"""FSDD and TIMIT: recordings in the exact layout, made here."""

import io
import os
import sys
import wave
import zipfile

import numpy as np
import pytest
from brian2.units import Hz, ms

from neurosnn.data import log_mel, read_fsdd, read_fsdd_waves, read_timit
from neurosnn.data.speech.features import frame_labels, mfcc_features, parse_phn
from neurosnn.data.speech.phones import (
    CORE_TEST_SPEAKERS,
    FOLD_61_TO_39,
    PHONES_39,
    PHONES_61,
    VALIDATION_SPEAKERS,
)


def wav(samples, rate=8000, channels=1):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, dtype="<i2").tobytes())
    return buffer.getvalue()


def noise(seed, n):
    return np.random.default_rng(seed).integers(-9000, 9000, n)


NAMES = [(d, s, i) for d in (0, 7) for s in ("ann", "ben") for i in (0, 4, 5, 12)]


@pytest.fixture
def fsdd(tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for k, (d, s, i) in enumerate(NAMES):
        (folder / f"{d}_{s}_{i}.wav").write_bytes(wav(noise(k, 900 + 10 * k)))
    return tmp_path


def test_fsdd_recordings(fsdd, tmp_path):
    recordings = read_fsdd_waves(fsdd)
    keys = zip(recordings.digit, recordings.speaker, recordings.index, strict=True)
    assert list(keys) == [(d, ("ann", "ben").index(s), i) for d, s, i in NAMES]
    assert recordings.sample_rate == 8000 * Hz
    np.testing.assert_array_equal(recordings.waves[3] * 32768, noise(3, 930))
    archive = tmp_path / "fsdd_wav.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (fsdd / "recordings").iterdir():
            file.write(path, f"recordings/{path.name}")
    again = read_fsdd_waves(archive)
    for one, two in zip(recordings.waves, again.waves, strict=True):
        np.testing.assert_array_equal(one, two)


def test_fsdd_split_and_settings(fsdd):
    train, test = read_fsdd(fsdd, n_bands=10, n_thresholds=2)
    assert (len(train), len(test), train.n_channels) == (8, 8, 20)
    assert train.speaker_names == ("ann", "ben")
    assert set(train.labels) == {0, 7}
    assert len(train.times) > 0


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (wav([]), "0_ann_4.wav: holds no samples"),
        (
            wav(noise(0, 100), rate=16000),
            "0_ann_4.wav: has 16000 samples a second, the others 8000",
        ),
        (wav(noise(0, 100), channels=2), "0_ann_4.wav: has 2 channels"),
        (b"RIFFjunk", "0_ann_4.wav: is not a sound file"),
    ],
)
def test_damaged_fsdd(fsdd, data, match):
    pytest.importorskip("soundfile")
    (fsdd / "recordings" / "0_ann_4.wav").write_bytes(data)
    with pytest.raises(ValueError, match=match):
        read_fsdd(fsdd)


def test_wrong_fsdd_folder(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(FileNotFoundError, match=r"no digit_speaker_index.wav is in"):
        read_fsdd(tmp_path)
    with pytest.raises(ValueError, match=r"notes.txt: is neither a folder nor a zip"):
        read_fsdd(tmp_path / "notes.txt")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    (tmp_path / "1_a_1.wav").write_bytes(b"fLaC")
    with pytest.raises(
        ImportError, match=r"the package soundfile is not installed.*neurosnn\[data\]"
    ):
        read_fsdd(tmp_path)


def test_folding_table():
    assert len(PHONES_61) == 61
    assert len(PHONES_39) == 39
    assert {c for c in FOLD_61_TO_39.values() if c} == set(PHONES_39)
    # The merges of Lee and Hon (1989), Table II.
    for phone, group in {
        "ao": "aa",
        "ax-h": "ah",
        "axr": "er",
        "hv": "hh",
        "ix": "ih",
        "el": "l",
        "em": "m",
        "nx": "n",
        "eng": "ng",
        "zh": "sh",
        "ux": "uw",
        "h#": "sil",
        "epi": "sil",
        "bcl": "sil",
        "q": None,
        "iy": "iy",
    }.items():
        assert FOLD_61_TO_39[phone] == group
    assert len(CORE_TEST_SPEAKERS) == 24
    assert len(VALIDATION_SPEAKERS) == 50
    assert not CORE_TEST_SPEAKERS & VALIDATION_SPEAKERS


def test_phn_lines():
    segments = parse_phn(b"0 100 h#\n100 250 SH\n\n250 400 q\n", 400, "a.phn")
    assert segments == [(0, 100, "h#"), (100, 250, "sh"), (250, 400, "q")]
    assert frame_labels(segments, 6, 80) == ["h#", "h#", "sh", "sh", "q", "q"]
    assert frame_labels([(50, 90, "b"), (120, 160, "d")], 3, 100) == [None, None, "d"]
    for data, match in (
        (b"0 100\n", "a.phn: line 1 is '0 100'"),
        (b"0 x sh\n", "line 1 is"),
        (b"0 100 a\n50 200 b\n", "line 2 starts at 50"),
        (b"100 0 a\n", "line 1 starts at 100 and ends at 0"),
        (b"\n", "holds no segment"),
        (b"0 9000 a\n", "ends at sample 9000 of a recording of 400"),
    ):
        with pytest.raises(ValueError, match=match):
            parse_phn(data, 400, "a.phn")


SENTENCE = b"0 800 h#\n800 2000 sh\n2000 2400 q\n2400 3200 h#\n"


def write_timit(root, sphere=False):
    """TRAIN with one speaker, TEST with a core test, a validation and another speaker."""
    for part, speaker in (
        ("TRAIN", "MAAA0"),
        ("TEST", "MDAB0"),
        ("TEST", "FAKS0"),
        ("TEST", "MZZZ0"),
    ):
        folder = root / part / "DR1" / speaker
        folder.mkdir(parents=True)
        for k, name in enumerate(("SA1", "SI1", "SX2")):
            samples = noise(k + len(speaker), 3200)
            if sphere:
                import soundfile

                file = folder / f"{name}.WAV"
                soundfile.write(file, samples.astype(np.int16), 16000, format="NIST")
            else:
                (folder / f"{name}.WAV").write_bytes(wav(samples, 16000))
            (folder / f"{name}.PHN").write_bytes(SENTENCE)


@pytest.mark.parametrize("sphere", [False, True])
def test_timit(tmp_path, sphere):
    pytest.importorskip("librosa")
    pytest.importorskip("soundfile")
    write_timit(tmp_path, sphere)
    if sphere:
        head = (tmp_path / "TRAIN/DR1/MAAA0/SI1.WAV").read_bytes()[:7]
        assert head == b"NIST_1A"
    train, valid, test = read_timit(tmp_path)
    assert train.trial_names == ("maaa0/si1", "maaa0/sx2")
    assert valid.trial_names == ("faks0/si1", "faks0/sx2")
    assert test.trial_names == ("mdab0/si1", "mdab0/sx2")
    assert train.class_names == PHONES_39
    assert train.n_channels == 39
    assert train.frame / ms == pytest.approx(10)
    assert train.lengths.tolist() == [21, 21]
    sil, sh = PHONES_39.index("sil"), PHONES_39.index("sh")
    # Frames are centred on multiples of 160 samples: 5 before 800, 8 before 2000, 2 before 2400.
    assert train[0].labels.tolist() == [sil] * 5 + [sh] * 8 + [-1] * 2 + [sil] * 6
    np.testing.assert_allclose(train.features.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(train.features.std(axis=0), 1, atol=1e-3)
    everything = read_timit(tmp_path, phones=61)[0]
    assert everything.class_names == ("h#", "q", "sh")
    assert everything[0].labels.tolist() == [0] * 5 + [2] * 8 + [1] * 2 + [0] * 6


def test_synthetic_layout_in_a_zip(tmp_path):
    pytest.importorskip("librosa")
    archive = tmp_path / "speech.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for part, voice, n in (("train", "one", 10), ("train", "two", 10), ("test", "new", 3)):
            for k in range(n):
                stem = f"{part}/{voice}/s{k:02d}"
                file.writestr(f"{stem}.wav", wav(noise(k, 3200), 16000))
                file.writestr(f"{stem}.phn", SENTENCE.replace(b"h#", b"pau"))
        file.writestr("sentences.txt", "x")
    train, valid, test = read_timit(archive)
    assert (len(train), len(valid), len(test)) == (18, 2, 3)
    assert set(test.speaker) == {0}
    assert test.speaker_names == ("new", "one", "two")
    assert train.name == "speech"
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("test/new/s90.wav", wav(noise(0, 3200), 16000))
        file.writestr("test/new/s90.phn", b"0 3200 click\n")
    with pytest.raises(ValueError, match=r"s90.wav: is labelled with the phone 'click'.*phones=61"):
        read_timit(archive)
    assert "click" in read_timit(archive, phones=61)[0].class_names


def test_whole_speakers_are_held_out(tmp_path):
    """The phones of the CMU dictionary, with h# and pau, as speech for language learners is labelled."""
    pytest.importorskip("librosa")
    labels = b"0 800 h#\n800 1600 ao\n1600 2000 zh\n2000 2400 pau\n2400 3200 h#\n"
    for part, n in (("TRAIN", 5), ("TEST", 2)):
        for speaker in range(n):
            folder = tmp_path / part / f"{part}{speaker}"
            folder.mkdir(parents=True)
            for k in range(3):
                (folder / f"{k}.WAV").write_bytes(wav(noise(k + speaker, 3200), 16000))
                (folder / f"{k}.PHN").write_bytes(labels)
    splits = [read_timit(tmp_path, validation_speakers=0.4, seed=seed) for seed in (0, 0, 1)]
    for train, valid, test in splits:
        assert (len(train), len(valid), len(test)) == (9, 6, 6)
        assert not {*train.speaker} & {*valid.speaker}
        assert {test.speaker_names[s] for s in test.speaker} == {"test0", "test1"}
        np.testing.assert_allclose(train.features.mean(axis=0), 0, atol=1e-4)
    held = [{*valid.speaker} for _, valid, _ in splits]
    assert held[0] == held[1] != held[2]
    sil, aa, sh = (PHONES_39.index(p) for p in ("sil", "aa", "sh"))
    assert splits[0][0][0].labels.tolist() == [sil] * 5 + [aa] * 5 + [sh] * 3 + [sil] * 8


def test_damaged_timit(tmp_path, monkeypatch):
    pytest.importorskip("librosa")
    write_timit(tmp_path)
    with pytest.raises(FileNotFoundError, match="no TRAIN and TEST folders"):
        read_timit(tmp_path / "TRAIN")
    with pytest.raises(ValueError, match="phones=48 is not known"):
        read_timit(tmp_path, phones=48)
    with pytest.raises(ValueError, match=r"validation_speakers=0.1 for TIMIT.*50 speakers"):
        read_timit(tmp_path, validation_speakers=0.1)
    label = tmp_path / "TEST/DR1/MDAB0/SI1.PHN"
    label.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match=r"SI1.WAV has no .PHN file beside it"):
        read_timit(tmp_path)
    (tmp_path / "away").rename(label)
    sound = label.with_suffix(".WAV")
    sound.write_bytes(wav(noise(0, 500), 16000))
    with pytest.raises(ValueError, match=r"SI1.WAV: mfcc_features: the recording has 500 samples"):
        read_timit(tmp_path)
    sound.write_bytes(wav([], 16000))
    with pytest.raises(ValueError, match=r"SI1.WAV: holds no samples"):
        read_timit(tmp_path)
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(
        ImportError, match=r"the package librosa is not installed.*neurosnn\[data\]"
    ):
        mfcc_features(np.zeros(3200), 16000)


def test_kaggle_copy_with_both_kinds_of_sound(tmp_path):
    pytest.importorskip("librosa")
    write_timit(tmp_path)
    for file in list(tmp_path.rglob("*.WAV")):
        file.with_name(file.name + ".wav").write_bytes(file.read_bytes())
        file.write_bytes(b"never read")
    assert len(read_timit(tmp_path)[0]) == 2


@pytest.mark.needs_data
def test_real_fsdd_frames_equal_the_embedded_ones():
    from neurosnn.data import spoken_digit_frames

    recordings = read_fsdd_waves(os.path.join(os.environ["NEUROSNN_DATA"], "fsdd/fsdd_wav.zip"))
    frames = log_mel(recordings.waves[:60], recordings.sample_rate, hop=5 * ms)
    embedded = spoken_digit_frames()[:60]
    np.testing.assert_allclose(embedded.features, frames.features, atol=0.5 / 23 + 1e-5)
