// A piece on the page: composed by the server, imported from a file, or validated.

import { musicOf, musicOfVerdict } from "./music.js";

export class Piece {
  constructor(fields) {
    Object.assign(this, fields);
    this.title ||= this.score?.title || "A piece";
    this.music ??= this.score ? musicOf(this.score) : musicOfVerdict(this.verdict);
  }

  /** A piece that was composed for ``request``, with a seed of its own. */
  static composed(found, request) {
    const own = { ...request, n: 1, seed: found.seed };
    const [first, last] = request.source?.rewrite_bars ?? [];
    return new Piece({ ...found, request: own, first, last });
  }

  /** A piece from a file. */
  static imported({ name, verdict, score, voices }) {
    const marks = verdict.violations.map(({ tick, message, rule }) => ({ tick, message: `${rule}: ${message}` }));
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
    return words.join(" · ");
  }

  /** [name, value, explanation] of the measures of the piece. */
  measures() {
    const { sheet, verdict, music } = this;
    const measures = [["notes", `${music.notes.length}`, "in both voices"]];
    if (verdict) measures.push(["grammar", verdict.valid ? "valid" : verdict.grammar_score.toFixed(3), "1 is valid"]);
    if (!sheet) return measures;
    const failed = Object.entries(sheet.checks).filter(([, passed]) => !passed).map(([name]) => name);
    measures.push(["grammar", this.valid ? "valid" : "invalid", "result of all grammar rules"]);
    measures.push(["quality", sheet.quality_score.toFixed(2), "similarity to real music in musical measures, 0 to 1"]);
    const realism = sheet.realism ?? sheet.likeness; // pieces saved by older versions have another name, or none
    if (realism != null) measures.push(["realism", realism.toFixed(2), "estimated probability that a person composed it, 0 to 1"]);
    measures.push(["as requested", failed.length ? `except ${failed.join(", ")}` : "yes", "bars, metre, key, cadence and tempo"]);
    if (sheet.quoted_bars !== null) {
      measures.push(["quotation", sheet.quoted_bars ? `${sheet.quoted_bars} bars of ${sheet.quoted_from}` : "none", "longest passage that is also in the training set"]);
    }
    return measures;
  }

  get filename() {
    const words = (this.name ?? this.title).replace(/\.\w+$/, "").replace(/♭/g, "b").replace(/♯/g, "#");
    const seed = this.seed === undefined ? "" : ` ${this.seed}`;
    return `${words}${seed}`.replace(/[^\w#-]+/g, "-").replace(/^-|-$/g, "").toLowerCase();
  }
}

export const STYLE_NAMES = { bach: "Bach", baroque: "Baroque", classical: "Classical", romantic: "Romantic", study: "Study", song: "Song", accompaniment: "Accompaniment", quartet: "String quartet", palestrina: "Palestrina", monteverdi: "Monteverdi" };
