// The pieces of one wish, as cards in the order of their seeds: each says how far it is, shows what it
// is when it is composed, and goes on the stand when pressed.

import { h, $, renew } from "./dom.js";
import { miniature } from "./roll.js";
import { ROMAN } from "./time.js";

export class Candidates {
  constructor(studio) {
    this.studio = studio;
    this.element = $("#candidates");
    this.begin();
  }

  get pieces() {
    return this.slots.map(({ piece }) => piece).filter(Boolean);
  }

  /** The draft that is nearest to its end, {draw, bars, all_bars}; undefined where none is begun. */
  get nearest() {
    const drafts = this.slots.filter(({ piece, draft }) => draft && !piece).map(({ draft }) => draft);
    return drafts.sort((a, b) => b.bars / b.all_bars - a.bars / a.all_bars)[0];
  }

  /** Make room for what is wished for; ``before`` is what it comes from, where it comes from a piece. */
  begin({ n = 0, seed = 0 } = {}, before = null) {
    this.before = before;
    this.slots = Array.from({ length: n }, (_, index) => ({ seed: seed + index }));
    this.best = null;
    this.write();
  }

  add(piece) {
    this.slots.find(({ seed }) => seed === piece.seed).piece = piece;
    this.write();
  }

  /** A piece that is being composed is so far. */
  tell(draft) {
    const slot = this.slots.find(({ seed }) => seed === draft.seed);
    slot.draft = draft;
    $("small", slot.card).textContent = barOf(draft);
    $("progress", slot.card).value = draft.bars / draft.all_bars;
  }

  end() {
    this.slots = this.slots.filter(({ piece }) => piece);
    const judged = this.pieces.filter((piece) => piece.sheet);
    this.best = judged.length > 1 ? judged.reduce((best, one) => (one.sheet.total > best.sheet.total ? one : best)) : null;
    this.write();
  }

  write() {
    const cards = this.slots.map((slot, index) => (slot.card = slot.piece ? this.card(slot.piece, ROMAN[index]) : this.coming(slot, ROMAN[index])));
    if (this.before) cards.unshift(this.card(this.before, "as it was"));
    renew(this.element, ...cards);
    this.element.hidden = !cards.length;
  }

  coming({ draft }, number) {
    const share = draft ? draft.bars / draft.all_bars : 0;
    return h("div", { class: "card coming", "aria-hidden": "true" }, h("span", { class: "number" }, number), h("progress", { value: share, max: 1 }), h("small", {}, draft ? barOf(draft) : ""));
  }

  card(piece, number) {
    const shown = this.studio.stands.some((stand) => stand.piece === piece);
    const { sheet } = piece;
    const best = piece === this.best;
    const words = [`${piece.music.notes.length} notes`];
    if (piece.seed !== undefined) words.push(`seed ${piece.seed}`);
    return h(
      "button",
      { type: "button", class: "card", "aria-pressed": `${shown}`, onclick: () => this.studio.place(piece) },
      h("span", { class: "number" }, number, h("span", { class: "unseen" }, `, ${piece.title}`)),
      sheet ? h("span", { class: `worth${best ? " best" : ""}`, title: "Its score sheet in one number, 0 to 1" }, best ? `the best, ${sheet.total.toFixed(2)}` : sheet.total.toFixed(2)) : null,
      miniature(piece.music),
      h("small", {}, words.join(" · ")),
    );
  }
}

/** "bar 3 of 8"; what is written says which bar it is at. */
export function barOf({ draw, bars, all_bars }) {
  const again = draw > 1 ? `, draft ${draw}` : "";
  return `bar ${Math.min(bars + 1, all_bars)} of ${all_bars}${again}`;
}
