// Keeps the open pieces with their undone and made changes, the candidates and the fields in this browser, so that a
// reload loses nothing.

import { $$ } from "./dom.js";
import { Piece } from "./piece.js";

const STORAGE_KEY = "bicinium.open";
const PAUSE_MS = 300;

export class Autosave {
  constructor(studio) {
    this.studio = studio;
    addEventListener("pagehide", () => this.save());
    document.addEventListener("visibilitychange", () => document.hidden && this.save());
    document.addEventListener("change", () => this.later());
  }

  /** Save soon, once for several changes. */
  later() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.save(), PAUSE_MS);
  }

  save() {
    const { views, candidates, sections } = this.studio;
    const pieces = views.map(({ piece }) => piece);
    const all = [...new Set([...pieces, ...candidates.pieces])].filter((piece) => piece.score);
    const state = {
      pieces: all.map((piece) => piece.toFields()),
      open: pieces.map((piece) => all.indexOf(piece)).filter((index) => index >= 0),
      candidates: candidates.pieces.map((piece) => all.indexOf(piece)),
      fields: fieldsOfForms().map((field) => (field.type === "checkbox" || field.type === "radio" ? field.checked : field.value)),
      section: sections[this.studio.section] ? this.studio.section : "compose",
    };
    try {
      localStorage.setItem(STORAGE_KEY, JSON.stringify(state));
    } catch {
      this.studio.showMessage("the browser has no room to save what is open. Download it before you close the page.");
    }
  }

  /** Before a link takes the place of what was open: save the pieces that were edited. */
  rescue() {
    try {
      for (const fields of JSON.parse(localStorage.getItem(STORAGE_KEY))?.pieces ?? []) this.studio.savedPieces.saveEdited(new Piece(fields));
    } catch {
      localStorage.removeItem(STORAGE_KEY);
    }
  }

  /** Open what was open. Returns the section that was shown, or null if nothing was saved. */
  restore() {
    let state;
    try {
      state = JSON.parse(localStorage.getItem(STORAGE_KEY));
      if (!state) return null;
      const fields = fieldsOfForms();
      if (fields.length === state.fields.length) {
        fields.forEach((field, index) => {
          if (field.type === "checkbox" || field.type === "radio") field.checked = state.fields[index];
          else field.value = state.fields[index];
        });
      }
      const pieces = state.pieces.map((fields) => new Piece(fields));
      this.studio.candidates.restore(state.candidates.map((index) => pieces[index]));
      for (const [place, index] of state.open.entries()) {
        if (place) this.studio.addView();
        this.studio.open(pieces[index]);
      }
      return state.section;
    } catch {
      localStorage.removeItem(STORAGE_KEY);
      return null;
    }
  }
}

/** The fields of the forms at the side, always in the same order. */
function fieldsOfForms() {
  const key = (field) => `${field.form?.id && !field.closest(".settings") ? field.form.id : ""} ${field.name || field.id || field.ariaLabel} ${field.value && field.type === "radio" ? field.value : ""}`;
  const fields = $$("#panel :is(input:not([type=file]), select)").map((field) => [key(field), field]);
  return fields.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, field]) => field);
}
