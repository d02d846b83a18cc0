// The section "Add a voice": a file or a melody that the user writes, to which the other voice is composed.

import { h, $, $$ } from "./dom.js";
import { newSeed } from "./composeRunner.js";

const MAX_BASS_MEAN_PITCH = 57; // a single voice that lies lower is taken as the lower voice
const MANNERS = { simple: "simple", chorale: "like a chorale", invention: "like an invention" };

export class AddVoice {
  constructor(studio) {
    this.studio = studio;
    this.form = $("#add-voice");
    this.form.elements.manner.append(...studio.capabilities.manners.map((name) => h("option", { value: name }, MANNERS[name] ?? name)));
    acceptFiles($("[data-drop=add-voice]"), (upload) => studio.openFile(upload));
    $("#write-voice").addEventListener("click", () => studio.write());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.compose();
    });
  }

  enter() {
    this.pieceChanged();
  }

  /** Offer to compose the other voice when the open piece has notes. */
  pieceChanged() {
    const { score } = this.studio.activeView?.piece ?? {};
    this.form.hidden = !score?.voices.flat().length;
    if (this.form.hidden) return;
    const [upper, lower] = score.voices.map((rows) => rows.length > 0);
    if (upper !== lower) this.chooseVoice(lower || meanPitch(score) < MAX_BASS_MEAN_PITCH ? "lower" : "upper");
  }

  chooseVoice(voice) {
    $$("input[name=use]", this.form).forEach((radio) => (radio.checked = radio.value === voice));
  }

  compose() {
    const { studio, form } = this;
    const { piece } = studio.activeView;
    const use = form.elements.use.value;
    const manner = form.elements.manner.value;
    const part = use === "upper" ? 0 : 1;
    const { voices } = piece.score;
    const notes = voices[part].length ? voices[part] : voices[1 - part]; // a single voice may be used as either
    const score = { ...piece.score, voices: use === "upper" ? [notes, []] : [[], notes] };
    studio.composeRunner.run({ ...studio.settings.request(), ...(manner && { manner }), seed: newSeed(), source: { use, score } }, piece);
  }
}

function meanPitch(score) {
  const pitches = score.voices.flat().map((row) => row[1]);
  return pitches.reduce((sum, pitch) => sum + pitch, 0) / pitches.length;
}

/** Call onFile for a file dropped on an element, or chosen in the input inside it. */
export function acceptFiles(element, onFile) {
  const input = $("input[type=file]", element);
  input.addEventListener("change", () => {
    if (input.files[0]) onFile(input.files[0]);
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
    if (event.dataTransfer.files[0]) onFile(event.dataTransfer.files[0]);
  });
}
