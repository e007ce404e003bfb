import numpy as np
import pytest
from brian2.units import Hz, kHz, ms

from neurosnn.data import (
    FrameTrials,
    encode_cochlea,
    log_mel,
    spoken_digit_frames,
    spoken_digit_labels,
    spoken_digits,
)

RATE = 8000 * Hz


def chirp(n=3200):
    t = np.arange(n) / 8000
    return np.sin(2 * np.pi * (300 * t + 3000 * t**2)) * np.hanning(n)


def test_mel_frame_equals_a_plain_transform():
    sound = chirp()
    frames = log_mel(sound, RATE, n_bands=12, hop=5 * ms)
    y = np.append(sound[0], sound[1:] - 0.95 * sound[:-1])
    mels = np.linspace(*2595 * np.log10(1 + np.array([50, 4000]) / 700), 14)
    edges = 700 * (10 ** (mels / 2595) - 1)
    f = np.arange(257) * 8000 / 512
    bank = [
        np.clip(np.minimum((f - a) / (b - a), (c - f) / (c - b)), 0, None)
        for a, b, c in zip(edges, edges[1:], edges[2:], strict=False)
    ]
    wave = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(200)) / 512)
    expected = []
    for k in (20, 35, 50):
        piece = y[40 * k - 100 : 40 * k + 100] * np.hanning(200)
        expected.append(10 * np.log10(np.array(bank) @ np.abs(wave @ piece) ** 2) / 45)
    got = frames.features[[20, 35, 50]]
    heard = got > 0
    assert heard.sum(axis=1).min() >= 2
    # The maximum over the recording is a constant that differences do not need.
    offset = (got - expected)[heard]
    np.testing.assert_allclose(offset, offset[0], atol=1e-4)


def test_mel_does_not_depend_on_the_scale_and_reaches_one():
    sound = chirp()
    quiet, loud = log_mel(sound, RATE), log_mel((sound * 30000).astype(np.int16), RATE)
    np.testing.assert_allclose(quiet.features, loud.features, atol=0.02)
    assert quiet.features.max() == 1.0
    assert quiet.features.min() == 0.0
    assert quiet.frame / ms == pytest.approx(1)
    assert len(quiet.features) == 401
    assert not log_mel(np.zeros(100), RATE).features.any()


def test_cells_equal_a_plain_loop():
    frames = log_mel([chirp(), chirp(1600)], RATE, hop=5 * ms, n_bands=8)
    trials = encode_cochlea(frames, n_bands=8, n_thresholds=3, tau_m=5 * ms, labels=[0, 1])
    v_th = np.linspace(0.25, 0.95, 3)
    for k in range(2):
        x = frames[k].features.astype(np.float64)
        spikes = []
        v, free = np.zeros((8, 3)), np.zeros((8, 3))
        for t in range((len(x) - 1) * 5 + 1):
            i, part = divmod(t, 5)
            now = x[i] if part == 0 else x[i] + part / 5 * (x[i + 1] - x[i])
            v = v * np.exp(-1 / 5) + now[:, None] * (1 - np.exp(-1 / 5))
            v[t < free] = 0
            fired = v >= v_th
            v[fired] = 0
            free[fired] = t + 9
            spikes += [(t, 3 * b + c) for b, c in zip(*np.nonzero(fired), strict=True)]
        got = list(zip(np.rint(trials[k].times / ms).astype(int), trials[k].units, strict=True))
        assert got == spikes
        assert len(spikes) > 50
    assert trials.duration / ms == pytest.approx(401)


def test_trials_do_not_depend_on_their_company():
    sounds = [chirp(n) for n in (800, 3200, 1601, 2400)]
    together = encode_cochlea(sounds, RATE)
    for k, sound in enumerate(sounds):
        alone = encode_cochlea(sound, RATE)
        np.testing.assert_array_equal(alone[0].times, together[k].times)
        np.testing.assert_array_equal(alone[0].units, together[k].units)


def test_refractory_time_is_kept():
    trials = encode_cochlea(chirp(), RATE, refractory=8 * ms)
    order = np.lexsort((trials.times, trials.units))
    unit, time = trials.units[order], trials.times[order]
    gaps = np.diff(time)[np.diff(unit) == 0]
    assert gaps.min() > 0.0085
    free = encode_cochlea(chirp(), RATE, refractory=0 * ms)
    assert len(free.times) > 2 * len(trials.times)


def test_pooling_keeps_the_mean():
    values = np.random.default_rng(0).random((30, 70)).astype(np.float32)
    frames = FrameTrials(features=values, offsets=[0, 30], frame=5 * ms)
    one = encode_cochlea(frames, n_bands=1, n_thresholds=1, thresholds=(0.45, 0.45))
    mean = FrameTrials(features=values.mean(axis=1)[:, None], offsets=[0, 30], frame=5 * ms)
    same = encode_cochlea(mean, n_bands=1, n_thresholds=1, thresholds=(0.45, 0.45))
    np.testing.assert_array_equal(one.times, same.times)
    assert len(one.times) > 0


