// A piece on the page: composed by the server, imported from a file, or validated.

import { musicOf, musicOfVerdict } from "./music.js";
import { History } from "./scoreChanges.js";

export class Piece {
  constructor(fields) {
    Object.assign(this, fields);
    this.title ||= this.score?.title || "A piece";
    this.music = this.score ? musicOf(this.score) : musicOfVerdict(this.verdict);
    this.history = new History(fields.history);
  }

  /** A score without notes, to write in. */
  static empty() {
    const score = { meter: "4/4", key: "C major", bars: 8, tempo: 96, anacrusis: 0, title: "", composer: "", voices: [[], []] };
    return new Piece({ score, title: "New piece", isWritten: true });
  }

  /** Whether its notes are no longer those that were composed or read. */
  get isEdited() {
    return Boolean(this.isWritten || this.history.past.length);
  }

  /** Take another version of the score. What was measured of the old one is forgotten. */
  setScore(score) {
    this.score = score;
    this.music = musicOf(score);
    this.analysis = this.marks = null;
    if (score.title) this.title = score.title;
  }

  /** What is stored in the browser. */
  toFields() {
    const { score, seed, style, about, sheet, unmet, remarks, valid, request, name, title, isWritten, history, verdict } = this;
    return { score, seed, style, about, sheet, unmet, remarks, valid, request, name, title, isWritten, history, verdict };
  }

  /** A piece that was composed for ``request``, with a seed of its own. */
  static composed(found, request) {
    const own = { ...request, n: 1, seed: found.seed };
    const [first, last] = request.source?.rewrite_bars ?? [];
    return new Piece({ ...found, request: own, first, last });
  }

  /** A piece from a file. */
  static imported({ name, verdict, score, voices }) {
    const marks = verdict.violations.map(({ tick, message, rule }) => ({ tick, message: `${rule.replaceAll("_", " ")}: ${message}` }));
    return new Piece({ name, verdict, score, voices, marks, title: score?.title || name });
  }

  /** Key, metre, length, tempo, style and seed in one line. */
  get details() {
    const { score, verdict, style, seed } = this;
    if (!score) return `${verdict.meter}, judged as ${verdict.judged_as}`;
    const words = [score.meter, `${score.bars} ${score.bars === 1 ? "bar" : "bars"}`, `♩ = ${Math.round(score.tempo)}`];
    if (score.key && !this.title.includes("Bicinium in")) words.unshift(score.key.replace("b ", "♭ ").replace("#", "♯"));
    if (style) words.push(`style: ${STYLE_NAMES[style] ?? style}`);
    if (seed !== undefined) words.push(`seed ${seed}`);
    if (this.isEdited) words.push(this.isWritten ? "your own notes" : "edited");
    return words.join(" · ");
  }

  /** What is not as requested. */
  get missed() {
    return Object.entries(this.sheet?.checks ?? {}).filter(([, holds]) => !holds).map(([name]) => CHECKS[name] ?? name);
  }

  /** The most important thing to know of the piece, in words. */
  get remark() {
    const { music, remarks, sheet, verdict } = this;
    if (this.isEdited) return `${music.notes.length} notes`;
    const found = [...(remarks ?? [])];
    const { missed } = this;
    if (missed.length) found.push(`not as requested: ${missed.join(", ")}`);
    if (sheet?.quoted_bars) found.push(`quotes ${sheet.quoted_bars} bars of ${sheet.quoted_from}`);
    if (verdict && !verdict.valid) found.push("breaks the grammar");
    const text = found.join("; ") || `${music.notes.length} notes`;
    return text[0].toUpperCase() + text.slice(1);
  }

  /** [name, value, explanation] of what was measured. */
  measures() {
    const { sheet, verdict, music } = this;
    const count = (part) => music.notes.filter((note) => note.part === part).length;
    const measures = [["Notes", `${count(0)} and ${count(1)}`, "In the upper and in the lower voice."]];
    if (this.isEdited) return measures;
    if (verdict) measures.push(["Grammar", verdict.valid ? "kept" : "broken", "The rules that every composed piece keeps, such as notes that end and bars that are full."]);
    if (!sheet) return measures;
    measures.push(["Grammar", this.valid ? "kept" : "broken", "The rules that every composed piece keeps, such as notes that end and bars that are full."]);
    const reasons = Object.values(this.unmet ?? {}).join(" ");
    measures.push(["As requested", this.missed.length ? `all but ${this.missed.join(", ")}` : "yes", reasons || "Bars, metre, key, final cadence and, if you chose one, tempo."]);
    if (sheet.quoted_bars !== null) {
      measures.push(["Quotation", sheet.quoted_bars ? `${sheet.quoted_bars} bars of ${sheet.quoted_from}` : "none", "The longest passage that is also in the music from which the model has learned."]);
    }
    return measures;
  }

  get filename() {
    const words = (this.name ?? this.title).replace(/\.\w+$/, "").replace(/♭/g, "b").replace(/♯/g, "#");
    const seed = this.seed === undefined ? "" : ` ${this.seed}`;
    return `${words}${seed}`.replace(/[^\w#-]+/g, "-").replace(/^-|-$/g, "").toLowerCase();
  }
}

export const STYLE_NAMES = { bach: "Bach", baroque: "Baroque", classical: "Classical", romantic: "Romantic", study: "Study", song: "Song", accompaniment: "Accompaniment", quartet: "String quartet", chorale: "Chorale", palestrina: "Palestrina", monteverdi: "Monteverdi" };

const CHECKS = { bars: "the number of bars", meter: "the metre", key: "the key", close: "the final cadence", tempo: "the tempo" };
