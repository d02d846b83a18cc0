// The piano keyboard at the foot of the page. Its keys, the letters of the computer keyboard and MIDI keyboards enter
// notes at the cursor of the open piece, or are recorded in time.

import { h, $, renew } from "./dom.js";
import { ComputerKeyboard } from "./computerKeyboard.js";
import { MidiKeyboard } from "./midiKeyboard.js";
import { isBlack, pitchName } from "./music.js";
import { Recorder } from "./recorder.js";

const KEY_WIDTH = 30; // least pixels of a white key
const [FEWEST, MOST] = [8, 29]; // white keys
const LOWEST_C = 24;
const HIGHEST = 108;
const BASES = [60, 48]; // the C of the first letter, for each voice

export class KeyboardPanel {
  constructor(studio) {
    this.studio = studio;
    this.element = $("#keyboard");
    this.recorder = new Recorder(studio.player);
    const callbacks = { onPress: (pitch, velocity) => this.press(pitch, velocity), onRelease: (pitch) => this.release(pitch) };
    this.letters = new ComputerKeyboard({ ...callbacks, onChange: () => this.draw() });
    this.midi = new MidiKeyboard({ ...callbacks, onChange: () => this.showMidi() });
    this.build();
    studio.player.addEventListener("play", () => this.showRecording());
    studio.player.addEventListener("pause", () => {
      if (this.recorder.editor) this.recorder.stop();
      this.showRecording();
    });
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  build() {
    const button = (text, run, more = {}) => h("button", { type: "button", onclick: run, ...more }, text);
    this.keys = h("div", { class: "keys", role: "group", "aria-label": "Piano keys" });
    this.recordButton = button("Record", () => this.toggleRecording(), { name: "record", "aria-pressed": "false" });
    this.midiButton = button("MIDI keyboard", () => this.connect(), { name: "midi", hidden: !this.midi.isSupported });
    this.lettersBox = h("label", { class: "letters" }, h("input", { type: "checkbox", checked: true, onchange: ({ target }) => this.turnLetters(target.checked) }), "Letter keys");
    this.status = h("output", { role: "status" });
    this.element.replaceChildren(
      h(
        "div",
        { class: "row" },
        button("Rest", () => this.editor.rest()),
        button("Delete last", () => this.editor.back()),
        this.recordButton,
        this.midiButton,
        h("span", { class: "group" }, button("‹", () => this.letters.shift(-12), { "aria-label": "Octave lower" }), button("›", () => this.letters.shift(12), { "aria-label": "Octave higher" })),
        this.lettersBox,
        this.status,
      ),
      this.keys,
    );
  }

  /** The editor of the piece that is played. */
  get editor() {
    return this.studio.activeView?.editor;
  }

  toggle() {
    if (this.element.hidden) this.open();
    else this.close();
  }

  open() {
    if (!this.editor?.score) return;
    this.element.hidden = false;
    this.letters.visible = true;
    this.part = null;
    this.editor.setAdding(true);
    this.draw();
    this.showState();
  }

  close() {
    this.element.hidden = true;
    this.letters.visible = false;
    this.editor?.setAdding(false);
    this.showState();
  }

  /** Show the octave of the voice that an editor edits. */
  follow(editor = this.editor) {
    if (this.element.hidden || editor !== this.editor || this.part === editor?.part) return;
    this.part = editor.part;
    this.letters.setRange(BASES[this.part], LOWEST_C, HIGHEST);
    this.draw();
  }

  showState() {
    for (const { editor } of this.studio.views) editor.keysButton.setAttribute("aria-pressed", `${!this.element.hidden}`);
  }

  // ---- keys

  draw() {
    const width = this.keys.clientWidth;
    if (this.element.hidden || !width) return;
    const count = Math.max(FEWEST, Math.min(MOST, Math.floor(width / KEY_WIDTH)));
    const lowest = Math.max(LOWEST_C, this.letters.base - 12 * Math.floor((count - 11) / 14));
    const keys = [];
    let white = 0;
    for (let pitch = lowest; pitch <= HIGHEST && white < count; pitch += 1) {
      const black = isBlack(pitch);
      const letter = this.letters.letterOf(pitch);
      const key = h("button", { type: "button", class: black ? "black" : "white", "aria-label": pitchName(pitch), "aria-keyshortcuts": letter || null, "data-letter": letter || null, "data-pitch": pitch, onclick: () => this.press(pitch) }, black || pitch % 12 ? "" : pitchName(pitch));
      if (black) key.style.left = `${((100 * white) / count).toFixed(3)}%`;
      else white += 1;
      keys.push(key);
    }
    this.keys.style.setProperty("--count", white);
    renew(this.keys, ...keys);
  }

  keyOf(pitch) {
    return $(`[data-pitch="${pitch}"]`, this.keys);
  }

  press(pitch, velocity) {
    this.keyOf(pitch)?.classList.add("down");
    setTimeout(() => this.keyOf(pitch)?.classList.remove("down"), 400);
    if (this.recorder.editor) {
      this.studio.player.strike(pitch);
      this.recorder.press(pitch, velocity);
    } else this.editor?.enter(pitch, velocity);
  }

  release(pitch) {
    this.keyOf(pitch)?.classList.remove("down");
    if (this.recorder.editor) this.recorder.release(pitch);
  }

  turnLetters(on) {
    this.letters.enabled = on;
    this.draw();
  }

  // ---- MIDI and recording

  async connect() {
    try {
      await this.midi.connect();
    } catch (error) {
      this.studio.showMessage(error.message);
    }
  }

  showMidi() {
    const { names } = this.midi;
    this.status.value = names.length ? `Connected: ${names.join(", ")}` : "No MIDI keyboard is connected.";
  }

  async toggleRecording() {
    if (this.recorder.editor) return this.recorder.stop();
    await this.recorder.start(this.editor);
    this.showRecording();
  }

  showRecording() {
    const isRecording = Boolean(this.recorder.editor);
    this.recordButton.setAttribute("aria-pressed", `${isRecording}`);
    this.recordButton.textContent = isRecording ? "Stop recording" : "Record";
    this.status.value = isRecording ? "One bar is counted in. Play after it." : "";
  }
}
