"""Data: containers, embedded sets, readers of the field's file formats, spike encoders."""

from ._trialset import validation_split
from .augment import blend_trials, drop_spikes, jitter_times, shift_channels
from .cochlea import encode_cochlea
from .delay_line import delay_line, jitter_channels
from .encoders import encode_current, encode_latency, encode_poisson, encode_regular_rate
from .endpoints import trim_quiet
from .equalize import equalize_bands
from .exchange import from_events, from_neo, spike_trains, to_neo, write_shd
from .frame_trials import FrameTrials, standardize
from .images import Images, digits_8x8
from .mel import log_mel
from .read_cifar10 import read_cifar10
from .read_dvs import read_cifar10_dvs, read_dvs_gesture
from .read_fsdd import read_fsdd, read_fsdd_waves
from .read_idx import read_fashion_mnist, read_idx, read_mnist
from .read_librispeech import read_librispeech
from .read_nmnist import read_nmnist
from .read_shd import read_shd, read_ssc
from .read_timit import read_timit
from .slices import slice_by_number
from .spike_trials import SpikeTrials, Steps, Trial
from .spoken_digits import spoken_digit_frames, spoken_digit_labels, spoken_digits
from .yin_yang import yin_yang

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
    "read_ssc",
    "read_timit",
    "shift_channels",
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
    "yin_yang",
]
