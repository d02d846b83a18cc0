// The candidates of a request as cards, the best first. While more are composed, a last card shows the progress.

import { h, $, renew } from "./dom.js";
import { miniature } from "./pianoRoll.js";

export class Candidates {
  constructor(studio) {
    this.studio = studio;
    this.element = $("#candidates");
    this.pieces = [];
    this.original = null;
    this.finish();
  }

  /** Make room for candidates; ``original`` is the piece that is varied or recomposed. */
  reset(original = null) {
    for (const piece of [...this.pieces, this.original]) if (piece !== original) this.studio.savedPieces.saveEdited(piece);
    this.original = original;
    this.pieces = [];
    this.progress = null; // of the candidate that is farthest, {draw, bars, all_bars}
    this.isComposing = true;
    this.render();
  }

  /** Show pieces of an earlier visit. */
  restore(pieces) {
    this.pieces = pieces;
    this.render();
  }

  /** Add a candidate and return the best one. */
  add(piece, isBest) {
    const known = this.pieces.find((one) => hasSameNotes(one, piece));
    if (known && isBest) this.pieces = [known, ...this.pieces.filter((one) => one !== known)];
    else if (!known) this.pieces = isBest ? [piece, ...this.pieces] : [...this.pieces, piece];
    this.render();
    return this.pieces[0];
  }

  /** Take the chosen piece, which is one of the candidates with more about it; return it. */
  choose(piece) {
    const known = this.pieces.find((one) => hasSameNotes(one, piece));
    if (known) Object.assign(known, { seed: piece.seed, request: piece.request, sheet: piece.sheet, unmet: piece.unmet, remarks: piece.remarks, about: piece.about });
    const best = known ?? piece;
    this.pieces = [best, ...this.pieces.filter((one) => one !== best)];
    for (const view of this.studio.views) if (view.piece === best) view.scoreMeasured();
    this.render();
    return best;
  }

  showProgress(progress) {
    this.progress = progress;
    const card = $(".coming", this.element);
    if (!card) return;
    $("small", card).textContent = progressText(progress);
    $("progress", card).value = progress.bars / progress.all_bars;
  }

  finish() {
    this.isComposing = false;
    this.render();
  }

  render() {
    const cards = this.pieces.map((piece, index) => this.card(piece, index ? `No. ${index + 1}` : "Best"));
    if (this.isComposing) cards.push(this.progressCard());
    if (this.original) cards.push(this.card(this.original, "Original"));
    renew(this.element, ...cards);
    this.element.hidden = !cards.length;
  }

  progressCard() {
    const { progress } = this;
    const share = progress ? progress.bars / progress.all_bars : 0;
    return h("div", { class: "card coming", "aria-hidden": "true" }, h("span", { class: "number" }, this.pieces.length ? "More" : "First"), h("progress", { value: share, max: 1 }), h("small", {}, progress ? progressText(progress) : ""));
  }

  card(piece, number) {
    const isShown = this.studio.views.some((view) => view.piece === piece);
    return h(
      "button",
      { type: "button", class: "card", "aria-pressed": `${isShown}`, onclick: () => this.studio.open(piece) },
      h("span", { class: "number" }, number, h("span", { class: "unseen" }, `, ${piece.title}`)),
      miniature(piece.music),
      h("small", {}, `${piece.music.notes.length} notes${piece.isEdited ? ", edited" : ""}`),
    );
  }
}

function hasSameNotes(one, other) {
  return JSON.stringify(one.score.voices) === JSON.stringify(other.score.voices);
}

/** "bar 3 of 8, attempt 2" */
export function progressText({ draw, bars, all_bars }) {
  const attempt = draw > 1 ? `, attempt ${draw}` : "";
  return `bar ${Math.min(bars + 1, all_bars)} of ${all_bars}${attempt}`;
}
