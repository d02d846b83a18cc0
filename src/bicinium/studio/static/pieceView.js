// The view of one piece: title, actions, tools for editing, engraved score, piano roll.

import * as api from "./api.js";
import { h, $, clamp } from "./dom.js";
import { Editor } from "./editor.js";
import { EngravedScore } from "./engraving.js";
import { linkOf } from "./link.js";
import { PianoRoll } from "./pianoRoll.js";

const FORMATS = { mid: "MIDI", musicxml: "MusicXML", pdf: "PDF", wav: "WAV", svg: "SVG" };

export class PieceView {
  constructor(studio) {
    this.studio = studio;
    this.editor = new Editor(this);
    this.selection = null; // [first, last] bars, or null
    const callbacks = {
      seek: (tick) => studio.seek(this, tick),
      selectBar: (bar, extend) => this.selectBar(bar, extend),
      editor: this.editor,
    };
    this.sheet = new EngravedScore(callbacks);
    this.roll = new PianoRoll(callbacks);
    this.head = h("header");
    this.actions = h("div", { class: "actions", role: "group", "aria-label": "Actions" });
    this.bars = this.barControls();
    this.key = h("p", { class: "key" });
    const keys = h("details", { class: "shortcuts" }, h("summary", {}, "Keys"), h("p", {}, $("#score-keys").textContent));
    const { element: tools, settings } = this.editor;
    this.element = h("article", { class: "piece-view", tabindex: "-1" }, this.head, this.actions, tools, settings.form, this.sheet.element, this.bars, this.roll.element, this.key, keys);
    this.element.addEventListener("click", ({ target }) => target.closest("button") || studio.activate(this, true));
    new ResizeObserver(() => this.redraw()).observe(this.element);
  }

  /** Whether the user does something with the piece, so that no better candidate may take its place. */
  get isInUse() {
    const { piece, editor, selection, sheet, studio } = this;
    const isSelected = selection && `${selection}` !== `${[piece.first, piece.last]}`; // by the user
    return Boolean(piece.isEdited || editor.selected || editor.adding || isSelected || sheet.printWidth || studio.player.playing || $("dialog[open]"));
  }

  async show(piece) {
    this.piece = piece;
    const { music } = piece;
    this.selection = piece.first ? [piece.first, piece.last] : null;
    this.element.setAttribute("aria-label", piece.title);
    this.writeHead();
    this.writeActions();
    this.fillBars();
    this.bars.hidden = !piece.score;
    this.sheet.element.hidden = !piece.score || !this.studio.capabilities.engraving;
    const engraved = this.sheet.element.hidden || this.sheet.show(piece.score, music, `Score of ${piece.title}, ${piece.details}`);
    this.drawRoll(); // while the server engraves
    this.editor.load();
    this.select();
    await engraved;
  }

  /** Draw what changed after an edit. */
  scoreChanged() {
    const { piece, studio } = this;
    const { bars } = piece.music;
    if (this.selection && this.selection[1] > bars) this.selection = null;
    this.writeHead();
    this.writeActions();
    this.fillBars();
    this.drawRoll();
    this.select();
    if (!this.sheet.element.hidden) this.sheet.update(piece.score, piece.music);
    studio.pieceEdited(this);
  }

  /** Show what was found out about the piece. */
  scoreMeasured() {
    this.writeHead();
    this.writeActions();
  }

  /** Show the selected note and the cursor of the editor. */
  showEditing() {
    this.sheet.showEditing();
    this.roll.showEditing();
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
    const isOpen = $("details", this.head)?.open;
    const measures = piece.measures();
    const about = h(
      "details",
      { class: "about", open: isOpen },
      h("summary", {}, piece.remark),
      h("dl", {}, measures.map(([name, value, explanation]) => h("div", {}, h("dt", {}, `${name}: `, h("b", {}, value)), h("dd", {}, explanation)))),
    );
    this.head.replaceChildren(h("h2", {}, piece.title), h("p", { class: "details" }, piece.details), about);
  }

