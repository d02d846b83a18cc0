// The room "Understand": the grammar over the piece on the stand, the validator's word on a file.

import * as api from "./api.js";
import { h, $ } from "./dom.js";
import { dropping } from "./line.js";
import { Piece } from "./piece.js";

const RULES = {
  pairing: "Every note that begins also ends, and none ends that has not begun.",
  duration: "A note lasts for a moment at least, and not for ever; none goes beyond the last barline.",
  time: "Time goes on in one way only, and the piece ends on the barline that was asked for.",
  voices: "Each voice is one line: it has one note at a time.",
  order: "Everything is written in one order, so that a piece has one spelling only.",
  velocity: "Every note is loud enough to be heard.",
  repetition: "Nothing is repeated without end.",
  range: "Each voice stays where hands and ears expect it.",
};

export class Understand {
  constructor(studio) {
    this.studio = studio;
    this.room = $("section[data-room=understand]");
    this.findings = $("#findings");
    $("#understand").addEventListener("click", () => this.read());
    dropping($("[data-drop=understand]"), (upload) => this.judge(upload));
  }

  enter() {
    $("#understand").disabled = !this.studio.stand?.piece?.score;
  }

  wait(words) {
    const line = $(".progress", this.room);
    line.textContent = words;
    line.classList.toggle("busy", Boolean(words));
  }

  /** The model reads the piece on the stand. */
  async read() {
    const { studio } = this;
    const { stand } = studio;
    const { piece } = stand;
    studio.say("");
    this.wait("The model reads …");
    try {
      const found = await api.understand(piece.score, piece.style ?? null);
      piece.doubts = { tick: found.tick, illegal: found.illegal, bits: found.bits };
      piece.marks = found.slips.map((slip) => ({ tick: slip.tick, message: slip.message }));
      this.write(found, piece);
      if (stand.piece === piece) {
        stand.drawRoll();
        stand.select();
        stand.roll.element.scrollIntoView({ block: "center", behavior: "smooth" });
      }
    } catch (error) {
      studio.say(error.message);
    }
    this.wait("");
  }

  write(found, piece) {
    const rules = h("dl", { class: "rulebook" });
    for (const rule of found.rules) {
      const mark = rule.score === 1 ? h("span", { class: "tick" }, "✓ holds") : rule.score.toFixed(3);
      rules.append(h("dt", {}, h("span", {}, rule.name), mark), h("dd", { title: rule.says }, RULES[rule.name] ?? rule.says));
    }
    const percent = found.illegal_mass * 100;
    const slips = found.slips.length;
    const count = slips ? `In ${slips} of ${found.tokens} steps its first choice was forbidden:` : `Its first choice was allowed in all ${found.tokens} steps.`;
    this.findings.replaceChildren(
      h("section", {}, h("h2", {}, "What the model thought"), h("p", {}, `Reading ${piece.title}, it put ${percent < 0.01 ? "less than 0.01" : percent.toFixed(2)}\u00a0% of its belief on what the grammar forbids. ${count}`), this.places(found.slips, (slip) => `${slip.message} (${Math.round(slip.probability * 100)}\u00a0%); written is ${slip.written}`)),
      h("section", {}, h("h2", {}, "What was checked"), rules),
    );
  }

  places(list, words) {
    return h(
      "div",
      { class: "places" },
      list.map((one) => h("button", { type: "button", onclick: () => this.studio.seek(this.studio.stand, one.tick) }, h("b", {}, `${one.rule}: `), words(one))),
    );
  }

  /** The validator judges a file. */
  async judge(upload) {
    const { studio } = this;
    studio.say("");
    this.wait("Reading …");
    try {
      const found = await api.read(upload);
      const { verdict } = found;
      const piece = Piece.brought(found);
      this.findings.replaceChildren(
        h(
          "section",
          {},
          h("p", { class: `verdict${verdict.valid ? "" : " bad"}` }, verdict.valid ? "Valid" : "Not valid"),
          h("p", {}, `${found.name}: ${verdict.notes} notes, grammar score ${verdict.grammar_score.toFixed(3)}, judged as ${verdict.judged_as}.`),
          found.why ? h("p", { class: "hint" }, `It is not shown as a score: ${found.why}.`) : null,
          this.places(verdict.violations, (one) => one.message),
          verdict.more ? h("p", { class: "hint" }, `and ${verdict.more} more`) : null,
        ),
      );
      studio.dismiss();
      if (piece.music.notes.length) await studio.place(piece);
    } catch (error) {
      studio.say(error.message);
    }
    this.wait("");
    this.enter();
  }
}
