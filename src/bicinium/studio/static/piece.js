// A piece as the page knows it: what the server composed, what somebody brought, what was judged.

import { musicOf, musicOfVerdict } from "./time.js";

let count = 0;

export class Piece {
  constructor(fields) {
    Object.assign(this, fields);
    this.id = `piece-${(count += 1)}`;
    this.title ||= this.score?.title || "A piece";
    this.music ??= this.score ? musicOf(this.score) : musicOfVerdict(this.verdict);
  }

  /** One that was composed as ``wish`` says, the seed apart. */
  static composed(found, wish) {
    const own = { ...wish, n: 1, seed: found.seed };
    return new Piece({ ...found, wish: own, first: wish.given?.rewrite_bars?.[0], last: wish.given?.rewrite_bars?.[1] });
  }

  /** One that was in a file. */
  static brought({ name, verdict, score, lines }) {
    const marks = verdict.violations.map(({ tick, message, rule }) => ({ tick, message: `${rule}: ${message}` }));
    return new Piece({ name, verdict, score, lines, marks, title: score?.title || name });
  }

  get imprint() {
    const { score, verdict, style, seed } = this;
    if (!score) return `${verdict.meter}, judged as ${verdict.judged_as}`;
    const words = [score.meter, `${score.bars} ${score.bars === 1 ? "bar" : "bars"}`, `♩ = ${Math.round(score.tempo)}`];
    if (score.key && !this.title.includes("Bicinium in")) words.unshift(score.key.replace("b ", "♭ ").replace("#", "♯"));
    if (style) words.push(`after the manner of ${MANNERS[style] ?? style}`);
    if (seed !== undefined) words.push(`seed ${seed}`);
    return words.join(" · ");
  }

  /** [name, value, what it means] of what was judged. */
  marksOf() {
    const { sheet, verdict, music } = this;
    const marks = [["notes", `${music.notes.length}`, "in both voices"]];
    if (verdict) marks.push(["grammar", verdict.valid ? "valid" : verdict.grammar_score.toFixed(3), "1 is valid"]);
    if (!sheet) return marks;
    const wrong = Object.entries(sheet.checks).filter(([, holds]) => !holds).map(([name]) => name);
    marks.push(["grammar", this.valid ? "valid" : "invalid", "every rule of the grammar was checked"]);
    marks.push(["quality", sheet.quality_score.toFixed(2), "how much it resembles real music in what was measured, 0 to 1"]);
    if (sheet.realism != null) { // pieces that were kept before there was a critic have none
      marks.push(["critic", sheet.realism.toFixed(2), "how likely it is that a person wrote it, as far as was measured, 0 to 1"]);
    }
    marks.push(["as asked", wrong.length ? `all but ${wrong.join(", ")}` : "in all", "bars, metre, key, close and tempo"]);
    if (sheet.quoted_bars !== null) {
      marks.push(["quotes", sheet.quoted_bars ? `${sheet.quoted_bars} bars of ${sheet.quoted_from}` : "nothing", "the longest passage that stands in the training set"]);
    }
    return marks;
  }

  get filename() {
    const words = (this.name ?? this.title).replace(/\.\w+$/, "").replace(/♭/g, "b").replace(/♯/g, "#");
    const seed = this.seed === undefined ? "" : ` ${this.seed}`;
    return `${words}${seed}`.replace(/[^\w#-]+/g, "-").replace(/^-|-$/g, "").toLowerCase();
  }
}

export const MANNERS = { bach: "Bach", baroque: "the baroque", classical: "the classics", romantic: "the romantics", study: "studies", song: "songs", accompaniment: "accompaniments", quartet: "quartets", palestrina: "Palestrina", monteverdi: "Monteverdi" };
