// A music stand: one piece with its title, what can be done with it, engraved score, piano roll.

import * as api from "./api.js";
import { h, clamp } from "./dom.js";
import { linkOf } from "./link.js";
import { Roll } from "./roll.js";
import { Sheet } from "./sheet.js";

const FORMATS = { mid: "MIDI", musicxml: "MusicXML", pdf: "PDF", wav: "WAV", svg: "SVG" };

export class Stand {
  constructor(studio) {
    this.studio = studio;
    const pointing = {
      seek: (tick) => studio.seek(this, tick),
      choose: (bar, further) => this.chooseBar(bar, further),
    };
    this.sheet = new Sheet(pointing);
    this.roll = new Roll(pointing);
    this.head = h("header");
    this.acts = h("div", { class: "acts", role: "group", "aria-label": "What to do with the piece" });
    this.bars = this.barControls();
    this.key = h("p", { class: "key" });
    this.element = h("article", { class: "stand", tabindex: "-1" }, this.head, this.acts, this.sheet.element, this.bars, this.roll.element, this.key);
    this.element.addEventListener("click", ({ target }) => target.closest("button") || studio.attend(this, true));
    new ResizeObserver(() => this.redraw()).observe(this.element);
  }

  async show(piece) {
    this.piece = piece;
    const { music } = piece;
    this.first = piece.first ?? 1;
    this.last = piece.last ?? music.bars;
    this.element.setAttribute("aria-label", piece.title);
    this.writeHead();
    this.writeActs();
    this.fillBars();
    this.bars.hidden = !piece.score;
    this.sheet.element.hidden = !piece.score || !this.studio.about.engraving;
    const engraved = this.sheet.element.hidden || this.sheet.show(piece.score, music, `Score of ${piece.title}, ${piece.imprint}`);
    this.drawRoll(); // while the server engraves
    await engraved;
    this.select();
  }

  redraw() {
    const width = this.element.clientWidth;
    if (!this.piece || Math.abs(width - (this.drawn ?? 0)) < 12) return;
    this.drawRoll();
    this.select();
  }

  drawRoll() {
    const { music, marks, doubts, title } = this.piece;
    this.drawn = this.element.clientWidth;
    this.roll.show(music, { marks: marks ?? [], doubts, label: title });
    const key = [h("i", { class: "c0" }), "upper voice", h("i", { class: "c1" }), "lower voice"];
    if (doubts) key.push(h("i", { class: "cw" }), "probability on what the grammar forbids", h("i", { class: "cs" }), "the model’s surprise");
    if (marks?.length) key.push(h("i", { class: "cw" }), doubts ? "the first choice was forbidden" : "a rule is broken");
    this.key.replaceChildren(...key);
  }

  writeHead() {
    const { piece } = this;
    const marks = h("ul", { class: "marks" });
    for (const [name, value, hint] of piece.marksOf()) marks.append(h("li", { title: hint }, `${name} `, h("b", {}, value)));
    this.head.replaceChildren(h("h2", {}, piece.title), h("p", { class: "imprint" }, piece.imprint), marks);
  }

  writeActs() {
    const { studio, piece } = this;
    const act = (text, does, more = {}) => h("button", { type: "button", onclick: does, ...more }, text);
    const acts = [];
    if (studio.stands.length > 1) acts.push(act("Listen to this one", () => studio.attend(this, true), { class: "listen" }));
    if (piece.wish) acts.push(act("Vary", () => studio.vary(piece), { title: "More in this key, metre and style, with the next seeds" }));
    if (piece.score) acts.push(act(studio.shelf.has(piece) ? "Kept" : "Keep", () => studio.keep(piece), { "aria-pressed": `${studio.shelf.has(piece)}` }));
    if (piece.score) acts.push(act(studio.stands.length > 1 ? "Close" : "Compare", () => studio.compare(this)));
    if (piece.wish) acts.push(act("Copy link", (event) => this.copyLink(event.target), { title: "An address that composes this piece again" }));
    if (piece.score) {
      const save = h("span", { class: "save", role: "group", "aria-label": "Download" }, "Save as");
      for (const format of studio.about.formats.filter((one) => one !== "svg")) {
        save.append(act(FORMATS[format], (event) => this.download(format, event.target), { "data-format": format }));
      }
      acts.push(h("span", { class: "gap" }), save);
    }
    this.acts.replaceChildren(...acts);
  }

  barControls() {
    const number = (name, label) => h("label", {}, label, h("input", { type: "number", name, min: "1", required: true, onchange: () => this.readBars() }));
    const act = (text, does, name) => h("button", { type: "button", onclick: does, name }, text);
    return h(
      "form",
      { class: "bars", onsubmit: (event) => event.preventDefault() },
      h("span", {}, number("first", "Bars"), number("last", "to"), act("Rewrite them", () => this.studio.rewrite(this), "rewrite"), act("Loop them", () => this.studio.loop(this), "loop"), act("All", () => this.all(), "all")),
      h("span", {}, number("goal", "Go on to bar"), act("Continue", () => this.continue(), "continue")),
    );
  }

  fillBars() {
    const { bars } = this.piece.music;
    const { first, last, goal } = this.bars.elements;
    first.max = last.max = bars;
    goal.min = bars + 1;
    goal.max = this.studio.about.most.bars;
    goal.value = Math.min(goal.max, bars + 8);
    [first.value, last.value] = [this.first, this.last];
  }

  readBars() {
    const { bars } = this.piece.music;
    const { first, last } = this.bars.elements;
    this.first = clamp(Math.round(first.valueAsNumber) || 1, 1, bars);
    this.last = clamp(Math.round(last.valueAsNumber) || bars, this.first, bars);
    this.select();
  }

  chooseBar(bar, further) {
    if (!this.piece.score) return;
    const whole = this.first === 1 && this.last === this.piece.music.bars;
    if (further && !whole) [this.first, this.last] = [Math.min(this.first, bar), Math.max(this.last, bar)];
    else this.first = this.last = bar;
    this.select();
  }

  all() {
    this.first = 1;
    this.last = this.piece.music.bars;
    this.select();
  }

  select() {
    const { first, last } = this.bars.elements;
    [first.value, last.value] = [this.first, this.last];
    this.sheet.select(this.first, this.last);
    this.roll.select(this.first, this.last);
    this.studio.chosen(this);
  }

  continue() {
    const { goal } = this.bars.elements;
    if (this.bars.reportValidity()) this.studio.continue(this, goal.valueAsNumber);
  }

  /** Called in every frame while it plays. */
  move(tick, follow) {
    this.roll.move(tick, follow);
    this.sheet.move(tick, follow);
  }

  async copyLink(button) {
    const link = await linkOf(this.piece, this.studio.about);
    history.replaceState(null, "", link);
    try {
      await navigator.clipboard.writeText(location.href);
      button.textContent = "Link copied";
    } catch {
      button.textContent = "It is in the address bar";
    }
    setTimeout(() => (button.textContent = "Copy link"), 2500);
  }

  async download(format, button) {
    const { piece } = this;
    button.disabled = true;
    try {
      const blob = await api.file(piece.score, format, piece.about ?? {}, true);
      const address = URL.createObjectURL(blob);
      h("a", { href: address, download: `${piece.filename}.${format}` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 30000);
    } catch (error) {
      this.studio.say(error.message);
    }
    button.disabled = false;
  }
}
