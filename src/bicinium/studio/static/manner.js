// How to compose: style, temperament, candidates, counterpoint. One set of controls for all rooms.

import { h, $, $$ } from "./dom.js";
import { MANNERS } from "./piece.js";

const STRENGTHS = [
  [0, "free"],
  [0.5, "leaning"],
  [1, "strict"],
];

export class Manner {
  constructor(about) {
    this.about = about;
    this.element = $("#manner").content.firstElementChild.cloneNode(true);
    const { style, temperature } = this.controls();
    for (const name of about.styles) style.append(h("option", { value: name }, MANNERS[name] ?? name));
    $("[name=n]", this.element).max = about.most.pieces;
    temperature.addEventListener("input", () => this.warmth());
    $(".rules", this.element).append(...about.constraints.map((rule) => this.rule(rule)).filter(Boolean));
    this.warmth();
  }

  controls() {
    const of = (name) => $(`[name=${name}]`, this.element);
    return { style: of("style"), n: of("n"), temperature: of("temperature"), warmth: of("warmth") };
  }

  /** Move the controls to a room. */
  enter(room) {
    $("[data-slot=manner]", room)?.append(this.element);
  }

  warmth() {
    const { temperature, warmth } = this.controls();
    const value = Number(temperature.value);
    const words = value < 0.75 ? "tame" : value < 0.95 ? "calm" : value < 1.08 ? "balanced" : value < 1.2 ? "free" : "wild";
    warmth.value = `${words}, ${value.toFixed(2)}`;
    temperature.setAttribute("aria-valuetext", warmth.value);
  }

  rule({ name, says, usual, strength }) {
    const id = `rule-${name}`;
    const label = h("label", { class: "says", for: id }, says);
    if (strength) {
      const select = h("select", { id, "data-rule": name });
      const values = STRENGTHS.some(([value]) => value === usual) ? STRENGTHS : [...STRENGTHS, [usual, `${usual}`]];
      for (const [value, word] of values) select.append(h("option", { value, selected: value === usual }, word));
      return h("div", {}, label, select);
    }
    if (typeof usual !== "number") return null; // ranges: a list, left to the command line
    return h("div", {}, label, h("input", { id, type: "number", min: "0", step: Number.isInteger(usual) ? "1" : "any", value: usual, "data-rule": name, required: true }));
  }

  /** What differs from the usual. */
  constraints() {
    const asked = {};
    for (const control of $$("[data-rule]", this.element)) {
      const usual = this.about.constraints.find((rule) => rule.name === control.dataset.rule).usual;
      if (Number(control.value) !== usual) asked[control.dataset.rule] = Number(control.value);
    }
    return asked;
  }

  /** The part of a wish that these controls are. */
  wish() {
    const { style, n, temperature } = this.controls();
    const constraints = this.constraints();
    return {
      n: n.valueAsNumber || 1,
      temperature: Number(temperature.value),
      ...(style.value && { style: style.value }),
      ...(Object.keys(constraints).length && { constraints }),
    };
  }

  fill(wish) {
    const { style, temperature } = this.controls();
    style.value = wish.style ?? "";
    if (wish.temperature) temperature.value = wish.temperature;
    for (const control of $$("[data-rule]", this.element)) {
      const { name, usual } = this.about.constraints.find((rule) => rule.name === control.dataset.rule);
      control.value = wish.constraints?.[name] ?? usual;
    }
    this.warmth();
  }
}
