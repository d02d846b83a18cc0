// The pieces of one wish, as cards: they appear as they are composed, and go on the stand when pressed.

import { h, $ } from "./dom.js";
import { miniature } from "./roll.js";
import { ROMAN } from "./time.js";

export class Candidates {
  constructor(studio) {
    this.studio = studio;
    this.element = $("#candidates");
    this.pieces = [];
  }

  /** Make room for ``coming`` pieces; ``before`` is what they come from, where they come from one. */
  begin(coming, before) {
    this.before = before;
    this.coming = coming;
    this.pieces = [];
    this.best = null;
    this.write();
  }

  add(piece) {
    this.pieces.push(piece);
    this.coming -= 1;
    this.write();
  }

  end() {
    this.coming = 0;
    const judged = this.pieces.filter((piece) => piece.sheet);
    this.best = judged.length > 1 ? judged.reduce((best, one) => (one.sheet.total > best.sheet.total ? one : best)) : null;
    this.write();
  }

  write() {
    const cards = this.pieces.map((piece, index) => this.card(piece, ROMAN[index] ?? `${index + 1}`));
    if (this.before) cards.unshift(this.card(this.before, "as it was"));
    for (let rest = this.coming; rest > 0; rest -= 1) cards.push(h("div", { class: "card coming", "aria-hidden": "true" }, h("span", { class: "number" }, ROMAN[this.pieces.length + this.coming - rest] ?? "…")));
    this.element.replaceChildren(...cards);
    this.element.hidden = !cards.length;
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
