"""Spiking neurons and plasticity rules as Brian2 equation strings, with the source of each number."""

from neurosnn.equations.adaptive_current_lif import AdaptiveCurrentLIF
from neurosnn.equations.adex import AdEx
from neurosnn.equations.alif import ALIF, STDP_ALIF
from neurosnn.equations.clopath import VoltageSTDP
from neurosnn.equations.current_lif import CurrentLIF, CurrentReadout
from neurosnn.equations.eqspike import ConstantInput, EqSpike, EqSpikeLIF, RegularInput
from neurosnn.equations.exponential_if import ExponentialIF, QuadraticIF
from neurosnn.equations.gated_lif import GatedLIF
from neurosnn.equations.hodgkin_huxley import HodgkinHuxley, TraubMiles, WangBuzsaki
from neurosnn.equations.izhikevich import Izhikevich
from neurosnn.equations.lif import LIF, STDP_LIF
from neurosnn.equations.morris_lecar import MorrisLecar
from neurosnn.equations.oscillating import BalancedResonateAndFire, SE_adLIF
from neurosnn.equations.pair_stdp import PairSTDP
from neurosnn.equations.plif import PLIF
from neurosnn.equations.readout import LeakyReadout
from neurosnn.equations.reward_stdp import RewardSTDP
from neurosnn.equations.short_term_plasticity import TsodyksMarkram
from neurosnn.equations.triplet_stdp import TripletSTDP
from neurosnn.equations.vogels import InhibitorySTDP

__all__ = [
    "ALIF",
    "LIF",
    "PLIF",
    "STDP_ALIF",
    "STDP_LIF",
    "AdEx",
    "AdaptiveCurrentLIF",
    "BalancedResonateAndFire",
    "ConstantInput",
    "CurrentLIF",
    "CurrentReadout",
    "EqSpike",
    "EqSpikeLIF",
    "ExponentialIF",
    "GatedLIF",
    "HodgkinHuxley",
    "InhibitorySTDP",
    "Izhikevich",
    "LeakyReadout",
    "MorrisLecar",
    "PairSTDP",
    "QuadraticIF",
    "RegularInput",
    "RewardSTDP",
    "SE_adLIF",
    "TraubMiles",
    "TripletSTDP",
    "TsodyksMarkram",
    "VoltageSTDP",
    "WangBuzsaki",
]
