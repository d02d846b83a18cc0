// The section "Counterpoint": the faults of the open piece, on the score and as a list; why they are faults, how they
// sound, and proposals that mend them.

import * as api from "./api.js";
import { acceptFiles } from "./addVoice.js";
import { h, $ } from "./dom.js";
import { musicOf } from "./music.js";
import { Piece } from "./piece.js";
import { replaceNotes } from "./scoreChanges.js";

const OWN = "own"; // the choice of the user's own rules
const STORAGE_KEY = "bicinium.rules";
const PAUSE_MS = 400; // after an edit, before the score is checked again
const SEVERITIES = { error: ["error", "errors"], warning: ["warning", "warnings"], hint: ["hint", "hints"] };

export class Counterpoint {
  constructor(studio) {
    this.studio = studio;
    this.section = $("section[data-section=counterpoint]");
    this.form = $("#counterpoint");
    this.card = $("#fault");
    this.form.elements.rules.append(...studio.capabilities.rule_sets.map(({ name, description }) => h("option", { value: name, selected: name === "bach" }, capitalised(description))));
    this.form.elements.own.addEventListener("change", ({ target }) => this.loadRules(target));
    this.form.addEventListener("change", ({ target }) => target.name !== "own" && this.check());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    acceptFiles($("[data-drop=counterpoint]"), (upload) => studio.openFile(upload));
    this.restoreRules();
    this.clear();
  }

  // ---- rules of the user's own, {name, text, description}

  restoreRules() {
    try {
      this.offerRules(JSON.parse(localStorage.getItem(STORAGE_KEY)));
    } catch {
      localStorage.removeItem(STORAGE_KEY);
    }
  }

  offerRules(own) {
    this.own = own;
    $("option[value=own]", this.form)?.remove();
    if (own) this.form.elements.rules.append(h("option", { value: OWN }, `${capitalised(own.description)} (${own.name})`));
  }

  /** Load a YAML file and check by its rules. */
  async loadRules(input) {
    const [file] = input.files;
    if (!file) return;
    this.studio.showMessage("");
    try {
      const own = { name: file.name, text: await file.text() };
      const { description } = await api.readRules(own);
      this.offerRules({ ...own, description });
      this.form.elements.rules.value = OWN;
      localStorage.setItem(STORAGE_KEY, JSON.stringify(this.own));
      this.studio.autosave.later();
      this.check();
    } catch (error) {
      this.studio.showMessage(error.message);
    }
    input.value = "";
  }

  // ---- checking

  enter() {
    this.isShown = true;
    this.check();
  }

  leave() {
    this.isShown = false;
    this.clear();
  }

  clear() {
    this.faults = [];
    this.chosen = null;
    this.card.hidden = true;
    $("#faults").replaceChildren();
    $("#faults").setAttribute("aria-busy", "false");
    for (const { sheet, roll } of this.studio.views) {
      sheet.showMarks([]);
      roll.showMarks([]);
    }
  }

