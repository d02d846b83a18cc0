// The studio: rooms, stands, and what passes between them.

import * as api from "./api.js";
import { h, $, $$ } from "./dom.js";
import { Candidates } from "./candidates.js";
import { Composing, fillForm, newSeed, wishOf } from "./composing.js";
import { Line } from "./line.js";
import { readLink } from "./link.js";
import { Manner } from "./manner.js";
import { Player } from "./player.js";
import { Shelf } from "./shelf.js";
import { Stand } from "./stand.js";
import { Transport } from "./transport.js";
import { Understand } from "./understand.js";
import { Watch } from "./watch.js";

class Studio {
  constructor(about) {
    this.about = about;
    this.stands = [];
    this.player = new Player(about.piano);
    this.candidates = new Candidates(this);
    this.shelf = new Shelf(this);
    this.manner = new Manner(about);
    this.composing = new Composing(this);
    this.transport = new Transport(this.player, this);
    this.form = $("#compose");
    this.rooms = { compose: {}, line: new Line(this), understand: new Understand(this), watch: new Watch(this) };
    this.fillChoices();
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.compose();
    });
    addEventListener("hashchange", () => this.go());
    this.go();
  }

  fillChoices() {
    const { key, meter, bars } = this.form.elements;
    for (const mode of ["major", "minor"]) {
      const group = h("optgroup", { label: mode === "major" ? "Major" : "Minor" });
      for (const one of this.about.keys.filter(({ name }) => name.endsWith(mode))) group.append(h("option", { value: one.name }, one.printed));
      key.append(group);
    }
    for (const one of this.about.meters) meter.append(h("option", { value: one }, one));
    bars.max = this.about.most.bars;
  }

  // ---- rooms

  async go() {
    let link = { room: "compose", wish: null };
    try {
      link = await readLink(location.hash);
    } catch (error) {
      this.say(error.message);
    }
    const room = link.room in this.rooms ? link.room : "compose";
    if (room !== this.room) {
      this.rooms[this.room]?.leave?.();
      this.room = room;
      for (const section of $$("#panel > section")) section.hidden = section.dataset.room !== room;
      for (const anchor of $$(".masthead nav a")) {
        if (anchor.hash === `#${room}`) anchor.setAttribute("aria-current", "page");
        else anchor.removeAttribute("aria-current");
      }
      this.manner.enter($(`#panel > section[data-room=${room}]`));
      document.title = room === "compose" ? "bicinium studio" : `${$(`#title-${room}`).textContent} · bicinium studio`;
      this.rooms[room].enter?.();
      this.welcome();
    }
    if (link.wish) this.follow(link);
  }

  /** Compose what a link names. */
  async follow({ wish, query }) {
    fillForm(this.form, wish);
    this.manner.fill(wish);
    const model = query.get("model");
    await this.composing.run(wish);
    if (model && !this.about.model.endsWith(model)) this.say("this link was made with another model, so the piece may be another");
  }

  welcome() {
    $("#welcome").hidden = this.stands.length > 0 || this.room === "watch" || !$("#editor").hidden;
  }

  /** Say a sentence above the music; "" takes it away. ``more`` {text, does}: a button beside it. */
  say(sentence, more = null) {
    const notice = $("#notice");
    notice.hidden = !sentence;
    if (!sentence) return;
    const text = `${sentence[0].toUpperCase()}${sentence.slice(1)}${sentence.endsWith(".") ? "" : "."}`;
    const button = more && h("button", { type: "button", onclick: more.does }, more.text);
    notice.replaceChildren(...(button ? [button, text] : [text]));
    if (notice.getBoundingClientRect().top < 0) notice.scrollIntoView({ block: "center" });
  }

  // ---- stands

  /** The stand that is listened to. */
  get stand() {
    return this.stands.find((stand) => stand === this.attended) ?? this.stands[0];
  }

  /** Put a piece on the stand; of two, on the one that was not compared with. */
  async place(piece) {
    if (!this.stands.length) this.addStand();
    const stand = this.stands.at(-1);
    const showing = stand.show(piece);
    this.attended = null;
    this.attend(stand);
    this.candidates.write();
    this.welcome();
    this.rooms.understand.enter();
    await showing;
    this.warmUp();
  }

  addStand() {
    const stand = new Stand(this);
    this.stands.push(stand);
    $("#stands").append(stand.element);
    $("#stands").classList.toggle("two", this.stands.length > 1);
    return stand;
  }

  /** What was composed, or is being composed, is not wanted any more. */
  dismiss() {
    this.composing.stop();
    this.candidates.begin();
  }

  /** Take all pieces off. */
  clear() {
    this.player.pause();
    for (const stand of this.stands) stand.element.remove();
    this.stands = [];
    this.dismiss();
    this.transport.element.hidden = true;
    $("#stands").classList.remove("two");
    this.welcome();
  }

  /** Listen to a stand; ``goOn``: from the place where the other one was. */
  attend(stand, goOn = false) {
    if (this.attended === stand || !this.stands.includes(stand)) return;
    const { playing, tick } = this.player;
    this.attended = stand;
    for (const one of this.stands) one.element.classList.toggle("idle", one !== stand && this.stands.length > 1);
    this.player.load(stand.piece.music);
    if (goOn) {
      this.player.seek(Math.min(tick, stand.piece.music.end - 1));
      if (playing) this.player.play();
    }
  }

  /** Fetch the piano while nobody waits for it. */
  warmUp() {
    this.warmed ??= setTimeout(() => this.player.prepare(), 400);
  }

  seek(stand, tick) {
    this.attend(stand);
    this.player.seek(Math.max(tick, stand.piece.music.start));
  }

  chosen(stand) {
    if (stand === this.stand && this.player.loop) this.player.setLoop(this.loopOf(stand));
  }

  loopOf({ first, last, piece }) {
    const { bar } = piece.music.meter;
    return [Math.max(piece.music.start, (first - 1) * bar), last * bar];
  }

  loop(stand = this.stand) {
    if (!stand) return;
    const same = this.attended === stand && this.player.loop;
    this.attend(stand);
    this.player.setLoop(same ? null : this.loopOf(stand));
  }

  /** Open a second stand beside the first, or close one. */
  compare(stand) {
    if (this.stands.length > 1) {
      stand.element.remove();
      this.stands = this.stands.filter((one) => one !== stand);
      $("#stands").classList.remove("two");
      this.stands[0].writeActs();
      this.attended = null;
      this.attend(this.stands[0]);
      this.candidates.write();
      return;
    }
    const others = [...this.candidates.pieces, this.candidates.before, ...this.shelf.kept].filter((piece) => piece && piece !== stand.piece);
    if (!others.length) {
      this.say("there is nothing to compare it with yet: compose more, or keep another");
      return;
    }
    this.addStand();
    stand.writeActs();
    this.place(others[0]);
  }

  // ---- wishes

  compose() {
    if (!this.form.reportValidity()) return;
    history.replaceState(null, "", "#compose");
    this.composing.run({ ...this.manner.wish(), ...wishOf(this.form) });
  }

  vary(piece) {
    const { n } = this.manner.wish();
    const seed = Math.max(piece.seed, ...this.candidates.pieces.map((one) => one.seed)) + 1;
    const { key, meter } = piece.score;
    const same = piece.wish.given ? {} : { key, meter, ...styleOf(piece) };
    this.composing.run({ ...piece.wish, ...same, n, seed }, piece);
  }

  keep(piece) {
    this.shelf.toggle(piece);
    for (const stand of this.stands) stand.writeActs();
  }

  rewrite(stand) {
    const { piece, first, last } = stand;
    const given = { use: "rewrite", score: piece.score, rewrite_bars: [first, last] };
    this.composing.run({ ...this.manner.wish(), ...styleOf(piece), seed: newSeed(), given }, piece);
  }

  continue(stand, bars) {
    const { piece } = stand;
    const given = { use: "continue_from", score: piece.score };
    this.composing.run({ ...this.manner.wish(), ...styleOf(piece), seed: newSeed(), bars, given }, piece);
  }
}

function styleOf(piece) {
  return piece.style ? { style: piece.style } : {};
}

function theme() {
  const root = document.documentElement;
  const kept = localStorage.getItem("bicinium.theme");
  if (kept) root.dataset.theme = kept;
  $("#theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("bicinium.theme", root.dataset.theme);
  });
}

theme();
window.studio = new Studio(await api.about()); // for who looks from the console, and for tests
document.documentElement.dataset.ready = "yes";
