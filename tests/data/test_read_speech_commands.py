"""Speech Commands in its official layout, made here, and encodings that are kept in files."""

import io
import os
import wave
import zipfile

import numpy as np
import pytest
from brian2.units import Hz, ms

from neurosnn.data import (
    encode_cached,
    encode_cochlea,
    read_speech_commands,
    read_speech_commands_waves,
)
from neurosnn.data.speech import cached

#: Word, speaker, number and part of each recording.
RECORDINGS = [
    (word, speaker, k, part)
    for word in ("left", "go", "up")
    for speaker, k, part in (
        ("0a7c2a8d", 0, "train"),
        ("0a7c2a8d", 1, "train"),
        ("b959cd0c", 0, "valid"),
        ("ffd2ba2f", 0, "test"),
    )
]
FAST = {"n_bands": 8, "n_thresholds": 2}


def wav(samples, rate=16000):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, dtype="<i2").tobytes())
    return buffer.getvalue()


def sound(k):
    """A sweep of its own; every third recording is shorter than a second."""
    t = np.arange(16000 if k % 3 else 12000) / 16000
    return 9000 * np.sin(2 * np.pi * (300 + 100 * k + 800 * t) * t)


@pytest.fixture
def root(tmp_path):
    lists = {"valid": [], "test": []}
    for k, (word, speaker, number, part) in enumerate(RECORDINGS):
        name = f"{word}/{speaker}_nohash_{number}.wav"
        (tmp_path / word).mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(wav(sound(k)))
        lists.get(part, []).append(name)
    (tmp_path / "_background_noise_").mkdir()
    (tmp_path / "_background_noise_" / "white_noise.wav").write_bytes(b"never read")
    (tmp_path / "README.md").write_text("by Pete Warden")
    (tmp_path / "validation_list.txt").write_text("\n".join(lists["valid"]) + "\n")
    (tmp_path / "testing_list.txt").write_text("\n".join(lists["test"]) + "\n")
    return tmp_path


def test_words_speakers_and_the_official_split(root):
    train, valid, test = read_speech_commands_waves(root, words=["up", "left"])
    assert train.names == (
        "up/0a7c2a8d_nohash_0.wav",
        "up/0a7c2a8d_nohash_1.wav",
        "left/0a7c2a8d_nohash_0.wav",
        "left/0a7c2a8d_nohash_1.wav",
    )
    assert valid.names == ("up/b959cd0c_nohash_0.wav", "left/b959cd0c_nohash_0.wav")
    assert test.names == ("up/ffd2ba2f_nohash_0.wav", "left/ffd2ba2f_nohash_0.wav")
    assert train.words == ("up", "left")
    assert train.word.tolist() == [0, 0, 1, 1]
    assert train.sample_rate == 16000 * Hz
    for part, speaker in ((train, "0a7c2a8d"), (valid, "b959cd0c"), (test, "ffd2ba2f")):
        assert {part.speaker_names[k] for k in part.speaker} == {speaker}
    assert [len(wave) for wave in train.waves] == [16000, 12000, 12000, 16000]
    np.testing.assert_array_equal(np.rint(train.waves[0] * 32768), np.trunc(sound(8)))
    everything = read_speech_commands_waves(root)[0]
    assert everything.words == ("go", "left", "up")


def test_an_archive_with_a_folder_of_its_own(root, tmp_path):
    archive = tmp_path.parent / f"{tmp_path.name}.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in root.rglob("*"):
            file.write(path, f"speech_commands_v0.02/{path.relative_to(root)}")
    for one, two in zip(
        read_speech_commands_waves(root), read_speech_commands_waves(archive), strict=True
    ):
        assert one.names == two.names
        for a, b in zip(one.waves, two.waves, strict=True):
            np.testing.assert_array_equal(a, b)


def test_spikes_of_whole_seconds(root):
    train, valid, test = read_speech_commands(root, words=["go", "up"], cache=root / "kept", **FAST)
    assert (len(train), len(valid), len(test)) == (4, 2, 2)
    assert train.class_names == ("go", "up")
    np.testing.assert_allclose(train.durations, 1.001)
    # the ninth recording is the first of "up"
    whole = encode_cochlea(np.trunc(sound(8)), 16000 * Hz, hop=5 * ms, **FAST)
    assert len(whole.times) > 20
    np.testing.assert_array_equal(np.asarray(train[2].times), whole.times)
    np.testing.assert_array_equal(train[2].units, whole.units)


