"""Learning rules: their type, and one folder a rule."""

from neurosnn.rules.base import Rule
from neurosnn.rules.bptt import BPTT
from neurosnn.rules.eprop import EProp
from neurosnn.rules.eventprop import EventProp

__all__ = ["BPTT", "NAMED", "EProp", "EventProp", "Rule"]

#: Rules by the names that recipes and the command line use.
NAMED: dict[str, type[Rule]] = {rule.name: rule for rule in (EProp, EventProp, BPTT)}
