"""Counterpoint of two voices: rules, sets of rules, and a checker that names every fault."""

from bicinium.counterpoint.checker import CounterpointReport, check_score
from bicinium.counterpoint.rule import Fault, Rule, Severity
from bicinium.counterpoint.rule_sets import RULE_SETS, RULES, RuleSet, load_rule_set

__all__ = [
    "RULES",
    "RULE_SETS",
    "CounterpointReport",
    "Fault",
    "Rule",
    "RuleSet",
    "Severity",
    "check_score",
    "load_rule_set",
]