  writeActions() {
    const { studio, piece } = this;
    const action = (text, run, more = {}) => h("button", { type: "button", onclick: run, ...more }, text);
    const actions = [];
    if (studio.views.length > 1) actions.push(action("Play this one", () => studio.activate(this, true), { class: "listen" }));
    if (piece.request) actions.push(action("Vary", () => studio.vary(piece)));
    if (piece.score) actions.push(action(studio.savedPieces.has(piece) ? "Saved" : "Save here", () => studio.toggleSaved(piece), { "aria-pressed": `${studio.savedPieces.has(piece)}` }));
    if (piece.score) actions.push(action(studio.views.length > 1 ? "Close" : "Compare", () => studio.compare(this)));
    if (piece.score) actions.push(action("Share link", (event) => this.shareLink(event.target)), action("Print", () => this.sheet.print()));
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
    const number = (name, label) => h("label", {}, label, h("input", { type: "number", name, min: "1", placeholder: "–", oninput: () => this.readBars() }));
    const action = (text, run, name) => h("button", { type: "button", onclick: run, name }, text);
    return h(
      "form",
      { class: "bars", "aria-label": "Bars", onsubmit: (event) => event.preventDefault() },
      h("span", {}, number("first", "Bars"), number("last", "to"), action("Recompose", () => this.recompose(), "rewrite"), action("Loop", () => this.studio.loop(this), "loop"), action("Deselect", () => this.deselect(), "all")),
      h("span", {}, h("label", {}, "Continue to bar", h("input", { type: "number", name: "goal" })), action("Continue", () => this.continue(), "continue")),
    );
  }

  fillBars() {
    const { bars } = this.piece.music;
    const { first, last, goal } = this.bars.elements;
    first.max = last.max = bars;
    goal.min = bars + 1;
    goal.max = this.studio.capabilities.limits.bars;
    goal.value = Math.min(goal.max, bars + 8);
  }

  /** Read the selected bars from the fields. With one field empty, it is one bar. */
  readBars() {
    const { bars } = this.piece.music;
    const { first, last } = this.bars.elements;
    const from = Math.round(first.valueAsNumber) || Math.round(last.valueAsNumber);
    if (!from) return this.deselect();
    const begin = clamp(from, 1, bars);
    this.selection = [begin, clamp(Math.round(last.valueAsNumber) || begin, begin, bars)];
    this.select();
  }

  selectBar(bar, extend) {
    if (!this.piece.score) return;
    const [first, last] = (extend && this.selection) || [bar, bar];
    this.selection = [Math.min(first, bar), Math.max(last, bar)];
    this.select();
  }

  deselect() {
    this.selection = null;
    this.select();
  }

  select() {
    const { first, last, all } = this.bars.elements;
    [first.value, last.value] = this.selection ?? ["", ""];
    all.disabled = !this.selection;
    this.sheet.select(this.selection);
    this.roll.select(this.selection);
    if (this.piece.score) this.editor.show();
    this.studio.barsSelected(this);
  }

  async recompose() {
    if (!this.selection) {
      const bars = await this.studio.askBars(this.piece.music.bars);
      if (!bars) return;
      this.selection = bars;
      this.select();
    }
    this.studio.rewrite(this);
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

  /** Share a link to the piece with the phone's own dialog, or copy it. */
  async shareLink(button) {
    const link = await linkOf(this.piece, this.studio.capabilities);
    history.replaceState(null, "", link);
    const { title } = this.piece;
    try {
      if (matchMedia("(hover: none)").matches && navigator.share) await navigator.share({ title, url: location.href });
      else {
        await navigator.clipboard.writeText(location.href);
        button.textContent = "Link copied";
      }
    } catch (error) {
      if (error.name !== "AbortError") button.textContent = "The link is in the address bar";
    }
    setTimeout(() => (button.textContent = "Share link"), 2500);
  }

  async download(format, button) {
    const { piece } = this;
    button.disabled = true;
    try {
      const blob = await api.exportFile(piece.score, format, (!piece.isEdited && piece.about) || {}, true);
      const address = URL.createObjectURL(blob);
      h("a", { href: address, download: `${piece.filename}.${format}` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 30000);
    } catch (error) {
      this.studio.showMessage(error.message);
    }
    button.disabled = false;
  }
}