def test_an_encoding_is_made_once(tmp_path, monkeypatch):
    calls = []

    def counted(*arguments, **settings):
        calls.append(settings)
        return encode_cochlea(*arguments, **settings)

    monkeypatch.setattr(cached, "encode_cochlea", counted)
    monkeypatch.setattr(cached, "_BLOCK", 2)  # several blocks
    waves = [sound(k)[: 3000 + 500 * k] for k in range(5)]
    settings = {"hop": 5 * ms, "tau_m": 5 * ms, **FAST}

    def encode(waves=waves, rate=16000 * Hz, **changed):
        return encode_cached(waves, rate, folder=tmp_path, **{**settings, **changed})

    first = encode(labels=[0, 1, 0, 1, 0], class_names=("a", "b"))
    plain = encode_cochlea(waves, 16000 * Hz, **settings)
    assert len(calls) == 3
    assert len(plain.times) > 50
    again = encode(labels=[1, 1, 1, 1, 0], class_names=("c", "d"))
    assert len(calls) == 3
    assert again.class_names == ("c", "d")
    for name in ("times", "units", "offsets", "durations"):
        for trials in (first, again):
            np.testing.assert_array_equal(getattr(trials, name), getattr(plain, name))
    assert first.duration == plain.duration
    # each change is another encoding: a setting, a unit, the rate, one sample, the order
    quieter = [waves[0] * 1, *waves[1:]]
    quieter[0][10] += 1
    for changed in (
        {"tau_m": 6 * ms},
        {"thresholds": (0.3, 0.9)},
        {"rate": 15000 * Hz},
        {"waves": quieter},
        {"waves": waves[::-1]},
    ):
        before = len(calls)
        encode(**changed)
        assert len(calls) == before + 3, changed
    assert len(list(tmp_path.glob("*.npz"))) == 6
    assert len(list(tmp_path.iterdir())) == 6  # nothing half written


def test_a_damaged_encoding_is_made_again(tmp_path, monkeypatch):
    waves = [sound(0)[:2000]]
    monkeypatch.setenv("NEUROSNN_CACHE", str(tmp_path))
    first = encode_cached(waves, 16000 * Hz, hop=5 * ms, **FAST)
    (path,) = (tmp_path / "encoded").glob("*.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_array_equal(
        encode_cached(waves, 16000 * Hz, hop=5 * ms, **FAST).times, first.times
    )
    assert path.read_bytes() == whole


def test_what_is_not_encoded(tmp_path):
    with pytest.raises(TypeError, match=r"encode_cached: sound is an array of shape \(9,\)"):
        encode_cached(np.zeros(9), 16000 * Hz, folder=tmp_path)
    with pytest.raises(ValueError, match=r"encode_cochlea: thresholds must be"):
        encode_cached([sound(0)], 16000 * Hz, folder=tmp_path, thresholds=(0, 2))
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing(root, tmp_path, monkeypatch):
    monkeypatch.delenv("NEUROSNN_DATA", raising=False)
    with pytest.raises(
        FileNotFoundError, match=r"no root= was given.*speech_commands_v0.02.tar.gz"
    ):
        read_speech_commands()
    with pytest.raises(FileNotFoundError, match=r"no folder 'lefd'.*Did you mean 'left'"):
        read_speech_commands(root, words=["lefd"])
    with pytest.raises(FileNotFoundError, match=r"no folder '_background_noise_' with recordings"):
        read_speech_commands(root, words=["_background_noise_"])
    with pytest.raises(ValueError, match=r"words are named twice"):
        read_speech_commands(root, words=["left", "left"])
    (root / "go" / "b959cd0c_nohash_0.wav").rename(tmp_path / "away")
    with pytest.warns(UserWarning, match=r"1 of 3 recordings of validation_list.txt are missing"):
        read_speech_commands_waves(root)
    with (
        pytest.warns(UserWarning, match=r"1 of 1 recordings"),
        pytest.raises(FileNotFoundError, match=r"no recording of these words is in the valid part"),
    ):
        read_speech_commands(root, words=["go"], cache=tmp_path / "kept", **FAST)
    (root / "testing_list.txt").rename(tmp_path / "list")
    with pytest.raises(FileNotFoundError, match=r"testing_list.txt is not there.*official split"):
        read_speech_commands(root)
    monkeypatch.setenv("NEUROSNN_DATA", os.fspath(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist.*unpack it"):
        read_speech_commands()


def test_what_is_not_as_it_should_be(root):
    odd = root / "go" / "recording.wav"
    odd.write_bytes(wav(sound(1)))
    with pytest.raises(ValueError, match=r"recording.wav: has a name of another form"):
        read_speech_commands_waves(root)
    odd.unlink()
    file = root / "go" / "0a7c2a8d_nohash_0.wav"
    for data, match in (
        (wav(sound(1), rate=8000), r"has 16000 samples at 8000 a second"),
        (wav(np.zeros(16001)), r"has 16001 samples at 16000 a second.*resample and cut"),
        (wav([]), r"0a7c2a8d_nohash_0.wav: holds no samples"),
    ):
        file.write_bytes(data)
        with pytest.raises(ValueError, match=match):
            read_speech_commands_waves(root, words=["go"])[0].waves[0]
    (root / "up" / "b959cd0c_nohash_7.wav").write_bytes(wav(sound(1)))  # in neither list
    with pytest.raises(ValueError, match=r"heard in the parts train and valid.*known voices"):
        read_speech_commands_waves(root)


def test_no_words_at_all(tmp_path):
    for name in ("validation_list.txt", "testing_list.txt"):
        (tmp_path / name).write_text("")
    with pytest.raises(FileNotFoundError, match=r"no WORD/NAME.wav is there"):
        read_speech_commands(tmp_path)
