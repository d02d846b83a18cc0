// The section "Analyse": the model's probabilities along the open piece, and the validation of a file.

import * as api from "./api.js";
import { acceptFiles } from "./addVoice.js";
import { h, $ } from "./dom.js";
import { Piece } from "./piece.js";

export class Analysis {
  constructor(studio) {
    this.studio = studio;
    this.section = $("section[data-section=analyse]");
    this.results = $("#results");
    $("#analyse").addEventListener("click", () => this.analyse());
    acceptFiles($("[data-drop=analyse]"), (upload) => this.validate(upload));
  }

  enter() {
    $("#analyse").disabled = !this.studio.activeView?.piece?.score;
  }

  pieceChanged() {
    this.enter();
  }

  showStatus(status) {
    const line = $(".progress", this.section);
    line.textContent = status;
    line.classList.toggle("busy", Boolean(status));
  }

  /** Analyse the open piece with the model. */
  async analyse() {
    const { studio } = this;
    const view = studio.activeView;
    const { piece } = view;
    const { score } = piece;
    studio.showMessage("");
    this.showStatus("Analysing …");
    try {
      const result = await api.analyse(score, piece.style ?? null);
      if (piece.score !== score) throw new Error("the piece was changed while it was analysed. Analyse it again.");
      piece.analysis = { tick: result.tick, illegalMass: result.illegal_mass, surprisalBits: result.surprisal_bits };
      piece.marks = result.forbidden_choices.map(({ tick, message }) => ({ tick, message }));
      this.showAnalysis(result, piece);
      if (view.piece === piece) {
        view.drawRoll();
        view.select();
        view.roll.element.scrollIntoView({ block: "center", behavior: "smooth" });
      }
    } catch (error) {
      studio.showMessage(error.message);
    }
    this.showStatus("");
  }

  showAnalysis(result, piece) {
    const rules = h("dl", { class: "rulebook" });
    for (const { name, score, description } of result.rules) {
      const mark = score === 1 ? h("span", { class: "tick" }, "✓ kept") : score.toFixed(3);
      rules.append(h("dt", {}, h("span", {}, name.replaceAll("_", " ")), mark), h("dd", {}, description));
    }
    const percent = result.mean_illegal_mass * 100;
    const choices = result.forbidden_choices;
    const count = choices.length ? `Its most probable token was forbidden at ${choices.length} of ${result.tokens} positions:` : `Its most probable token was allowed at all ${result.tokens} positions.`;
    this.results.replaceChildren(
      h("section", {}, h("h2", {}, "Model"), h("p", {}, `In ${piece.title}, the model gave ${percent < 0.01 ? "less than 0.01" : percent.toFixed(2)}\u00a0% of the probability to forbidden tokens. ${count}`), this.places(choices, (choice) => `${choice.message} (${Math.round(choice.probability * 100)}\u00a0%); the piece has ${choice.written}`)),
      h("section", {}, h("h2", {}, "Grammar rules"), rules),
    );
  }

  places(list, text) {
    return h(
      "div",
      { class: "places" },
      list.map((one) => h("button", { type: "button", onclick: () => this.studio.seek(this.studio.activeView, one.tick) }, h("b", {}, `${one.rule.replaceAll("_", " ")}: `), text(one))),
    );
  }

  /** Validate a file. */
  async validate(upload) {
    const { studio } = this;
    studio.showMessage("");
    this.showStatus("Reading …");
    try {
      const file = await api.importFile(upload);
      const { verdict } = file;
      const piece = Piece.imported(file);
      this.results.replaceChildren(
        h(
          "section",
          {},
          h("p", { class: `verdict${verdict.valid ? "" : " bad"}` }, verdict.valid ? "Valid" : "Not valid"),
          h("p", {}, `${file.name}: ${verdict.notes} notes, grammar score ${verdict.grammar_score.toFixed(3)}, judged as ${verdict.judged_as}.`),
          file.problem ? h("p", { class: "hint" }, `It cannot be shown as a score: ${file.problem}`) : null,
          file.losses.length ? h("p", { class: "hint" }, file.losses.join(" ")) : null,
          this.places(verdict.violations, (one) => one.message),
          verdict.more ? h("p", { class: "hint" }, `and ${verdict.more} more`) : null,
        ),
      );
      studio.discardCandidates();
      if (piece.music.notes.length) await studio.open(piece);
    } catch (error) {
      studio.showMessage(error.message);
    }
    this.showStatus("");
    this.enter();
  }
}
