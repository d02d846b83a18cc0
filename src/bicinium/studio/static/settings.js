// Settings of a request: style, candidates, motifs, temperature, constraints. One set of controls for all sections.

import { h, $, $$ } from "./dom.js";
import { STYLE_NAMES } from "./piece.js";
import { pitchName } from "./music.js";

const STRENGTHS = [
  [0, "off"],
  [0.5, "preferred"],
  [1, "required"],
];
const MIN_RANGE = 12; // semitones

export class Settings {
  constructor(capabilities) {
    this.capabilities = capabilities;
    this.element = $("#settings").content.firstElementChild.cloneNode(true);
    const { style, temperature } = this.controls();
    for (const name of capabilities.styles) style.append(h("option", { value: name }, STYLE_NAMES[name] ?? name));
    $("[name=best_of]", this.element).max = capabilities.limits.candidates;
    temperature.addEventListener("input", () => this.showVariety());
    const constraints = capabilities.constraints.filter(({ name }) => name !== "range");
    $(".rules", this.element).append(...constraints.map((constraint) => this.constraintControl(constraint)));
    this.fillRanges();
    for (const one of $$(".quoting", this.element)) one.hidden = !capabilities.quotations;
    this.element.addEventListener("invalid", ({ target }) => target.closest("details")?.setAttribute("open", ""), true);
    this.showVariety();
  }

  controls() {
    const of = (name) => $(`[name=${name}]`, this.element);
    return { style: of("style"), motifStrength: of("motif_strength"), bestOf: of("best_of"), temperature: of("temperature"), variety: of("variety"), maxQuote: of("max_quote") };
  }

  defaultOf(name) {
    return this.capabilities.constraints.find((constraint) => constraint.name === name).default;
  }

  /** Move the controls into a section. */
  moveTo(section) {
    $("[data-slot=settings]", section)?.append(this.element);
  }

  showVariety() {
    const { temperature, variety } = this.controls();
    const value = Number(temperature.value);
    const word = value < 0.7 ? "very low" : value < 0.92 ? "low" : value < 1.08 ? "normal" : value < 1.2 ? "high" : "very high";
    variety.value = `${word}, ${value.toFixed(2)}`;
    temperature.setAttribute("aria-valuetext", variety.value);
  }

  constraintControl({ name, label, default: usual, is_strength }) {
    const id = `rule-${name}`;
    const control = is_strength
      ? h("select", { id, "data-rule": name }, strengthOptions(usual))
      : h("input", { id, type: "number", min: "0", step: Number.isInteger(usual) ? "1" : "any", value: usual, "data-rule": name, required: true });
    return h("div", {}, h("label", { class: "label", for: id }, label), control);
  }

  /** The range of each voice: [lowest, highest] as two selects, at least an octave apart. */
  fillRanges() {
    $("#rule-range", this.element).append(...strengthOptions(this.defaultOf("range")));
    const [lowest, highest] = this.capabilities.pitches;
    const pitches = Array.from({ length: highest - lowest + 1 }, (_, index) => lowest + index);
    this.rangeControls = ["Upper", "Lower"].map((voice, part) => {
      const select = (end, choices) => h("select", { "aria-label": `${voice} voice, ${end} note`, onchange: ({ target }) => this.rangeChanged(part, target) }, choices.map((pitch) => h("option", { value: pitch }, pitchName(pitch))));
      const ends = [select("lowest", pitches.slice(0, -MIN_RANGE)), select("highest", pitches.slice(MIN_RANGE))];
      $(".ranges", this.element).append(h("div", { class: "ends" }, h("span", { class: "label" }, `${voice} voice, from`), ends[0], h("span", { class: "label" }, "to"), ends[1]));
      return ends;
    });
    this.setRanges(this.capabilities.default_ranges);
  }

  get ranges() {
    return this.rangeControls.map((ends) => ends.map((select) => Number(select.value)));
  }

  setRanges(ranges) {
    this.rangeControls.forEach((ends, part) => ends.forEach((select, end) => (select.value = ranges[part][end])));
  }

  /** Keep the changed end and move the other if the range is too small. A changed range is required. */
  rangeChanged(part, changed) {
    const [low, high] = this.rangeControls[part];
    if (high.value - low.value < MIN_RANGE) (changed === low ? high : low).value = Number(changed.value) + (changed === low ? MIN_RANGE : -MIN_RANGE);
    const strength = $("#rule-range", this.element);
    if (Number(strength.value) === 0) strength.value = 1;
  }

  /** The constraints that differ from the defaults. */
  constraints() {
    const changed = {};
    for (const control of $$("[data-rule]", this.element)) {
      if (Number(control.value) !== this.defaultOf(control.dataset.rule)) changed[control.dataset.rule] = Number(control.value);
    }
    const { ranges } = this;
    if (changed.range && `${ranges}` !== `${this.capabilities.default_ranges}`) changed.ranges = ranges;
    return changed;
  }

  /** The part of a request that these controls set. */
  request() {
    const { style, motifStrength, bestOf, temperature, maxQuote } = this.controls();
    const constraints = this.constraints();
    return {
      n: 1,
      best_of: bestOf.valueAsNumber || 1,
      temperature: Number(temperature.value),
      ...(style.value && { style: style.value }),
      ...(motifStrength.value && { motif_strength: Number(motifStrength.value) }),
      ...(maxQuote.value && { max_quote: maxQuote.valueAsNumber }),
      ...(Object.keys(constraints).length && { constraints }),
    };
  }

  fill(request) {
    const { style, motifStrength, bestOf, temperature, maxQuote } = this.controls();
    style.value = request.style ?? "";
    bestOf.value = request.best_of;
    motifStrength.value = request.motif_strength ?? "";
    maxQuote.value = request.max_quote ?? "";
    if (request.temperature) temperature.value = request.temperature;
    for (const control of $$("[data-rule]", this.element)) {
      const { rule } = control.dataset;
      control.value = request.constraints?.[rule] ?? this.defaultOf(rule);
    }
    this.setRanges(request.constraints?.ranges ?? this.capabilities.default_ranges);
    this.showVariety();
  }
}

function strengthOptions(usual) {
  const values = STRENGTHS.some(([value]) => value === usual) ? STRENGTHS : [...STRENGTHS, [usual, `${usual}`]];
  return values.map(([value, word]) => h("option", { value, selected: value === usual }, word));
}
