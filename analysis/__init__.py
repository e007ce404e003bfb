"""What a plasticity rule does: windows, curves, traces, and how to draw them."""

from neurosnn.analysis.curves import FrequencyCurve, pairing_frequency_curve
from neurosnn.analysis.plotting import (
    plot_eligibility,
    plot_learning_curve,
    plot_raster,
    plot_state,
    plot_stdp_window,
)
from neurosnn.analysis.windows import (
    EligibilityTrace,
    StdpWindow,
    eligibility_trace,
    stdp_window,
)

__all__ = [
    "EligibilityTrace",
    "FrequencyCurve",
    "StdpWindow",
    "eligibility_trace",
    "pairing_frequency_curve",
    "plot_eligibility",
    "plot_learning_curve",
    "plot_raster",
    "plot_state",
    "plot_stdp_window",
    "stdp_window",
]
