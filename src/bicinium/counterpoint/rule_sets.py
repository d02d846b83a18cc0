"""Sets of rules: the five species, strict and as taught in schools, Bach, and a teacher's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from bicinium.counterpoint import cadence, dissonance, melody, motion, species
from bicinium.counterpoint.rule import Rule, Severity
from bicinium.errors import RequestError
from bicinium.yaml_text import explain_yaml_error, parse_yaml

RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        motion.ConsecutivePerfects, motion.PerfectsOnDownbeats, motion.HiddenPerfects,
        motion.ParallelRun, motion.Crossing, motion.Overlap, motion.Spacing, motion.Unison,
        motion.FalseRelation, dissonance.UnexplainedDissonance, melody.MelodicInterval,
        melody.LeapRecovery, melody.TwoLeaps, melody.TritoneOutline, melody.RepeatedNotes,
        melody.Climax, melody.Range, cadence.Beginning, cadence.Ending, cadence.CadenceFormula,
        cadence.TonicEnding, cadence.LeadingNote, species.SpeciesRhythm, species.Syncopation,
        species.OutsideMode,
    )
}  # fmt: skip
_OFF = "off"
_PASSING = ("passing", "neighbour")
_FIGURES: dict[int, tuple[str, ...]] = {
    1: (),
    2: ("passing",),
    3: (*_PASSING, "double_neighbour", "cambiata"),
    4: ("suspension",),
    5: (*_PASSING, "double_neighbour", "cambiata", "suspension", "anticipation"),
}
_ALL_FIGURES = tuple(figure.name.lower() for figure in dissonance.Figure)


@dataclass(frozen=True)
class RuleSet:
    """Rules with their options. ``needs_cantus``: one voice must be a cantus firmus."""

    name: str
    description: str
    rules: tuple[Rule, ...]
    needs_cantus: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the rules."""
        return tuple(rule.name for rule in self.rules)

    def changed(self, name: str, description: str, options: Mapping[str, Any]) -> RuleSet:
        """Return the set with other options, by the name of the rule: ``off``, a severity, or a
        mapping of options. Raises RequestError for a name or a value that does not exist.
        """
        rules = {rule.name: rule for rule in self.rules}
        for rule_name, wanted in options.items():
            if rule_name not in RULES:
                raise RequestError(_unknown("rule", rule_name, RULES))
            if wanted is False or wanted == _OFF:
                rules.pop(rule_name, None)
                continue
            rule = rules.get(rule_name) or RULES[rule_name]()
            rules[rule_name] = _with_options(rule, wanted)
        return RuleSet(name, description, tuple(rules.values()), self.needs_cantus)


def _with_options(rule: Rule, wanted: object) -> Rule:
    """Return a rule with other options. Raises RequestError for a wrong one."""
    if wanted is True:
        return rule
    if isinstance(wanted, str):
        wanted = {"severity": wanted}
    if not isinstance(wanted, Mapping):
        raise RequestError(
            f"The rule {rule.name!r} takes 'off', a severity or a mapping of options "
            f"(got {wanted!r})."
        )
    values = dict(wanted)
    for option, value in values.items():
        if option not in rule.options():
            raise RequestError(
                _unknown(f"option of the rule {rule.name!r}", option, rule.options())
            )
        values[option] = _checked(rule, option, value)
    return replace(rule, **values)


def _checked(rule: Rule, option: str, value: object) -> object:
    """Return a value of the type of the option's default. Raises RequestError otherwise."""
    default = getattr(rule, option)
    if isinstance(default, Severity):
        try:
            return Severity(str(value))
        except ValueError:
            raise RequestError(_unknown("severity", value, Severity)) from None
    if isinstance(default, tuple) and isinstance(value, list):
        unknown = [name for name in value if name not in _ALL_FIGURES]
        if unknown:
            raise RequestError(_unknown("figure", unknown[0], _ALL_FIGURES))
        return tuple(value)
    kinds = (int, float) if isinstance(default, float) else type(default)
    if isinstance(value, bool) != isinstance(default, bool) or not isinstance(value, kinds):
        raise RequestError(
            f"{option} of the rule {rule.name!r} must be like {default!r} (got {value!r})."
        )
    return value


