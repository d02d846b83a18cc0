// The studio: sections of the page, the open pieces, and how they work together.

import * as api from "./api.js";
import { h, $, $$ } from "./dom.js";
import { Candidates } from "./candidates.js";
import { ComposeRunner, fillForm, newSeed, readForm } from "./composeRunner.js";
import { AddVoice } from "./addVoice.js";
import { Autosave } from "./autosave.js";
import { Counterpoint } from "./counterpoint.js";
import { KeyboardPanel } from "./keyboardPanel.js";
import { Piece } from "./piece.js";
import { readLink } from "./link.js";
import { Settings } from "./settings.js";
import { Player } from "./player.js";
import { SavedPieces } from "./savedPieces.js";
import { PieceView } from "./pieceView.js";
import { Transport } from "./transport.js";
import { Analysis } from "./analysis.js";
import { RunView } from "./runView.js";

class Studio {
  constructor(capabilities) {
    this.capabilities = capabilities;
    this.views = [];
    this.player = new Player(capabilities.piano);
    this.candidates = new Candidates(this);
    this.savedPieces = new SavedPieces(this);
    this.settings = new Settings(capabilities);
    this.composeRunner = new ComposeRunner(this);
    this.transport = new Transport(this.player, this);
    this.keyboard = new KeyboardPanel(this);
    this.form = $("#compose");
    this.sections = { compose: {}, "add-voice": new AddVoice(this), counterpoint: new Counterpoint(this), analyse: new Analysis(this), runs: new RunView(this) };
    this.fillChoices();
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.compose();
    });
    addEventListener("hashchange", () => this.followAddress());
    this.settings.moveTo(this.form);
    this.autosave = new Autosave(this);
    const section = location.hash.includes("?") ? this.autosave.rescue() : this.autosave.restore();
    if (section && !location.hash) history.replaceState(null, "", `#${section}`);
    this.followAddress();
  }

  fillChoices() {
    const { key, meter, bars } = this.form.elements;
    for (const mode of ["major", "minor"]) {
      const group = h("optgroup", { label: mode === "major" ? "Major" : "Minor" });
      for (const one of this.capabilities.keys.filter(({ name }) => name.endsWith(mode))) group.append(h("option", { value: one.name }, one.printed));
      key.append(group);
    }
    for (const one of this.capabilities.meters) meter.append(h("option", { value: one }, one));
    bars.max = this.capabilities.limits.bars;
  }

  // ---- sections

  async followAddress() {
    let link = { section: "compose", request: null };
    try {
      link = await readLink(location.hash);
    } catch (error) {
      this.showMessage(error.message);
    }
    const name = link.section in this.sections ? link.section : "compose";
    if (name !== this.section) {
      this.sections[this.section]?.leave?.();
      this.section = $("main").dataset.section = name;
      $("#stage").scrollTop = 0;
      for (const section of $$("#panel > section")) section.hidden = section.dataset.section !== name;
      for (const anchor of $$(".masthead nav a")) {
        if (anchor.hash === `#${name}`) anchor.setAttribute("aria-current", "page");
        else anchor.removeAttribute("aria-current");
      }
      this.settings.moveTo($(`#panel > section[data-section=${name}]`));
      document.title = name === "compose" ? "bicinium studio" : `${$(`#title-${name}`).textContent} · bicinium studio`;
      this.sections[name].enter?.();
      this.updateWelcome();
    }
    if (link.request) this.composeLink(link);
    if (link.score) this.open(new Piece({ score: link.score, isWritten: true }));
  }

  /** Compose the piece of a link. */
  async composeLink({ request, query }) {
    fillForm(this.form, request);
    this.settings.fill(request);
    const model = query.get("model");
    await this.composeRunner.run(request);
    if (model && !this.capabilities.model.endsWith(model)) this.showMessage("this link was made with another model, so the piece may differ");
  }

  updateWelcome() {
    $("#welcome").hidden = this.views.length > 0 || this.section === "runs";
  }

  /** Show a message above the music; "" hides it. ``action`` {text, run} adds a button. */
  showMessage(message, action = null) {
    const notice = $("#notice");
    notice.hidden = !message;
    if (!message) return;
    const text = `${message[0].toUpperCase()}${message.slice(1)}${/[.?!]$/.test(message) ? "" : "."}`;
    const button = action && h("button", { type: "button", onclick: action.run }, action.text);
    notice.replaceChildren(...(button ? [button, text] : [text]));
    if (notice.getBoundingClientRect().top < 0) notice.scrollIntoView({ block: "center" });
  }

  // ---- open pieces

  /** The view whose piece is played. */
  get activeView() {
    return this.views.find((view) => view === this.active) ?? this.views[0];
  }

  /** Open a piece; of two views, in the second. */
  async open(piece) {
    if (!this.views.length) this.addView();
    const view = this.views.at(-1);
    if (view.piece !== piece && !this.candidates.pieces.includes(view.piece)) this.savedPieces.saveEdited(view.piece);
    const showing = view.show(piece);
    this.active = null;
    this.activate(view);
    this.candidates.render();
    this.updateWelcome();
    this.sections[this.section]?.pieceChanged?.();
    this.autosave?.later();
    await showing;
    this.preloadPiano();
  }

  /** Follow a change of the notes in a view. */
  pieceEdited(view) {
    if (location.hash.includes("?")) history.replaceState(null, "", `#${this.section}`); // the link has the notes of before
    if (view === this.activeView) this.player.replace(view.piece.music);
    this.candidates.render();
    this.sections[this.section]?.pieceChanged?.();
    this.autosave.later();
  }

  /** Open the score of a file. ``reduce`` takes the outer voices of more than two. */
  async openFile(upload, reduce = false) {
    this.showMessage("");
    this.opening = upload;
    try {
      const file = await api.importFile(upload, reduce);
      if (this.opening !== upload) return; // another file was chosen since
      if (!file.score) {
        const action = file.reducible ? { text: "Use the outer voices", run: () => this.openFile(upload, true) } : null;
        this.showMessage(file.problem, action);
        return;
      }
      this.discardCandidates();
      await this.open(Piece.imported(file));
      this.showMessage(file.losses.join(" "));
    } catch (error) {
      this.showMessage(error.message);
    }
  }

  /** Tell the section which note was selected. */
  noteSelected({ view, selected }) {
    if (view === this.activeView && selected) this.sections[this.section]?.noteSelected?.(selected);
  }

  addView() {
    const view = new PieceView(this);
    this.views.push(view);
    $("#views").append(view.element);
    $("#views").classList.toggle("two", this.views.length > 1);
    return view;
  }

  /** Stop composing and remove the candidates. */
  discardCandidates() {
    this.composeRunner.stop();
    this.candidates.reset();
    this.candidates.finish();
  }

  /** Close all pieces. */
  clear() {
    this.player.pause();
    this.keyboard.close();
    for (const { piece } of this.views) this.savedPieces.saveEdited(piece);
    for (const view of this.views) view.element.remove();
    this.views = [];
    this.discardCandidates();
    this.transport.element.hidden = true;
    $("#views").classList.remove("two");
    this.updateWelcome();
  }

  /** Make the piece of a view the one that is played; ``keepPosition``: at the same place as the other. */
  activate(view, keepPosition = false) {
    if (this.active === view || !this.views.includes(view)) return;
    const { playing, tick } = this.player;
    this.active = view;
    for (const one of this.views) one.element.classList.toggle("idle", one !== view && this.views.length > 1);
    this.player.load(view.piece.music);
    this.keyboard.close();
    if (keepPosition) {
      this.player.seek(Math.min(tick, view.piece.music.end - 1));
      if (playing) this.player.play();
    }
  }

  /** Load the piano samples before they are needed. */
  preloadPiano() {
    this.preloading ??= setTimeout(() => this.player.prepare(), 400);
  }

  seek(view, tick) {
    this.activate(view);
    this.player.seek(Math.max(tick, view.piece.music.start));
  }

  barsSelected(view) {
    if (view === this.activeView && this.player.loop) this.player.setLoop(this.loopOf(view));
  }

  /** The ticks of the selected bars, or of the whole piece. */
  loopOf({ selection, piece }) {
    const { bar } = piece.music.meter;
    const [first, last] = selection ?? [1, piece.music.bars];
    return [Math.max(piece.music.start, (first - 1) * bar), last * bar];
  }

  loop(view = this.activeView) {
    if (!view) return;
    const same = this.active === view && this.player.loop;
    this.activate(view);
    this.player.setLoop(same ? null : this.loopOf(view));
  }

  /** Open a second view beside the first, or close one. */
  compare(view) {
    if (this.views.length > 1) {
      view.element.remove();
      this.views = this.views.filter((one) => one !== view);
      $("#views").classList.remove("two");
      this.views[0].writeActions();
      this.active = null;
      this.activate(this.views[0]);
      this.candidates.render();
      return;
    }
    const others = [this.candidates.original, ...this.candidates.pieces, ...this.savedPieces.pieces].filter((piece) => piece && piece !== view.piece);
    if (!others.length) {
      this.showMessage("there is no other piece to compare with. Compose or save another.");
      return;
    }
    this.addView();
    view.writeActions();
    this.open(others[0]);
  }

  // ---- requests

  compose() {
    if (!this.form.reportValidity()) return;
    history.replaceState(null, "", "#compose");
    this.composeRunner.run({ ...this.settings.request(), ...readForm(this.form) });
  }

  vary(piece) {
    const { best_of } = this.settings.request();
    const { key, meter } = piece.score;
    const same = piece.request.source ? {} : { key, meter, ...styleOf(piece) };
    this.composeRunner.run({ ...piece.request, ...same, best_of, seed: newSeed() }, piece);
  }

  /** Open an empty score to write in. */
  write() {
    this.clear();
    this.open(Piece.empty());
    this.keyboard.open();
    if ($("#stage").getBoundingClientRect().top > innerHeight / 3) this.views[0].element.scrollIntoView();
  }

  toggleSaved(piece) {
    this.savedPieces.toggle(piece);
    for (const view of this.views) view.writeActions();
  }

  /** Compose the selected bars again. */
  rewrite(view) {
    const { piece } = view;
    const source = { use: "rewrite", score: piece.score, rewrite_bars: view.selection };
    this.composeRunner.run({ ...this.settings.request(), ...styleOf(piece), seed: newSeed(), source }, piece);
  }

  /** Ask which of so many bars to compose again. Returns [first, last], or null. */
  askBars(bars) {
    const dialog = $("#ask-bars");
    const form = $("form", dialog);
    const { first, last } = form.elements;
    first.max = last.max = bars;
    [first.value, last.value] = [1, bars];
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.onclose = () => {
        const [from, to] = [first.valueAsNumber, last.valueAsNumber];
        resolve(dialog.returnValue === "compose" ? [Math.min(from, to), Math.max(from, to)] : null);
      };
    });
  }

  continue(view, bars) {
    const { piece } = view;
    const source = { use: "continue_from", score: piece.score };
    this.composeRunner.run({ ...this.settings.request(), ...styleOf(piece), seed: newSeed(), bars, source }, piece);
  }
}

function styleOf(piece) {
  return piece.style ? { style: piece.style } : {};
}

function setUpTheme() {
  const root = document.documentElement;
  const stored = localStorage.getItem("bicinium.theme");
  if (stored) root.dataset.theme = stored;
  $("#theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("bicinium.theme", root.dataset.theme);
  });
}

setUpTheme();
window.studio = new Studio(await api.capabilities()); // used by tests
document.documentElement.dataset.ready = "yes";
