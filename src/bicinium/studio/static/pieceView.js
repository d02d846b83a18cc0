// The view of one piece: title, actions, engraved score, piano roll.

import * as api from "./api.js";
import { h, clamp } from "./dom.js";
import { linkOf } from "./link.js";
import { PianoRoll } from "./pianoRoll.js";
import { EngravedScore } from "./engraving.js";

const FORMATS = { mid: "MIDI", musicxml: "MusicXML", pdf: "PDF", wav: "WAV", svg: "SVG" };

export class PieceView {
  constructor(studio) {
    this.studio = studio;
    const callbacks = {
      seek: (tick) => studio.seek(this, tick),
      selectBar: (bar, extend) => this.selectBar(bar, extend),
    };
    this.sheet = new EngravedScore(callbacks);
    this.roll = new PianoRoll(callbacks);
    this.head = h("header");
    this.actions = h("div", { class: "actions", role: "group", "aria-label": "Actions" });
    this.bars = this.barControls();
    this.key = h("p", { class: "key" });
    this.element = h("article", { class: "piece-view", tabindex: "-1" }, this.head, this.actions, this.sheet.element, this.bars, this.roll.element, this.key);
    this.element.addEventListener("click", ({ target }) => target.closest("button") || studio.activate(this, true));
    new ResizeObserver(() => this.redraw()).observe(this.element);
  }

  async show(piece) {
    this.piece = piece;
    const { music } = piece;
    this.first = piece.first ?? 1;
    this.last = piece.last ?? music.bars;
    this.element.setAttribute("aria-label", piece.title);
    this.writeHead();
    this.writeActions();
    this.fillBars();
    this.bars.hidden = !piece.score;
    this.sheet.element.hidden = !piece.score || !this.studio.capabilities.engraving;
    const engraved = this.sheet.element.hidden || this.sheet.show(piece.score, music, `Score of ${piece.title}, ${piece.details}`);
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
    const { music, marks, analysis, title } = this.piece;
    this.drawn = this.element.clientWidth;
    this.roll.show(music, { marks: marks ?? [], analysis, label: title });
    const key = [h("i", { class: "c0" }), "upper voice", h("i", { class: "c1" }), "lower voice"];
    if (analysis) key.push(h("i", { class: "cw" }), "probability of forbidden tokens", h("i", { class: "cs" }), "surprisal");
    if (marks?.length) key.push(h("i", { class: "cw" }), analysis ? "most probable token forbidden" : "broken rule");
    this.key.replaceChildren(...key);
  }

  writeHead() {
    const { piece } = this;
    const marks = h("ul", { class: "marks" });
    for (const [name, value, hint] of piece.measures()) marks.append(h("li", { title: hint }, `${name} `, h("b", {}, value)));
    this.head.replaceChildren(h("h2", {}, piece.title), h("p", { class: "details" }, piece.details), marks);
  }

  writeActions() {
    const { studio, piece } = this;
    const action = (text, run, more = {}) => h("button", { type: "button", onclick: run, ...more }, text);
    const actions = [];
    if (studio.views.length > 1) actions.push(action("Play this one", () => studio.activate(this, true), { class: "listen" }));
    if (piece.request) actions.push(action("Vary", () => studio.vary(piece), { title: "Compose more with the same settings and the next seeds" }));
    if (piece.score) actions.push(action(studio.savedPieces.has(piece) ? "Saved" : "Save here", () => studio.toggleSaved(piece), { "aria-pressed": `${studio.savedPieces.has(piece)}` }));
    if (piece.score) actions.push(action(studio.views.length > 1 ? "Close" : "Compare", () => studio.compare(this)));
    if (piece.request) actions.push(action("Copy link", (event) => this.copyLink(event.target), { title: "Copy a link that composes this piece again" }));
    if (piece.score) {
      const save = h("span", { class: "save", role: "group", "aria-label": "Download" }, "Download");
      for (const format of studio.capabilities.formats.filter((one) => one !== "svg")) {
        save.append(action(FORMATS[format], (event) => this.download(format, event.target), { "data-format": format }));
      }
      actions.push(h("span", { class: "gap" }), save);
    }
    this.actions.replaceChildren(...actions);
  }

  barControls() {
    const number = (name, label) => h("label", {}, label, h("input", { type: "number", name, min: "1", required: true, onchange: () => this.readBars() }));
    const action = (text, run, name) => h("button", { type: "button", onclick: run, name }, text);
    return h(
      "form",
      { class: "bars", onsubmit: (event) => event.preventDefault() },
      h("span", {}, number("first", "Bars"), number("last", "to"), action("Rewrite bars", () => this.studio.rewrite(this), "rewrite"), action("Loop bars", () => this.studio.loop(this), "loop"), action("All bars", () => this.selectAll(), "all")),
      h("span", {}, number("goal", "Continue to bar"), action("Continue", () => this.continue(), "continue")),
    );
  }

  fillBars() {
    const { bars } = this.piece.music;
    const { first, last, goal } = this.bars.elements;
    first.max = last.max = bars;
    goal.min = bars + 1;
    goal.max = this.studio.capabilities.limits.bars;
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

  selectBar(bar, extend) {
    if (!this.piece.score) return;
    const whole = this.first === 1 && this.last === this.piece.music.bars;
    if (extend && !whole) [this.first, this.last] = [Math.min(this.first, bar), Math.max(this.last, bar)];
    else this.first = this.last = bar;
    this.select();
  }

  selectAll() {
    this.first = 1;
    this.last = this.piece.music.bars;
    this.select();
  }

  select() {
    const { first, last } = this.bars.elements;
    [first.value, last.value] = [this.first, this.last];
    this.sheet.select(this.first, this.last);
    this.roll.select(this.first, this.last);
    this.studio.barsSelected(this);
  }

  continue() {
    const { goal } = this.bars.elements;
    if (this.bars.reportValidity()) this.studio.continue(this, goal.valueAsNumber);
  }

  /** Called in every frame during playback. */
  move(tick, follow) {
    this.roll.move(tick, follow);
    this.sheet.move(tick, follow);
  }

  async copyLink(button) {
    const link = await linkOf(this.piece, this.studio.capabilities);
    history.replaceState(null, "", link);
    try {
      await navigator.clipboard.writeText(location.href);
      button.textContent = "Link copied";
    } catch {
      button.textContent = "The link is in the address bar";
    }
    setTimeout(() => (button.textContent = "Copy link"), 2500);
  }

  async download(format, button) {
    const { piece } = this;
    button.disabled = true;
    try {
      const blob = await api.exportFile(piece.score, format, piece.about ?? {}, true);
      const address = URL.createObjectURL(blob);
      h("a", { href: address, download: `${piece.filename}.${format}` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 30000);
    } catch (error) {
      this.studio.showMessage(error.message);
    }
    button.disabled = false;
  }
}