def _unknown(kind: str, name: object, known: Any) -> str:
    return f"There is no {kind} {name!r}. Choose one of {', '.join(map(str, known))}."


def _species(number: int, strict: bool) -> RuleSet:
    """Return the rules of a species. The school version is less strict in what leaps may do."""
    less = Severity.ERROR if strict else Severity.WARNING
    rules: list[Rule] = [
        species.SpeciesRhythm(species=number),
        cadence.Beginning(),
        cadence.Ending(),
        cadence.CadenceFormula(),
        motion.ConsecutivePerfects(contrary=strict),
        motion.HiddenPerfects(severity=less, upper_may_step=not strict),
        motion.Crossing(),
        motion.Spacing(),
        motion.FalseRelation(),
        dissonance.UnexplainedDissonance(figures=_FIGURES[number]),
        melody.MelodicInterval(sixths="minor_up" if strict else "all"),
        melody.LeapRecovery(),
        melody.TwoLeaps(),
        melody.TritoneOutline(),
        melody.RepeatedNotes(most=1 if number in (1, 5) else 0),
        melody.Range(),
        melody.Climax(),
        species.OutsideMode(),
    ]
    if number in (1, 2):
        rules.append(motion.Unison(on_weak_beats=number > 1))
        rules.append(motion.ParallelRun(most=3 if number == 1 else 6))
    if number in (2, 3):
        rules.append(motion.PerfectsOnDownbeats(severity=less if number == 2 else Severity.WARNING))
    if number == 4:
        rules.append(species.Syncopation())
    kind = "strict" if strict else "as taught in schools"
    name = f"species{number}" if strict else f"species{number}-school"
    return RuleSet(name, f"species {number}, {kind}", tuple(rules), needs_cantus=number > 1)


BACH = RuleSet(
    "bach",
    "free counterpoint of the eighteenth century",
    (
        motion.ConsecutivePerfects(),
        motion.HiddenPerfects(
            severity=Severity.HINT, upper_may_step=True, lower_may_step=True, only_on_beats=True
        ),
        dissonance.UnexplainedDissonance(
            severity=Severity.WARNING, figures=_ALL_FIGURES, accented=True, only_struck=True
        ),
        motion.FalseRelation(severity=Severity.HINT),
        cadence.TonicEnding(),
        cadence.LeadingNote(),
    ),
)

RULE_SETS: dict[str, RuleSet] = {
    rule_set.name: rule_set
    for rule_set in (
        *(_species(number, strict) for strict in (True, False) for number in range(1, 6)),
        BACH,
    )
}


def load_rule_set(name: str | Path | RuleSet) -> RuleSet:
    """Return a rule set by its name, or from a YAML file.

    The file has the keys ``base`` (the name of a set), ``name``, ``description`` and ``rules``, a
    mapping as in ``RuleSet.changed``. Raises RequestError for an unknown name or a wrong key.
    """
    if isinstance(name, RuleSet):
        return name
    if str(name) in RULE_SETS:
        return RULE_SETS[str(name)]
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise RequestError(
            f"{_unknown('rule set', str(name), RULE_SETS)[:-1]}, or a YAML file of your own."
        )
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        reason = explain_yaml_error(error)
        raise RequestError(f"{path} cannot be read as a rule set: {reason}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} cannot be read as a rule set: {error}") from error
    if not isinstance(document, dict):
        raise RequestError(f"{path} must have the keys base, name and rules.")
    for key in document:
        if key not in ("base", "name", "description", "rules"):
            raise RequestError(
                f"{path}: {_unknown('key', key, ('base', 'name', 'description', 'rules'))}"
            )
    base = document.get("base", "species1")
    if not isinstance(base, str) or base not in RULE_SETS:
        raise RequestError(f"{path}: {_unknown('rule set', base, RULE_SETS)}")
    title = str(document.get("name", path.stem))
    changes = document.get("rules") or {}
    if not isinstance(changes, Mapping):
        raise RequestError(f"{path}: rules must be a mapping, such as 'climax: off'.")
    try:
        return RULE_SETS[base].changed(title, str(document.get("description", title)), changes)
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from error
