// The pieces of one request as cards, in the order of their seeds. A card shows the progress, then the
// piece, and opens it.

import { h, $, renew } from "./dom.js";
import { miniature } from "./pianoRoll.js";
import { ROMAN } from "./music.js";

export class Candidates {
  constructor(studio) {
    this.studio = studio;
    this.element = $("#candidates");
    this.reset();
  }

  get pieces() {
    return this.slots.map(({ piece }) => piece).filter(Boolean);
  }

  /** The unfinished piece that is nearest to its end, {draw, bars, all_bars}; undefined if there is none. */
  get mostAdvanced() {
    const unfinished = this.slots.filter(({ piece, progress }) => progress && !piece).map(({ progress }) => progress);
    return unfinished.sort((a, b) => b.bars / b.all_bars - a.bars / a.all_bars)[0];
  }

  /** Make room for the pieces of a request; ``original`` is the piece that it varies or rewrites. */
  reset({ n = 0, seed = 0 } = {}, original = null) {
    this.original = original;
    this.slots = Array.from({ length: n }, (_, index) => ({ seed: seed + index }));
    this.best = null;
    this.render();
  }

  add(piece) {
    this.slots.find(({ seed }) => seed === piece.seed).piece = piece;
    this.render();
  }

  showProgress(progress) {
    const slot = this.slots.find(({ seed }) => seed === progress.seed);
    slot.progress = progress;
    $("small", slot.card).textContent = progressText(progress);
    $("progress", slot.card).value = progress.bars / progress.all_bars;
  }

  /** All pieces are done: remove empty slots and mark the best. */
  finish() {
    this.slots = this.slots.filter(({ piece }) => piece);
    const scored = this.pieces.filter((piece) => piece.sheet);
    this.best = scored.length > 1 ? scored.reduce((best, one) => (one.sheet.total > best.sheet.total ? one : best)) : null;
    this.render();
  }

  render() {
    const cards = this.slots.map((slot, index) => (slot.card = slot.piece ? this.card(slot.piece, ROMAN[index]) : this.progressCard(slot, ROMAN[index])));
    if (this.original) cards.unshift(this.card(this.original, "original"));
    renew(this.element, ...cards);
    this.element.hidden = !cards.length;
  }

  progressCard({ progress }, number) {
    const share = progress ? progress.bars / progress.all_bars : 0;
    return h("div", { class: "card coming", "aria-hidden": "true" }, h("span", { class: "number" }, number), h("progress", { value: share, max: 1 }), h("small", {}, progress ? progressText(progress) : ""));
  }

  card(piece, number) {
    const isShown = this.studio.views.some((view) => view.piece === piece);
    const { sheet } = piece;
    const isBest = piece === this.best;
    const words = [`${piece.music.notes.length} notes`];
    if (piece.seed !== undefined) words.push(`seed ${piece.seed}`);
    return h(
      "button",
      { type: "button", class: "card", "aria-pressed": `${isShown}`, onclick: () => this.studio.open(piece) },
      h("span", { class: "number" }, number, h("span", { class: "unseen" }, `, ${piece.title}`)),
      sheet ? h("span", { class: `total${isBest ? " best" : ""}`, title: "Total score, 0 to 1" }, isBest ? `best, ${sheet.total.toFixed(2)}` : sheet.total.toFixed(2)) : null,
      miniature(piece.music),
      h("small", {}, words.join(" · ")),
    );
  }
}

/** "bar 3 of 8, attempt 2" */
export function progressText({ draw, bars, all_bars }) {
  const attempt = draw > 1 ? `, attempt ${draw}` : "";
  return `bar ${Math.min(bars + 1, all_bars)} of ${all_bars}${attempt}`;
}
