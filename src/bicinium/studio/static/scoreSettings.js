// Title, key, metre, bars and tempo of the score in an editor.

import { h } from "./dom.js";
import { meterOf } from "./music.js";
import { setFields } from "./scoreChanges.js";

export class ScoreSettings {
  constructor(editor) {
    this.editor = editor;
    this.button = h("button", { type: "button", name: "score", "aria-pressed": "false", onclick: () => this.show(this.form.hidden) }, "Score …");
    const { keys, meters, limits } = editor.studio.capabilities;
    const change = () => this.read();
    const select = (label, name, options) => h("label", {}, label, h("select", { name, onchange: change }, options.map(([value, text]) => h("option", { value }, text))));
    const input = (label, name, more) => h("label", {}, label, h("input", { name, onchange: change, required: true, ...more }));
    this.form = h(
      "form",
      { class: "score-settings", hidden: true, onsubmit: (event) => event.preventDefault() },
      input("Title", "title", { maxlength: 200, required: false }),
      select("Key", "key", keys.map(({ name, printed }) => [name, printed])),
      select("Metre", "meter", meters.map((one) => [one, one])),
      input("Bars", "bars", { type: "number", min: 1, max: limits.bars }),
      input("Tempo (♩)", "tempo", { type: "number", min: 20, max: 300, step: "any" }),
    );
  }

  show(isShown) {
    this.form.hidden = !isShown;
    this.button.setAttribute("aria-pressed", `${isShown}`);
    this.fill();
  }

  fill() {
    if (this.form.hidden) return;
    for (const field of this.form.elements) {
      const value = this.editor.score[field.name] ?? "";
      if (field.options && ![...field.options].some((option) => option.value === value)) field.append(h("option", { value }, value || "none"));
      field.value = value;
    }
  }

  read() {
    if (!this.form.reportValidity()) return;
    const { score } = this.editor;
    const { title, key, meter, bars, tempo } = this.form.elements;
    const fields = { title: title.value.trim(), key: key.value || null, meter: meter.value, bars: bars.valueAsNumber, tempo: tempo.valueAsNumber };
    const barTicks = meterOf(fields.meter).bar;
    if (fields.key !== score.key) Object.assign(fields, { fifths: null, mode: "", spellings: [] }); // as usual in the new key
    if (fields.meter !== score.meter) {
      const last = Math.max(1, ...score.voices.flat().map(([onset, , duration]) => onset + duration));
      fields.bars = Math.max(fields.bars, Math.ceil(last / barTicks));
      fields.anacrusis = 0;
    }
    this.editor.make(setFields(score, fields, fields.bars * barTicks), "Score changed");
  }
}
