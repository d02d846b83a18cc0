// Editing of the piece in a view: the tools, the selected note, the cursor, keys. Every edit is a change of
// scoreChanges.js, made and undone here; the staff and the piano roll only report what was pointed at.

import { h, $, clamp } from "./dom.js";
import { actionOf } from "./editorKeys.js";
import { pitchName, placeOf } from "./music.js";
import { addNotes, clearTicks, deleteNote, moveNote, SHORTEST } from "./scoreChanges.js";
import { ScoreSettings } from "./scoreSettings.js";

const LENGTHS = [
  [3, "thirty-second"],
  [4, "triplet sixteenth"],
  [6, "sixteenth"],
  [8, "triplet eighth"],
  [12, "eighth"],
  [16, "triplet quarter"],
  [18, "dotted eighth"],
  [24, "quarter"],
  [36, "dotted quarter"],
  [48, "half"],
  [72, "dotted half"],
  [96, "whole"],
];
const SIXTEENTH = 6;
const MIDDLE = [72, 48]; // pitches at which the cursor begins
export const VOICES = ["upper", "lower"];

/** "quarter", or the ticks of a length that has no name here. */
export function lengthName(ticks) {
  return LENGTHS.find(([length]) => length === ticks)?.[1] ?? `${ticks}/24 of a quarter`;
}

export class Editor {
  constructor(view) {
    this.view = view;
    this.studio = view.studio;
    this.length = 24;
    this.part = 0;
    this.adding = false;
    this.selected = null; // {part, onset}
    this.build();
  }

  build() {
    const button = (text, label, run, more = {}) => h("button", { type: "button", "aria-label": label, title: label, onclick: run, ...more }, text);
    const choose = (label, name, options, change) => h("label", {}, h("span", {}, label), h("select", { name, onchange: ({ target }) => change(Number(target.value)) }, options.map(([value, text]) => h("option", { value }, text))));
    this.undoButton = button("↶", "Undo", () => this.undo(), { name: "undo" });
    this.redoButton = button("↷", "Redo", () => this.redo(), { name: "redo" });
    this.addButton = h("button", { type: "button", name: "add", "aria-pressed": "false", onclick: () => this.setAdding(!this.adding) }, "Add notes");
    this.voiceLabel = choose("Voice", "voice", [[0, "upper"], [1, "lower"]], (part) => this.setPart(part));
    this.lengthLabel = choose("Length", "length", LENGTHS, (ticks) => this.setLength(ticks));
    this.noteButtons = [
      button("▲", "Higher by a semitone", () => this.nudge({ pitch: 1 }), { name: "higher" }),
      button("▼", "Lower by a semitone", () => this.nudge({ pitch: -1 }), { name: "lower" }),
      button("◀", "Earlier by a sixteenth", () => this.nudge({ onset: -SIXTEENTH }), { name: "earlier" }),
      button("▶", "Later by a sixteenth", () => this.nudge({ onset: SIXTEENTH }), { name: "later" }),
      button("Delete", "Delete the note", () => this.remove(), { name: "delete" }),
    ];
    this.keysButton = h("button", { type: "button", name: "keyboard", "aria-pressed": "false", onclick: () => this.studio.keyboard.toggle() }, "Keyboard");
    this.settings = new ScoreSettings(this);
    this.status = h("output", { class: "editing", role: "status" });
    const group = (...children) => h("span", { class: "group" }, ...children);
    this.toolbar = h(
      "div",
      { class: "buttons", role: "toolbar", "aria-label": "Edit the score" },
      group(this.undoButton, this.redoButton),
      group(this.addButton, this.voiceLabel, this.lengthLabel),
      group(...this.noteButtons),
      group(this.keysButton, this.settings.button),
    );
    this.element = h("div", { class: "tools" }, this.toolbar, this.status);
  }

  get piece() {
    return this.view.piece;
  }

  get score() {
    return this.piece.score;
  }

  /** The row of the selected note. */
  get row() {
    return this.selected && this.score?.voices[this.selected.part].find(([onset]) => onset === this.selected.onset);
  }

