// The room "Your line": a file or a line that somebody wrote, and the other voice asked for.

import * as api from "./api.js";
import { $, $$ } from "./dom.js";
import { newSeed } from "./composing.js";
import { Editor } from "./editor.js";
import { Piece } from "./piece.js";

export class Line {
  constructor(studio) {
    this.studio = studio;
    this.room = $("section[data-room=line]");
    this.form = $("#line");
    this.given = null; // a score
    this.editor = new Editor(studio, (score, voice) => this.written(score, voice));
    dropping($("[data-drop=line]"), (upload) => this.bring(upload));
    $("#write-line").addEventListener("click", () => {
      this.studio.clear();
      this.editor.open();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
  }

  leave() {
    this.editor.close();
  }

  enter() {
    if (this.editing) this.editor.open();
  }

  written(score, voice) {
    this.editing = true;
    this.given = score;
    $$("input[name=use]", this.form).forEach((radio) => (radio.checked = radio.value === voice));
    this.form.hidden = !score.voices.flat().length;
  }

  async bring(upload, reduce = false) {
    const { studio } = this;
    studio.say("");
    try {
      const found = await api.read(upload, reduce);
      if (!found.score) {
        const retry = found.reducible ? { text: "Take its outer voices", does: () => this.bring(upload, true) } : null;
        studio.say(found.why, retry);
        return;
      }
      this.editing = false;
      this.editor.close();
      this.given = found.score;
      this.form.hidden = false;
      const lower = found.lines === 1 && mean(found.score) < 57;
      $$("input[name=use]", this.form).forEach((radio) => (radio.checked = radio.value === (lower ? "lower" : "upper")));
      studio.dismiss();
      await studio.place(Piece.brought(found));
    } catch (error) {
      studio.say(error.message);
    }
  }

  ask() {
    const { studio, form } = this;
    const use = form.elements.use.value;
    const kept = use === "upper" ? 0 : 1;
    const voices = this.given.voices;
    const line = voices[kept].length ? voices[kept] : voices[1 - kept]; // a single line may be either
    const score = { ...this.given, voices: use === "upper" ? [line, []] : [[], line] };
    const before = studio.stand && !this.editing ? studio.stand.piece : null;
    studio.composing.run({ ...studio.manner.wish(), seed: newSeed(), given: { use, score } }, before);
  }
}

function mean(score) {
  const pitches = score.voices.flat().map((row) => row[1]);
  return pitches.reduce((sum, pitch) => sum + pitch, 0) / pitches.length;
}

/** Files dropped on an element, or chosen in the input inside it. */
export function dropping(element, bring) {
  const input = $("input[type=file]", element);
  input.addEventListener("change", () => {
    if (input.files[0]) bring(input.files[0]);
    input.value = "";
  });
  for (const kind of ["dragenter", "dragover"]) {
    element.addEventListener(kind, (event) => {
      event.preventDefault();
      element.classList.add("over");
    });
  }
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("over");
    if (event.dataTransfer.files[0]) bring(event.dataTransfer.files[0]);
  });
}
