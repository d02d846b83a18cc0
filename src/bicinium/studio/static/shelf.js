// The pieces that were kept, in this browser.

import { h, $ } from "./dom.js";
import { Piece } from "./piece.js";

const PLACE = "bicinium.kept";
const MOST = 24;

export class Shelf {
  constructor(studio) {
    this.studio = studio;
    this.element = $("#kept");
    this.kept = [];
    try {
      this.kept = JSON.parse(localStorage.getItem(PLACE) ?? "[]").map((fields) => new Piece(fields));
    } catch {
      localStorage.removeItem(PLACE);
    }
    this.write();
  }

  find(piece) {
    const notes = JSON.stringify(piece.score?.voices);
    return this.kept.findIndex((one) => JSON.stringify(one.score.voices) === notes);
  }

  has(piece) {
    return this.find(piece) >= 0;
  }

  toggle(piece) {
    const at = this.find(piece);
    if (at >= 0) this.kept.splice(at, 1);
    else this.kept.unshift(piece);
    this.kept.length = Math.min(MOST, this.kept.length);
    this.write();
    const fields = this.kept.map(({ score, seed, style, about, sheet, valid, wish, name, title }) => ({ score, seed, style, about, sheet, valid, wish, name, title }));
    try {
      localStorage.setItem(PLACE, JSON.stringify(fields));
    } catch {
      this.studio.say("the browser has no room to keep more pieces beyond this visit");
    }
  }

  write() {
    this.element.hidden = !this.kept.length;
    const rows = this.kept.map((piece) =>
      h(
        "li",
        {},
        h("button", { type: "button", onclick: () => this.studio.place(piece) }, piece.title, h("small", {}, piece.imprint)),
        h("button", { type: "button", class: "quiet", "aria-label": `Remove ${piece.title} from what is kept`, onclick: () => this.studio.keep(piece) }, "×"),
      ),
    );
    $("ul", this.element).replaceChildren(...rows);
  }
}