  /** The row of the note that sounds at a tick, and its voice. */
  noteAt(part, tick) {
    return this.score.voices[part].find(([onset, , duration]) => onset <= tick && tick < onset + duration);
  }

  /** Show another piece. */
  load() {
    this.element.hidden = !this.score;
    this.settings.show(false);
    this.selected = null;
    if (!this.score) return;
    this.caret = { tick: this.piece.music.start, pitch: MIDDLE[this.part] };
    this.show();
  }

  // ---- changes

  /** Make a change, unless it is none, and say what was done. */
  make(change, words = "") {
    if (!change) return false;
    this.took(this.piece.history.make(this.score, change), words);
    return true;
  }

  undo() {
    if (this.piece.history.past.length) this.took(this.piece.history.undo(this.score), "Undone");
  }

  redo() {
    if (this.piece.history.future.length) this.took(this.piece.history.redo(this.score), "Done again");
  }

  took(score, words) {
    this.piece.setScore(score);
    if (!this.row) this.selected = null;
    this.caret.tick = clamp(this.caret.tick, this.piece.music.start, this.piece.music.end - SHORTEST);
    this.view.scoreChanged();
    this.show(words);
    this.settings.fill();
  }

  /** Change the selected note. */
  change(values, words) {
    const { row, selected } = this;
    if (!row) return false;
    const { start, end } = this.piece.music;
    const [lowest, highest] = this.studio.capabilities.pitches;
    const duration = Math.max(SHORTEST, values.duration ?? row[2]);
    const onset = clamp(values.onset ?? row[0], start, end - SHORTEST);
    const pitch = clamp(values.pitch ?? row[1], lowest, highest);
    const change = moveNote(this.score, selected.part, row, { onset, pitch, duration: Math.min(duration, end - onset), to: values.to });
    this.selected = { part: values.to ?? selected.part, onset };
    return this.make(change, words);
  }

  nudge({ pitch = 0, onset = 0 }) {
    const { row } = this;
    if (!row) return;
    this.change({ pitch: row[1] + pitch, onset: row[0] + onset });
    if (pitch && this.row) this.studio.player.strike(this.row[1]);
  }

  remove() {
    const { row, selected, view } = this;
    if (row) this.make(deleteNote(this.score, selected.part, row), `${pitchName(row[1])} deleted`);
    else if (view.selection) {
      const { bar } = this.piece.music.meter;
      const [first, last] = view.selection;
      this.make(clearTicks(this.score, (first - 1) * bar, last * bar), first === last ? `Bar ${first} cleared` : `Bars ${first} to ${last} cleared`);
    }
  }

  /** Add a note where the staff or the roll was clicked. */
  add(part, tick, pitch, velocity) {
    const { start, end } = this.piece.music;
    const onset = clamp(tick, start, end - SHORTEST);
    const duration = Math.min(this.length, end - onset);
    this.part = part;
    this.selected = { part, onset };
    this.caret = { tick: Math.min(onset + duration, end - SHORTEST), pitch };
    this.studio.player.strike(pitch);
    this.make(addNotes(this.score, part, [{ onset, pitch, duration, velocity }]));
    this.show();
  }

  /** Enter a note at the cursor, which moves on. */
  enter(pitch, velocity) {
    this.add(this.part, this.caret.tick, pitch, velocity);
  }

  /** Take notes that were recorded. */
  record(notes) {
    if (!notes.length) return this.show("Nothing was played");
    this.selected = null;
    this.make(addNotes(this.score, this.part, notes), notes.length === 1 ? "One note recorded" : `${notes.length} notes recorded`);
  }

  rest() {
    this.caret.tick = Math.min(this.caret.tick + this.length, this.piece.music.end - SHORTEST);
    this.selected = null;
    this.show();
  }

  /** Delete the note before the cursor. */
  back() {
    const last = this.score.voices[this.part].findLast(([onset]) => onset < this.caret.tick);
    if (!last) return;
    this.selected = { part: this.part, onset: last[0] };
    this.caret.tick = last[0];
    this.remove();
  }

  // ---- selection

