"""LibriSpeech: recordings and alignments in the exact formats, made here."""

import io
import wave

import numpy as np
import pytest

from neurosnn.data import read_librispeech
from neurosnn.data.speech.alignments import parse_ctm, parse_textgrid, plain_phone

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 0.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.1
            text = ""
        intervals [2]:
            xmin = 0.1
            xmax = 0.5
            text = "at ""9x"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 0.5
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.1
            text = ""
        intervals [2]:
            xmin = 0.1
            xmax = 0.305
            text = "AE1"
        intervals [3]:
            xmin = 0.305
            xmax = 0.4
            text = "T"
        intervals [4]:
            xmin = 0.4
            xmax = 0.5
            text = "spn"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
0.5
<exists>
1
"IntervalTier"
"phones"
0
0.5
2
0
0.2
"sil"
0.2
0.5
"T"
"""
INTERVALS = [(0, 0.1, ""), (0.1, 0.305, "AE1"), (0.305, 0.4, "T"), (0.4, 0.5, "spn")]


def test_textgrid_in_both_formats():
    assert parse_textgrid(LONG.encode(), "a") == INTERVALS
    assert parse_textgrid(LONG.encode("utf-16"), "a") == INTERVALS
    assert parse_textgrid(SHORT.encode(), "a") == [(0, 0.2, "sil"), (0.2, 0.5, "T")]
    assert parse_textgrid(LONG.encode(), "a", tier="words")[1] == (0.1, 0.5, 'at ""9x')


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("<html>", "a.TextGrid: is no whole TextGrid"),
        (LONG[:-60], "a.TextGrid: is no whole TextGrid"),
        (SHORT.replace("phones", "words"), "has no tier 'phones', only 'words'"),
    ],
)
def test_damaged_textgrid(text, match):
    with pytest.raises(ValueError, match=match):
        parse_textgrid(text.encode(), "a.TextGrid")


def test_ctm():
    found = parse_ctm(
        b";; comment\n1-2-3 1 0.00 0.10 SIL\n1-2-3 1 0.10 0.2 AH0_B\n9-9-9 1 0 1 T\n", "x"
    )
    assert found["1-2-3"] == [(0.0, 0.1, "SIL"), (0.1, pytest.approx(0.3), "AH0_B")]
    with pytest.raises(ValueError, match="x.ctm: line 2 is 'a b c'"):
        parse_ctm(b"u 1 0 1 T\na b c\n", "x.ctm")


def test_phones_lose_stress_and_position():
    names = ["AE1", "T", "AH0_B", "sil", "", "sp", "SIL", "spn", "NG_E"]
    assert [plain_phone(n) for n in names] == [
        "ae", "t", "ah", "sil", "sil", "sil", "sil", None, "ng",
    ]  # fmt: skip


def wav(seed, seconds=0.5, rate=16000):
    samples = np.random.default_rng(seed).integers(-9000, 9000, int(seconds * rate))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


@pytest.fixture
def corpus(tmp_path):
    """Three parts with one speaker each; the second utterance of dev-clean has no alignment."""
    names = {
        "train-clean-100": ["19-198-0000", "19-198-0001"],
        "dev-clean": ["84-1-0000", "84-1-0001"],
    }
    names["test-clean"] = ["61-7-0000"]
    for part, utterances in names.items():
        for k, utterance in enumerate(utterances):
            speaker, chapter, _ = utterance.split("-")
            folder = tmp_path / "LibriSpeech" / part / speaker / chapter
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{utterance}.wav").write_bytes(wav(k))
            (folder / f"{speaker}-{chapter}.trans.txt").write_text(f"{utterance} AT\n")
            aligned = tmp_path / "aligned" / speaker / chapter
            aligned.mkdir(parents=True, exist_ok=True)
            if utterance == "61-7-0000":
                lines = f"{utterance} 1 0.0 0.25 SIL\n{utterance} 1 0.25 0.25 T_S\n"
                (aligned / "test.ctm").write_text(lines)
            elif utterance != "84-1-0001":
                (aligned / f"{utterance}.TextGrid").write_text(LONG)
    return tmp_path


def test_frames_and_labels(corpus):
    pytest.importorskip("librosa", reason="MFCC features come from librosa (extra neurosnn[data])")
    train, valid, test = read_librispeech(corpus, alignments=corpus / "aligned")
    assert (len(train), len(valid), len(test)) == (2, 1, 1)
    assert train.class_names == ("ae", "sil", "t")
    assert train.speaker_names == ("19", "61", "84")
    assert valid.trial_names == ("84-1-0000",)
    assert train.n_channels == 39
    # frame k is centred on k*10 ms
    assert train.labels[:51].tolist() == [1] * 10 + [0] * 21 + [2] * 9 + [-1] * 11
    assert test.labels.tolist() == [1] * 25 + [2] * 26
    assert abs(train.features.mean()) < 1e-5


def test_what_is_missing(corpus, tmp_path):
    with pytest.raises(FileNotFoundError, match="no recording of train-other is in"):
        read_librispeech(corpus, parts=("train-other", "dev-clean", "test-clean"))
    with pytest.raises(FileNotFoundError, match="none of the 2 recordings of train-clean-100 has"):
        read_librispeech(corpus)
    with pytest.raises(FileNotFoundError, match="does not exist.*openslr"):
        read_librispeech(tmp_path / "nowhere")


def test_alignment_of_another_recording(corpus):
    pytest.importorskip("librosa")
    (corpus / "aligned" / "61" / "7" / "test.ctm").write_text("61-7-0000 1 0.0 9.5 SIL\n")
    with pytest.raises(ValueError, match="lasts 0.50 s, its alignment 9.50 s"):
        read_librispeech(corpus, alignments=corpus / "aligned")