FRAMES = FrameTrials(features=np.full((4, 3), 0.5), offsets=[0, 4], frame=5 * ms)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: log_mel([], RATE), "recording 0 has shape"),
        (lambda: log_mel(np.ones((10, 2)), RATE), r"recording 0 has shape \(10, 2\).*stereo"),
        (lambda: log_mel([chirp(), np.ones((0,))], RATE), "recording 1 has shape"),
        (lambda: log_mel(chirp() * np.nan, RATE), "recording 0 is not finite"),
        (lambda: log_mel(chirp(), 8000), r"sample_rate must be one frequency.*8000 \(dimension"),
        (lambda: log_mel(chirp(), RATE, hop=0.01 * ms), "are 0 and 200 samples"),
        (lambda: log_mel(chirp(), RATE, hop=1), "hop must be a time"),
        (lambda: log_mel(chirp(), RATE, dynamic_range=0), "dynamic_range must be greater"),
        (lambda: log_mel(chirp(), RATE, f_max=5 * kHz), "bands from 50 to 5000 Hz do not fit"),
        (lambda: log_mel(chirp(), RATE, n_bands=500), "n_bands=500.*finer than the window"),
        (lambda: log_mel(chirp(), RATE, n_bands=0), "n_bands must be a whole number"),
        (lambda: encode_cochlea(chirp()), "sample_rate is missing"),
        (lambda: encode_cochlea(FRAMES, RATE, n_bands=3), "sample_rate given together with"),
        (lambda: encode_cochlea(FRAMES, n_bands=3, hop=1 * ms), "hop given together with frames"),
        (lambda: encode_cochlea(FRAMES, n_bands=4), "n_bands=4 but the frames have 3"),
        (lambda: encode_cochlea(chirp(), RATE, thresholds=(0, 1)), "thresholds must be two"),
        (lambda: encode_cochlea(chirp(), RATE, thresholds=0.5), "thresholds must be two"),
        (lambda: encode_cochlea(chirp(), RATE, n_thresholds=0), "n_thresholds must be"),
        (lambda: encode_cochlea(chirp(), RATE, labels=[0, 1]), "labels has 2 items where 1"),
        (
            lambda: encode_cochlea(
                FrameTrials(features=[[2.0]], offsets=[0, 1], frame=5 * ms), n_bands=1
            ),
            "frames hold values from 2 to 2",
        ),
    ],
)
def test_wrong_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.fixture(scope="module")
def small():
    return spoken_digits(n_bands=16, n_thresholds=4)


def test_official_split(small):
    train, test = small
    assert (len(train), len(test), train.n_channels) == (2700, 300, 64)
    assert np.bincount(train.labels).tolist() == [270] * 10
    assert np.bincount(test.labels * 6 + test.speaker).tolist() == [5] * 60
    assert train.speaker_names == ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    digit, index = spoken_digit_labels()
    np.testing.assert_array_equal(test.labels, digit[index < 5])


def test_speaker_split_and_choice_of_speakers(small):
    train, test = spoken_digits("speaker", test_speaker="jackson", n_bands=16, n_thresholds=4)
    assert (len(train), len(test)) == (2500, 500)
    assert set(test.speaker) == {1}
    assert 1 not in train.speaker
    assert set(spoken_digits("speaker", n_bands=16, n_thresholds=4)[1].speaker) == {4}
    train, test = spoken_digits(speakers=["theo", "lucas"], n_bands=16, n_thresholds=4)
    assert (len(train), len(test)) == (900, 100)
    assert set(train.speaker) == {2, 4}
    assert len(spoken_digits(speakers="theo", n_bands=16, n_thresholds=4)[0]) == 450


def test_trimmed_words_begin_at_once(small):
    """After trimming the first frame is loud: sensitive cells answer within 10 ms, everywhere."""
    train, test = spoken_digits(n_bands=16, n_thresholds=4, trim=0.7)
    assert (len(train), len(test)) == (2700, 300)
    whole = small[1]
    assert np.all(test.durations <= whole.durations)
    assert 0.3 < test.durations.sum() / whole.durations.sum() < 0.7
    assert test.times[test.offsets[:-1]].max() <= 0.01
    assert whole.times[whole.offsets[:-1]].max() > 0.1


def test_digits_can_be_told_apart(small):
    # Ridge regression on spike counts in four quarters of 0.2 s: well above chance, 10 %.
    def features(trials):
        row = np.repeat(np.arange(len(trials)), np.diff(trials.offsets))
        part = np.minimum((trials.times / 0.2).astype(int), 3)
        key = (row * 4 + part) * 64 + trials.units
        counts = np.bincount(key, minlength=len(trials) * 256).reshape(-1, 256)
        return np.column_stack([np.sqrt(counts), np.ones(len(trials))])

    train, test = small
    x, y = features(train), np.eye(10)[train.labels]
    weights = np.linalg.solve(x.T @ x + 10 * np.eye(257), x.T @ y)
    assert ((features(test) @ weights).argmax(axis=1) == test.labels).mean() > 0.8


def test_default_encoding_of_one_trial_has_known_spikes():
    # Some of the trials, encoded alone: fast, and equal to what the whole set gives.
    frames = spoken_digit_frames()
    assert (len(frames), frames.n_channels, frames.frame / ms) == (3000, 70, pytest.approx(5))
    some = encode_cochlea(frames[::50])
    assert some.n_channels == 700
    assert len(some.times) / len(some) == pytest.approx(3200, rel=0.05)
    again = encode_cochlea(frames[::50])
    np.testing.assert_array_equal(some.times, again.times)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"split": "random"}, "split='random' is not known"),
        ({"test_speaker": "theo"}, "test_speaker='theo' with split='official'"),
        ({"split": "speaker", "test_speaker": "bob"}, "test_speaker='bob' is not known"),
        ({"speakers": ["bob"]}, "speakers='bob' is not known"),
        ({"split": "speaker", "speakers": ["theo"]}, "leaves one side empty"),
        ({"trim": 2}, "trim must be a number between 0 and 1, got 2"),
        ({"n_bands": 71}, "n_bands=71 but the frames have 70"),
    ],
)
def test_wrong_choice(small, arguments, match):
    with pytest.raises(ValueError, match=match):
        spoken_digits(**{"n_bands": 16, "n_thresholds": 4, **arguments})
