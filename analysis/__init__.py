"""What a plasticity rule does: windows, curves, traces, gradients, and how to draw them."""

from neurosnn.analysis.activity import (
    Activity,
    Histogram,
    network_activity,
    rate_distribution,
    weight_distribution,
)
from neurosnn.analysis.curves import FrequencyCurve, pairing_frequency_curve
from neurosnn.analysis.fit_rule import fit_rule
from neurosnn.analysis.gradients import (
    AlignmentRecorder,
    CreditCurve,
    alignment,
    credit_curve,
    task_gradient,
)
from neurosnn.analysis.intervals import wilson_interval
from neurosnn.analysis.locality import Locality, locality, locality_table, register_locality
from neurosnn.analysis.measured import (
    LearningTrial,
    MeasuredWindow,
    learning_trials,
    measured_window,
)
from neurosnn.analysis.pairing import PairingProtocol
from neurosnn.analysis.patterns import (
    QuadrupletCurve,
    TripletChanges,
    pattern_change,
    quadruplet_curve,
    triplet_changes,
)
from neurosnn.analysis.plotting import (
    plot_eligibility,
    plot_learning_curve,
    plot_raster,
    plot_state,
    plot_stdp_window,
)
from neurosnn.analysis.plotting_curves import (
    plot_frequency_curve,
    plot_quadruplets,
    plot_rate_curve,
    plot_triplets,
)
from neurosnn.analysis.plotting_networks import (
    plot_alignment,
    plot_credit,
    plot_distribution,
    plot_locality,
    plot_measured_window,
)
from neurosnn.analysis.plotting_study import plot_study
from neurosnn.analysis.plotting_trials import plot_confusion, plot_trials
from neurosnn.analysis.published import PublishedPoints, fit_error, sjostrom_2001, wang_2005
from neurosnn.analysis.rates import RateCurve, rate_curve
from neurosnn.analysis.rule_fit import RuleFit
from neurosnn.analysis.windows import (
    EligibilityTrace,
    GradientWindow,
    StdpWindow,
    eligibility_trace,
    stdp_window,
)

__all__ = [
    "Activity",
    "AlignmentRecorder",
    "CreditCurve",
    "EligibilityTrace",
    "FrequencyCurve",
    "GradientWindow",
    "Histogram",
    "LearningTrial",
    "Locality",
    "MeasuredWindow",
    "PairingProtocol",
    "PublishedPoints",
    "QuadrupletCurve",
    "RateCurve",
    "RuleFit",
    "StdpWindow",
    "TripletChanges",
    "alignment",
    "credit_curve",
    "eligibility_trace",
    "fit_error",
    "fit_rule",
    "learning_trials",
    "locality",
    "locality_table",
    "measured_window",
    "network_activity",
    "pairing_frequency_curve",
    "pattern_change",
    "plot_alignment",
    "plot_confusion",
    "plot_credit",
    "plot_distribution",
    "plot_eligibility",
    "plot_frequency_curve",
    "plot_learning_curve",
    "plot_locality",
    "plot_measured_window",
    "plot_quadruplets",
    "plot_raster",
    "plot_rate_curve",
    "plot_state",
    "plot_stdp_window",
    "plot_study",
    "plot_trials",
    "plot_triplets",
    "quadruplet_curve",
    "rate_curve",
    "rate_distribution",
    "register_locality",
    "sjostrom_2001",
    "stdp_window",
    "task_gradient",
    "triplet_changes",
    "wang_2005",
    "weight_distribution",
    "wilson_interval",
]
