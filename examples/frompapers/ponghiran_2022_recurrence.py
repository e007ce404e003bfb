"""Can a spiking network remember like an LSTM? Gated multi-bit neurons (Ponghiran & Roy 2022).

Three recurrent spiking layers against LSTM and GRU of the same width, one class for each frame:

    conventional   leaky current, residue membrane, multi-bit spikes
    v1             gate and candidate from the input
    v2             gate and candidate also see the layer's own last, sparse output

with frame accuracy, phone error rate (greedy, and Viterbi with a phone bigram), recurrent weights,
share of non-zero spikes and multiplications a frame.

    digits     which digit is spoken, for every frame of the embedded recordings; needs no data
    phonemes   a folder or zip in TIMIT's layout given by --root: 39 MFCC features, one phone a frame
    memory     one of four patterns at the start, asked for after --delay frames of noise

Differences from the paper: width 550 and TIMIT or LibriSpeech there; Kaldi's decoder there, a phone
bigram here; batches padded at the end and masked; smaller recurrent weights at the start, because
those of the released code make the activity of small networks explode; currents of conventional
neurons that leak at the start, because without (the released --leak 1) they do not learn.

    python examples/frompapers/ponghiran_2022_recurrence.py                        # digits
    python examples/frompapers/ponghiran_2022_recurrence.py --task phonemes --root FOLDER --epochs 30
    python examples/frompapers/ponghiran_2022_recurrence.py --task phonemes --root FOLDER
        --corpus "My sentences" --validation-speakers 0.2 --choose   # speech of your own
    python examples/frompapers/ponghiran_2022_recurrence.py --task memory --clip 1 --gain 0.1 --keep 5
"""

import argparse
import dataclasses
import re
import time
from pathlib import Path

import numpy as np
import torch
from brian2 import ms
from matplotlib import pyplot as plt

from neurosnn import data
from neurosnn.core.drawing import COLORS, mark_quick_runs
from neurosnn.data.speech.decoding import Bigram
from neurosnn.torch import (
    SequenceNetwork,
    count_multiplications,
    cut,
    fit_sequences,
    score,
)
from neurosnn.torch.recurrent import KINDS

SILENCE = "sil"  # of the 39 phones


def digits(quick):
    """Every second frame of the recordings, each labelled with the digit."""
    frames = data.spoken_digit_frames()
    digit, index = data.spoken_digit_labels()
    bands = frames.features.reshape(-1, 14, 5).mean(2)
    labels = np.repeat(digit, frames.lengths)
    kept = np.concatenate([np.arange(n) % 2 == 0 for n in frames.lengths])
    lengths = (frames.lengths + 1) // 2
    trials = data.FrameTrials(
        features=bands[kept],
        offsets=np.append(0, np.cumsum(lengths)),
        frame=10 * ms,
        labels=labels[kept],
        speaker=frames.speaker,
        speaker_names=frames.speaker_names,
        name="spoken digits",
    )
    part = np.where(index < 5, 2, np.where(index < 10, 1, 0))
    step = 10 if quick else 1
    return data.standardize(*(trials[np.flatnonzero(part == k)[::step]] for k in range(3)))


