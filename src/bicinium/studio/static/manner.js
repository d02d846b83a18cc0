// How to compose: style, figures, temperament, candidates, counterpoint. One set of controls for all rooms.

import { h, $, $$ } from "./dom.js";
import { MANNERS } from "./piece.js";
import { pitchName } from "./time.js";

const STRENGTHS = [
  [0, "free"],
  [0.5, "leaning"],
  [1, "strict"],
];
const OCTAVE = 12; // semitones; no compass is narrower

export class Manner {
  constructor(about) {
    this.about = about;
    this.element = $("#manner").content.firstElementChild.cloneNode(true);
    const { style, temperature } = this.controls();
    for (const name of about.styles) style.append(h("option", { value: name }, MANNERS[name] ?? name));
    $("[name=n]", this.element).max = about.most.pieces;
    temperature.addEventListener("input", () => this.warmth());
    const rules = about.constraints.filter(({ name }) => name !== "range" && name !== "ranges");
    $(".rules", this.element).append(...rules.map((rule) => this.rule(rule)));
    this.fillCompass();
    for (const one of $$(".quoting", this.element)) one.hidden = !about.quotations;
    this.element.addEventListener("invalid", ({ target }) => target.closest("details")?.setAttribute("open", ""), true);
    this.warmth();
  }

  controls() {
    const of = (name) => $(`[name=${name}]`, this.element);
    return { style: of("style"), motif_strength: of("motif_strength"), n: of("n"), temperature: of("temperature"), warmth: of("warmth"), max_quote: of("max_quote") };
  }

  usual(name) {
    return this.about.constraints.find((rule) => rule.name === name).usual;
  }

  /** Move the controls to a room. */
  enter(room) {
    $("[data-slot=manner]", room)?.append(this.element);
  }

  warmth() {
    const { temperature, warmth } = this.controls();
    const value = Number(temperature.value);
    const words = value < 0.7 ? "tame" : value < 0.92 ? "calm" : value < 1.08 ? "balanced" : value < 1.2 ? "free" : "wild";
    warmth.value = `${words}, ${value.toFixed(2)}`;
    temperature.setAttribute("aria-valuetext", warmth.value);
  }

  rule({ name, says, usual, strength }) {
    const id = `rule-${name}`;
    const label = h("label", { class: "says", for: id }, says);
    if (strength) return h("div", {}, label, h("select", { id, "data-rule": name }, strengths(usual)));
    return h("div", {}, label, h("input", { id, type: "number", min: "0", step: Number.isInteger(usual) ? "1" : "any", value: usual, "data-rule": name, required: true }));
  }

  /** The compass of each voice: [lowest, highest] of two selects, an octave or more apart. */
  fillCompass() {
    $("#rule-range", this.element).append(...strengths(this.usual("range")));
    const [lowest, highest] = this.about.pitches;
    const pitches = Array.from({ length: highest - lowest + 1 }, (_, index) => lowest + index);
    this.compass = ["Upper", "Lower"].map((voice, part) => {
      const select = (end, kept) => h("select", { "aria-label": `${voice} voice, ${end} note`, onchange: ({ target }) => this.widen(part, target) }, kept.map((pitch) => h("option", { value: pitch }, pitchName(pitch))));
      const ends = [select("lowest", pitches.slice(0, -OCTAVE)), select("highest", pitches.slice(OCTAVE))];
      $(".compass", this.element).append(h("div", { class: "ends" }, h("span", { class: "says" }, `${voice} voice, from`), ends[0], h("span", { class: "says" }, "to"), ends[1]));
      return ends;
    });
    this.setCompass(this.usual("ranges"));
  }

  get ranges() {
    return this.compass.map((ends) => ends.map((select) => Number(select.value)));
  }

  setCompass(ranges) {
    this.compass.forEach((ends, part) => ends.forEach((select, end) => (select.value = ranges[part][end])));
  }

  /** Who names a note wants it kept to; and the other end gives way. */
  widen(part, moved) {
    const [low, high] = this.compass[part];
    if (high.value - low.value < OCTAVE) (moved === low ? high : low).value = Number(moved.value) + (moved === low ? OCTAVE : -OCTAVE);
    const strength = $("#rule-range", this.element);
    if (Number(strength.value) === 0) strength.value = 1;
  }

  /** What differs from the usual. */
  constraints() {
    const asked = {};
    for (const control of $$("[data-rule]", this.element)) {
      if (Number(control.value) !== this.usual(control.dataset.rule)) asked[control.dataset.rule] = Number(control.value);
    }
    const { ranges } = this;
    if (asked.range && `${ranges}` !== `${this.usual("ranges")}`) asked.ranges = ranges;
    return asked;
  }

  /** The part of a wish that these controls are. */
  wish() {
    const { style, motif_strength, n, temperature, max_quote } = this.controls();
    const constraints = this.constraints();
    return {
      n: n.valueAsNumber || 1,
      temperature: Number(temperature.value),
      ...(style.value && { style: style.value }),
      ...(motif_strength.value && { motif_strength: Number(motif_strength.value) }),
      ...(max_quote.value && { max_quote: max_quote.valueAsNumber }),
      ...(Object.keys(constraints).length && { constraints }),
    };
  }

  fill(wish) {
    const { style, motif_strength, temperature, max_quote } = this.controls();
    style.value = wish.style ?? "";
    motif_strength.value = wish.motif_strength ?? "";
    max_quote.value = wish.max_quote ?? "";
    if (wish.temperature) temperature.value = wish.temperature;
    for (const control of $$("[data-rule]", this.element)) {
      const { rule } = control.dataset;
      control.value = wish.constraints?.[rule] ?? this.usual(rule);
    }
    this.setCompass(wish.constraints?.ranges ?? this.usual("ranges"));
    this.warmth();
  }
}

function strengths(usual) {
  const values = STRENGTHS.some(([value]) => value === usual) ? STRENGTHS : [...STRENGTHS, [usual, `${usual}`]];
  return values.map(([value, word]) => h("option", { value, selected: value === usual }, word));
}