  select(part, onset, strike = true) {
    this.selected = { part, onset };
    this.part = part;
    const { row } = this;
    if (!row) return this.deselect();
    this.caret = { tick: onset, pitch: row[1] };
    if (strike) this.studio.player.strike(row[1]);
    this.show();
    this.studio.noteSelected(this);
  }

  deselect() {
    if (!this.selected) return;
    this.selected = null;
    this.show();
  }

  /** Select the next note of the voice, or the previous. */
  step(direction) {
    const rows = this.score.voices[this.part];
    const tick = this.selected?.onset ?? this.caret.tick;
    const other = direction > 0 ? rows.find(([onset]) => (this.row ? onset > tick : onset >= tick)) : rows.findLast(([onset]) => onset < tick);
    if (other) this.select(this.part, other[0]);
  }

  /** Select the note of the other voice that sounds at the same time. */
  stepVoice() {
    const tick = this.selected?.onset ?? this.caret.tick;
    const part = 1 - this.part;
    const other = this.noteAt(part, tick) ?? this.score.voices[part].find(([onset]) => onset >= tick) ?? this.score.voices[part].at(-1);
    if (other) this.select(part, other[0]);
    else this.setPart(part);
  }

  // ---- tools

  setAdding(on) {
    this.adding = on;
    this.addButton.setAttribute("aria-pressed", `${on}`);
    this.show(on ? "Click the staff or the piano roll to add notes" : "");
  }

  setPart(part) {
    if (this.row) this.change({ to: part });
    this.part = part;
    this.caret.pitch = MIDDLE[part];
    this.show();
  }

  setLength(ticks) {
    this.length = ticks;
    if (this.row) this.change({ duration: ticks });
    this.show();
  }

  /** Ticks to which what is added or lengthened snaps. */
  get grid() {
    const { length } = this;
    return length % 3 ? length : Math.min(length, length % 12 ? (length % 6 ? 3 : 6) : 12);
  }

  snap(tick) {
    return Math.round(tick / this.grid) * this.grid;
  }

  /** Show the state of the tools, the selection and the cursor; ``words`` replace the name of the note. */
  show(words = "") {
    const { row, selected, piece } = this;
    const { history, music } = piece;
    this.undoButton.disabled = !history.past.length;
    this.redoButton.disabled = !history.future.length;
    for (const button of this.noteButtons) button.disabled = !row && !(button.name === "delete" && this.view.selection);
    $("select", this.voiceLabel).value = this.part;
    this.showLength(row ? row[2] : this.length);
    const place = row && `${pitchName(row[1])}, ${lengthName(row[2])}, ${placeOf(row[0], music.meter)}, ${VOICES[selected.part]} voice`;
    this.status.value = [words, place].filter(Boolean).join(". ");
    this.view.showEditing();
    this.studio.keyboard.follow(this);
  }

  /** Show a length; one that has no name is shown while its note is selected. */
  showLength(ticks) {
    const select = $("select", this.lengthLabel);
    $("option[data-odd]", select)?.remove();
    if (!LENGTHS.some(([length]) => length === ticks)) select.append(h("option", { value: ticks, "data-odd": true }, lengthName(ticks)));
    select.value = ticks;
  }

  // ---- keys

  /** Keys in the score and the piano roll. */
  key(event) {
    const does = this.score && actionOf(this, event);
    if (!does) return;
    event.preventDefault();
    event.stopPropagation();
    does();
  }

  stepLength(direction) {
    const lengths = LENGTHS.map(([ticks]) => ticks);
    const now = this.row ? this.row[2] : this.length;
    const next = direction > 0 ? lengths.find((ticks) => ticks > now) : lengths.findLast((ticks) => ticks < now);
    if (next) this.setLength(next);
  }

  moveCaret(ticks, semitones) {
    const { start, end, meter } = this.piece.music;
    const [lowest, highest] = this.studio.capabilities.pitches;
    this.selected = null;
    this.caret = { tick: clamp(this.caret.tick + ticks, start, end - this.grid), pitch: clamp(this.caret.pitch + semitones, lowest, highest) };
    this.show(`${pitchName(this.caret.pitch)}, ${placeOf(this.caret.tick, meter)}`);
  }
}