def memory(delay, n=600):
    """Ten frames of one of four patterns, noise, and ten frames that ask which it was."""
    patterns = np.random.default_rng(0).normal(size=(4, 8))
    rng = np.random.default_rng(delay)
    length = delay + 20
    features = 0.3 * rng.normal(size=(n, length, 9))
    answer = rng.integers(0, 4, n)
    features[:, :10, :8] += patterns[answer][:, None]
    features[:, -10:, 8] += 2.0
    labels = np.full((n, length), -1)
    labels[:, -10:] = answer[:, None]
    trials = data.FrameTrials(
        features=features.reshape(-1, 9),
        offsets=np.arange(n + 1) * length,
        frame=10 * ms,
        labels=labels.ravel(),
        name=f"memory over {delay} frames",
    )
    return trials[: n * 2 // 3], trials[n * 2 // 3 : n * 5 // 6], trials[n * 5 // 6 :]


def padded(trials):
    """Frames (n_steps, n, channels) and mask (n_steps, n)."""
    whole = trials.padded()
    features = np.ascontiguousarray(whole.features.swapaxes(0, 1))
    return torch.from_numpy(features), torch.from_numpy(whole.mask.T.copy())


def run(kind, stages, seed, settings):
    """Scores of the test set, of the voices that training never heard if it holds known ones too.

    With weights and counts.

    Training goes through the stages; scores are those of the last one.
    """
    train, validation, test = stages[-1]
    torch.manual_seed(seed)
    net = SequenceNetwork(
        kind,
        train.n_channels,
        train.n_classes,
        size=settings.size,
        bits=settings.bits,
        theta=settings.theta,
        dropout=settings.dropout,
        leak=settings.leak,
        gain=settings.gain,
        compiled=settings.compiled,
        keep=settings.keep,
    )
    memory = settings.task == "memory"

    def note(_, row):
        """Show an epoch; what is remembered without an error needs no more of them."""
        if settings.verbose:
            print(row, flush=True)
        return memory and row["validation_accuracy"] == 1

    history = []
    for part in stages:
        history += fit_sequences(
            net,
            part[0],
            epochs=settings.epochs,
            batch_size=settings.batch,
            validation=part[1],
            learning_rate=settings.rate,
            curriculum=[settings.delay + 20] if memory else settings.curriculum,
            clip=settings.clip,
            seed=seed,
            callbacks=note,
            progress=False,
        ).rows
    bigram = None
    if not memory:
        labels = [train.labels[a:b] for a, b in zip(train.offsets, train.offsets[1:], strict=False)]
        bigram = min(
            (Bigram(labels, train.n_classes, acoustic_scale=s) for s in settings.acoustic_scale),
            key=lambda bigram: score(net, validation, bigram=bigram)["bigram_per"],
        )
    new = np.zeros(len(test), dtype=bool)
    if settings.task == "phonemes":
        new = ~np.isin(test.speaker, np.unique(train.speaker))
        new &= not new.all()  # where every voice is new, all scores are those of new voices
    result = {}
    for name, chosen in (("", ~new), ("_new_voices", new)):
        if chosen.any():
            found = score(net, test[chosen], bigram=bigram)
            if bigram is None:  # nothing to decode
                del found["greedy_per"]
            result |= {key + name: value for key, value in found.items()}
    if SILENCE in test.class_names:
        result["speech_accuracy"] = score(net, speech_only(test))["frame_accuracy"]
    features, mask = padded(cut(test, 400)[:16])
    result |= count_multiplications(net, features, mask)
    with torch.no_grad():
        sent = net.activity(features)[1:]
    result["non_zero"] = float(np.mean([(s[mask] != 0).float().mean() for s in sent]))
    result["weights"] = net.recurrent_weights()
    result["validation"] = [row["validation_accuracy"] for row in history]
    return result


def speech_only(trials):
    """The same frames, of which those of silence are not scored."""
    silence = trials.class_names.index(SILENCE)
    labels = np.where(trials.labels == silence, -1, trials.labels)
    return dataclasses.replace(trials, labels=labels)


def table(results):
    """Mean and standard deviation over the seeds, a line for each kind."""
    columns = [
        ("frames right (%)", "frame_accuracy", 100),
        ("speech frames (%)", "speech_accuracy", 100),
        ("PER greedy (%)", "greedy_per", 100),
        ("PER bigram (%)", "bigram_per", 100),
        ("frames, new voices", "frame_accuracy_new_voices", 100),
        ("PER bigram, new", "bigram_per_new_voices", 100),
        ("non-zero (%)", "non_zero", 100),
    ]
    columns = [c for c in columns if c[1] in next(iter(results.values()))[0]]
    lines = [f"{'':14s}" + "".join(f"{c[0]:>20s}" for c in columns) + "   weights  multiplications"]
    gru = np.mean([r["total"] for r in results["GRU"]]) if "GRU" in results else None
    for kind, runs in results.items():
        cells = []
        for _, key, scale in columns:
            values = scale * np.array([r[key] for r in runs])
            cells.append(f"{values.mean():13.2f} ±{values.std():5.2f}")
        total = np.mean([r["total"] for r in runs])
        fewer = f" (GRU: {gru / total:.2f}x)" if gru else ""
        lines.append(f"{kind:14s}{''.join(cells)}{runs[0]['weights']:10d}{total:10.0f}{fewer}")
    return "\n".join(lines)


def draw(results, title, path):
    """Validation accuracy over the epochs; thin lines are single seeds."""
    _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    for color, (kind, runs) in zip(COLORS, results.items(), strict=False):
        rows = [100 * np.array(r["validation"]) for r in runs]
        same = min(map(len, rows))  # in the memory task, seeds end at different epochs
        mean = np.mean([row[:same] for row in rows], axis=0)
        ax.plot(range(1, same + 1), mean, ".-", color=color, label=kind)
        if len(rows) > 1:
            for row in rows:
                ax.plot(range(1, len(row) + 1), row, color=color, lw=0.4)
    ax.set(xlabel="epoch", ylabel="frames right (%), validation", title=title)
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.legend()
    ax.figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, one epoch: only a test")
    parser.add_argument("--output", type=Path, default=Path("output"), help="folder of the picture")
    parser.add_argument("--task", choices=("digits", "phonemes", "memory"), default="digits")
    parser.add_argument("--root", help="folder or zip in TIMIT's layout, for phonemes")
    parser.add_argument("--corpus", help="its name in titles and file names; default: the task")
    parser.add_argument(
        "--validation-speakers", type=float, help="share of the training speakers, see read_timit"
    )
    parser.add_argument("--split-seed", type=int, default=0, help="draws these speakers")
    parser.add_argument(
        "--choose", action="store_true", help="show validation scores, leave the test part alone"
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--size", type=int, default=64, help="units of each of the two layers")
    parser.add_argument("--bits", type=int, default=6)
    parser.add_argument("--theta", type=int, default=3)
    parser.add_argument("--leak", type=float, default=0.5, help="start, conventional neurons")
    parser.add_argument(
        "--gain", type=float, default=0.5, help="of v2's recurrent weights at the start"
    )
    parser.add_argument(
        "--keep", type=float, default=0.0, help="forget bias of LSTM and GRU at the start"
    )
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--delay", type=int, default=500, help="frames, for memory")
    parser.add_argument(
        "--stages",
        type=float,
        nargs="+",
        default=[0.04, 0.1, 0.2, 0.4, 0.7, 1.0],
        help="shares of the delay that are trained one after the other, for memory",
    )
    parser.add_argument("--epochs", type=int, default=12, help="of each stage")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate")
    parser.add_argument("--clip", type=float, help="largest norm of the gradient")
    parser.add_argument("--curriculum", type=int, nargs="+", default=[100, 100, 200, 200, 400])
    parser.add_argument(
        "--acoustic-scale",
        type=float,
        nargs="+",
        default=[0.1, 0.2, 0.4, 1.0],
        help="of the bigram's decoder; the validation set chooses",
    )
    parser.add_argument(
        "--compiled", type=int, default=0, help="steps compiled as one by torch; 4 is good, 0: none"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--verbose", action="store_true", help="print every epoch")
    settings = parser.parse_args()
    settings.output.mkdir(parents=True, exist_ok=True)
    if settings.quick:
        mark_quick_runs()
        settings.epochs, settings.seeds, settings.size = 1, [1], 16
        settings.curriculum, settings.kinds = [25], ("v2", "LSTM")
    if settings.task == "phonemes":
        stages = [
            data.read_timit(
                settings.root,
                validation_speakers=settings.validation_speakers,
                seed=settings.split_seed,
            )
        ]
    elif settings.task == "digits":
        stages = [digits(settings.quick)]
    else:
        stages = [memory(round(share * settings.delay)) for share in settings.stages]
    if settings.choose:
        stages = [(train, validation, validation) for train, validation, _ in stages]
    print("\n".join(repr(part) for sets in stages for part in sets), flush=True)

    results = {}
    for kind in settings.kinds:
        for seed in settings.seeds:
            begin = time.perf_counter()
            found = run(kind, stages, seed, settings)
            results.setdefault(kind, []).append(found)
            shown = [key for key in found if key.endswith("per") or key == "speech_accuracy"]
            per = [f"{key} {100 * found[key]:.2f} %, " for key in shown]
            print(
                f"{kind:12s} seed {seed}: {100 * found['frame_accuracy']:.2f} % of frames, "
                f"{''.join(per)}{found['total']:.0f} multiplications, "
                f"{time.perf_counter() - begin:.0f} s",
                flush=True,
            )
    corpus = settings.corpus or settings.task
    part = ", validation part" if settings.choose else ""
    title = f"{corpus}{part}, {settings.size} units, {settings.bits} bits"
    print(f"\n{title}, {len(settings.seeds)} seeds\n{table(results)}")
    where = "_".join(re.findall(r"[a-z0-9]+", corpus.lower()))
    path = settings.output / f"ponghiran_2022_{where}.png"
    draw(results, title, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