  /** Check again after an edit. */
  pieceChanged() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.check(), PAUSE_MS);
  }

  /** The request to check the open piece. */
  request() {
    const { rules, cantus } = this.form.elements;
    const chosen = rules.value === OWN ? { name: this.own.name, text: this.own.text } : rules.value;
    return { score: this.studio.activeView.piece.score, rules: chosen, cantus: cantus.value ? Number(cantus.value) : null };
  }

  async check() {
    const { studio } = this;
    const piece = studio.activeView?.piece;
    clearTimeout(this.waiting);
    if (!this.isShown || !piece?.score) return;
    const status = $(".progress", this.section);
    $("#faults").setAttribute("aria-busy", "true");
    const checking = (this.checking = {});
    const isCurrent = () => this.isShown && this.checking === checking;
    try {
      const report = await api.check(this.request());
      if (!isCurrent()) return;
      const before = this.chosen;
      this.faults = report.faults;
      this.chosen = before && this.faults.find(({ rule, tick }) => rule === before.rule && tick === before.tick);
      status.textContent = summary(report.faults);
      this.showList(report);
      this.show();
    } catch (error) {
      if (!isCurrent()) return;
      this.clear();
      status.textContent = error.message;
    }
    $("#faults").setAttribute("aria-busy", "false");
  }

  showList({ strengths }) {
    const { contrary_motion, independent_rhythm, imitations } = strengths;
    const percent = (share) => `${Math.round(100 * share)} %`;
    const good = [`${percent(contrary_motion)} of the moves of both voices are in contrary motion`, `${percent(independent_rhythm)} of the onsets belong to one voice alone`, ...imitations.map(({ bar, description }) => `bar ${bar}: ${description}`)];
    $("#faults").replaceChildren(
      h("ol", { class: "faults" }, this.faults.map((fault) => h("li", {}, h("button", { type: "button", onclick: () => this.choose(fault, true) }, h("b", { class: fault.severity }, fault.severity), ` bar ${fault.bar}, beat ${fault.beat}: ${printed(fault.fact)}`)))),
      h("h2", {}, "What is good"),
      h("ul", { class: "plain" }, good.map((text) => h("li", {}, text))),
    );
  }

  /** Show the faults on the score, and the chosen one above it. */
  show() {
    const { studio, faults, chosen } = this;
    const marks = faults.map((fault, index) => ({ number: index + 1, severity: fault.severity, isChosen: fault === chosen, notes: fault.notes.map(({ voice, tick }) => ({ part: voice, onset: tick })) }));
    studio.activeView.sheet.showMarks(marks);
    studio.activeView.roll.showMarks(marks);
    $("#faults").querySelectorAll("li button").forEach((button, index) => button.setAttribute("aria-pressed", `${faults[index] === chosen}`));
    this.card.hidden = !chosen;
    studio.activeView.sheet.element.after(this.card);
    if (chosen) this.showCard();
  }

  /** A note of the score was selected: choose its fault. */
  noteSelected({ part, onset }) {
    const isNarrow = $("#panel").getBoundingClientRect().width > innerWidth / 2;
    const at = this.faults.filter(({ notes }) => notes.some(({ voice, tick }) => voice === part && tick === onset));
    if (at.length) this.choose(at[(at.indexOf(this.chosen) + 1) % at.length], isNarrow);
  }

  choose(fault, scroll = false) {
    this.chosen = fault;
    this.studio.seek(this.studio.activeView, fault.tick);
    this.show();
    if (scroll) this.card.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  showCard() {
    const { chosen: fault, faults } = this;
    const index = faults.indexOf(fault);
    const go = (label, text, to) => h("button", { type: "button", "aria-label": label, disabled: !faults[to], onclick: () => this.choose(faults[to]) }, text);
    this.proposals = h("div", { class: "proposals" });
    this.card.replaceChildren(
      h(
        "header",
        {},
        h("h2", {}, h("b", { class: fault.severity }, fault.severity), ` ${fault.rule.replaceAll("_", " ")}`),
        h("span", { class: "group" }, go("Fault before", "‹", index - 1), h("span", {}, `${index + 1} of ${faults.length}`), go("Next fault", "›", index + 1)),
      ),
      h("p", {}, `Bar ${fault.bar}, beat ${fault.beat}: ${printed(fault.fact)}. ${fault.reason}`),
      h("p", { class: "hint" }, fault.source),
      h("p", { class: "actions" }, h("button", { type: "button", name: "hear", onclick: () => this.hear(this.studio.activeView.piece.music) }, "Hear it"), h("button", { type: "button", name: "propose", onclick: () => this.propose() }, "Proposals")),
      this.proposals,
    );
  }

  async propose() {
    const { chosen, proposals } = this;
    proposals.replaceChildren(h("p", { class: "hint" }, "Looking for repairs …"));
    try {
      const found = await api.proposals({ ...this.request(), fault: this.faults.indexOf(chosen) });
      const rows = found.map((proposal) => {
        const words = proposal.changes.map(({ text, tick }) => `${printed(text)} in bar ${this.barOf(tick)}`).join(", and ");
        return h("li", {}, h("span", {}, words), h("button", { type: "button", onclick: () => this.hear(musicOf(proposal.score)) }, "Hear"), h("button", { type: "button", onclick: () => this.take(proposal) }, "Take"));
      });
      proposals.replaceChildren(rows.length ? h("ol", {}, rows) : h("p", { class: "hint" }, "No change of one or two pitches mends this without another fault. Change the rhythm, or more notes."));
    } catch (error) {
      proposals.replaceChildren(h("p", { class: "hint" }, error.message));
    }
  }

  barOf(tick) {
    const { meter, start } = this.studio.activeView.piece.music;
    return Math.floor(tick / meter.bar) + (start > 0 ? 0 : 1);
  }

  take(proposal) {
    const { editor } = this.studio.activeView;
    editor.make(replaceNotes(editor.score, proposal.score.voices), proposal.changes.map(({ text }) => printed(text)).join(", "));
  }

  /** Play the bars around the chosen fault in the piece or in a proposal. */
  hear(music) {
    const { studio, chosen } = this;
    const { bar } = music.meter;
    const ticks = chosen.notes.map(({ tick }) => tick);
    const from = Math.max(music.start, Math.floor(Math.min(...ticks) / bar) * bar);
    const until = Math.min(music.end, (Math.floor(Math.max(...ticks) / bar) + 1) * bar);
    studio.player.playPart(music, from, until, studio.activeView.piece.music);
  }
}

function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** B♭2 for Bb2 */
function printed(text) {
  const signs = { b: "♭", "#": "♯" };
  return text.replace(/\b([A-G])(b+|#+)(?=-?\d)/g, (_, letter, accidentals) => letter + [...accidentals].map((one) => signs[one]).join(""));
}

/** "2 errors, 1 hint" */
function summary(faults) {
  const counts = Object.entries(SEVERITIES).map(([severity, words]) => {
    const count = faults.filter((fault) => fault.severity === severity).length;
    return count && `${count} ${words[Number(count > 1)]}`;
  });
  return counts.filter(Boolean).join(", ") || "No fault.";
}
