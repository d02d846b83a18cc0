// Pieces saved in this browser.

import { h, $ } from "./dom.js";
import { Piece } from "./piece.js";

const STORAGE_KEY = "bicinium.kept";
const MAX_PIECES = 100;

export class SavedPieces {
  constructor(studio) {
    this.studio = studio;
    this.element = $("#saved");
    this.pieces = [];
    try {
      this.pieces = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "[]").map((fields) => new Piece(updateFields(fields)));
    } catch {
      localStorage.removeItem(STORAGE_KEY);
    }
    this.render();
  }

  find(piece) {
    const notes = JSON.stringify(piece.score?.voices);
    return this.pieces.findIndex((one) => JSON.stringify(one.score.voices) === notes);
  }

  has(piece) {
    return this.find(piece) >= 0;
  }

  /** Save a piece, or remove it if it is saved. */
  toggle(piece) {
    const index = this.find(piece);
    if (index >= 0) this.pieces.splice(index, 1);
    else this.pieces.unshift(new Piece({ ...piece.toFields(), isWritten: piece.isEdited, history: undefined }));
    this.store();
  }

  /** Save a piece that is about to be closed, if its edits would be lost. */
  saveEdited(piece) {
    if (piece?.isEdited && piece.music.notes.length && !this.has(piece)) this.toggle(piece);
  }

  store() {
    this.pieces.length = Math.min(MAX_PIECES, this.pieces.length);
    this.render();
    try {
      localStorage.setItem(STORAGE_KEY, JSON.stringify(this.pieces.map((piece) => piece.toFields())));
    } catch {
      this.studio.showMessage("the browser has no room to save more pieces");
    }
  }

  render() {
    this.element.hidden = !this.pieces.length;
    const rows = this.pieces.map((piece) =>
      h(
        "li",
        {},
        h("button", { type: "button", onclick: () => this.studio.open(new Piece(piece.toFields())) }, piece.title, h("small", {}, piece.details)),
        h("button", { type: "button", class: "quiet", "aria-label": `Remove ${piece.title} from the saved pieces`, onclick: () => this.studio.toggleSaved(piece) }, "×"),
      ),
    );
    $("ul", this.element).replaceChildren(...rows);
  }
}

/** Rename the fields of pieces that were saved by older versions. */
function updateFields({ wish, ...fields }) {
  if (!wish) return fields;
  const { given, recurrence, ...request } = wish;
  return { ...fields, request: { ...request, ...(given && { source: given }), ...(recurrence !== undefined && { motif_strength: recurrence }) } };
}
