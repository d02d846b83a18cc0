"""The checker finds known faults, written by hand from the definitions of the rules."""

from __future__ import annotations

from collections import Counter

from bicinium.counterpoint import RULES, check_score, load_rule_set

LEAST_FOUND = 0.95


def _finds(case):
    rules = load_rule_set(case["set"])
    if case["rule"] not in rules.names:
        rules = rules.changed(rules.name, "", {case["rule"]: True})
    first, last = case["bars"][0], case["bars"][-1]
    report = check_score(case["score"], rules, case["cantus"])
    return any(one.rule == case["rule"] and first <= one.bar <= last for one in report.faults)


def test_nearly_all_known_faults_are_found(known_faults):
    assert len(known_faults) >= 60
    missed = [(case["rule"], case["why"]) for case in known_faults if not _finds(case)]
    assert len(missed) <= (1 - LEAST_FOUND) * len(known_faults), missed


def test_each_rule_has_two_known_faults(known_faults):
    counts = Counter(case["rule"] for case in known_faults)
    assert set(counts) == set(RULES)
    assert min(counts.values()) >= 2


def test_the_known_faults_are_above_and_below_in_several_keys(known_faults):
    assert len({case["set"].removesuffix("-school") for case in known_faults}) == 6
    assert len({str(case["score"].key) for case in known_faults}) >= 6
    assert {case["cantus"] for case in known_faults} == {None, 0, 1}
