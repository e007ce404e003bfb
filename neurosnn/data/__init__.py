"""Data: containers, embedded sets, readers of the field's file formats, spike encoders."""

from neurosnn.data.augment import (
    blend_trials,
    drop_spikes,
    jitter_times,
    shift_channels,
    shift_times,
)
from neurosnn.data.delay_line import delay_line, jitter_channels
from neurosnn.data.encoders import (
    encode_current,
    encode_latency,
    encode_poisson,
    encode_regular_rate,
)
from neurosnn.data.exchange import from_events, from_neo, spike_trains, to_neo, write_shd
from neurosnn.data.frame_trials import FrameTrials, standardize
from neurosnn.data.images import Images, digits_8x8
from neurosnn.data.joining import join_channels, join_trials
from neurosnn.data.readers.cifar10 import read_cifar10
from neurosnn.data.readers.dvs import read_cifar10_dvs, read_dvs_gesture
from neurosnn.data.readers.fsdd import read_fsdd, read_fsdd_waves
from neurosnn.data.readers.idx import read_fashion_mnist, read_idx, read_mnist
from neurosnn.data.readers.librispeech import read_librispeech
from neurosnn.data.readers.nmnist import read_nmnist
from neurosnn.data.readers.shd import read_shd, read_ssc
from neurosnn.data.readers.slices import slice_by_number
from neurosnn.data.readers.speech_commands import (
    read_speech_commands,
    read_speech_commands_waves,
)
from neurosnn.data.readers.timit import read_timit
from neurosnn.data.speech.cached import encode_cached
from neurosnn.data.speech.cochlea import encode_cochlea
from neurosnn.data.speech.endpoints import trim_quiet
from neurosnn.data.speech.equalize import equalize_bands
from neurosnn.data.speech.mel import log_mel
from neurosnn.data.speech.spoken_digits import (
    spoken_digit_frames,
    spoken_digit_labels,
    spoken_digits,
)
from neurosnn.data.spike_trials import SpikeTrials, Steps, Trial
from neurosnn.data.trial_files import read_trials, write_trials
from neurosnn.data.trial_set import validation_split
from neurosnn.data.yin_yang import yin_yang

__all__ = [
    "FrameTrials",
    "Images",
    "SpikeTrials",
    "Steps",
    "Trial",
    "blend_trials",
    "delay_line",
    "digits_8x8",
    "drop_spikes",
    "encode_cached",
    "encode_cochlea",
    "encode_current",
    "encode_latency",
    "encode_poisson",
    "encode_regular_rate",
    "equalize_bands",
    "from_events",
    "from_neo",
    "jitter_channels",
    "jitter_times",
    "join_channels",
    "join_trials",
    "log_mel",
    "read_cifar10",
    "read_cifar10_dvs",
    "read_dvs_gesture",
    "read_fashion_mnist",
    "read_fsdd",
    "read_fsdd_waves",
    "read_idx",
    "read_librispeech",
    "read_mnist",
    "read_nmnist",
    "read_shd",
    "read_speech_commands",
    "read_speech_commands_waves",
    "read_ssc",
    "read_timit",
    "read_trials",
    "shift_channels",
    "shift_times",
    "slice_by_number",
    "spike_trains",
    "spoken_digit_frames",
    "spoken_digit_labels",
    "spoken_digits",
    "standardize",
    "to_neo",
    "trim_quiet",
    "validation_split",
    "write_shd",
    "write_trials",
    "yin_yang",
]
