"""Studies: one function of parameters and a seed, over a grid or at random."""

from neurosnn.study.adaptive import search
from neurosnn.study.study import Choice, LogUniform, Study, StudyMeans, StudyTable, Uniform

__all__ = ["Choice", "LogUniform", "Study", "StudyMeans", "StudyTable", "Uniform", "search"]
