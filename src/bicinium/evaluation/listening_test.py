"""A blind listening test as one self-contained page: pairs of a real and a composed piece; a person
says which is by a human, and the page scores the answers at the end.

The two of a pair have the same metre, mode, key, tempo and number of bars, and are played by the
same piano with the same dynamics. Nothing on the page says which is which before the end. (Who
reads its source can find out; it is hidden from the eye, not from a will.)
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from string import Template

import numpy as np

from bicinium.errors import RequestError
from bicinium.evaluation.audio_clips import clip
from bicinium.evaluation.evaluate import Answers, Evaluation
from bicinium.evaluation.reference_music import set_of
from bicinium.music.score import NoteSequence, Score, Voice, note_array
from bicinium.reports.html_report import PAGE_STYLE

PAIRS = 10
_VELOCITY = 80  # of every note, whatever a file says; the performance gives phrases their shape

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Which is by a human?</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>$style
main { max-width: 44rem; margin: 0 auto; }
fieldset { border: 1px solid var(--line); margin: 1rem 0; padding: .6rem 1rem; }
legend { font-weight: 600; }
.excerpts { display: flex; gap: 1.5rem; flex-wrap: wrap; }
.excerpts > div { flex: 1 1 17rem; }
audio { width: 100%; }
label { display: block; padding: .2rem 0; }
button { font: inherit; padding: .4rem 1.2rem; }
:focus-visible { outline: 3px solid var(--upper); outline-offset: 2px; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .9rem .2rem 0; text-align: left; border-bottom: 1px solid var(--line); }
[hidden] { display: none; }
</style></head><body><main>
<h1>Which is by a human?</h1>
<section id="intro">
<p>You will hear $count pairs of short piano pieces in two voices, each of the same length, metre
and key. One of the two was written by a human composer, the other by a program. Real music may
begin in the middle of a piece. Listen to both as often as you like, then say which is by a
human.</p>
<p>Keys: <kbd>1</kbd> and <kbd>2</kbd> play and pause, <kbd>A</kbd> and <kbd>B</kbd> answer first or
second, <kbd>Enter</kbd> goes on; <kbd>Tab</kbd> reaches everything.</p>
<p><button id="begin">Begin</button></p>
</section>
<form id="pair" hidden>
<h2 id="place" tabindex="-1"></h2>
<div class="excerpts">
<div><h3>First</h3><audio id="first" controls></audio></div>
<div><h3>Second</h3><audio id="second" controls></audio></div>
</div>
<fieldset><legend>Which is by a human?</legend>
<label><input type="radio" name="human" value="0"> The first</label>
<label><input type="radio" name="human" value="1"> The second</label>
</fieldset>
<fieldset><legend>How sure are you?</legend>
<label><input type="radio" name="sure" value="guess" checked> I am guessing</label>
<label><input type="radio" name="sure" value="fairly"> Fairly</label>
<label><input type="radio" name="sure" value="certain"> Certain</label>
</fieldset>
<p><label><input type="checkbox" name="known"> I know one of these pieces</label></p>
<p><button id="next">Next</button> <span id="hint" role="status"></span></p>
</form>
<section id="end" hidden>
<h2 id="score" tabindex="-1"></h2>
<p id="meaning"></p>
<div id="truth"></div>
<p><button id="save">Save the answers</button></p>
</section>
</main>
<script>
"use strict";
const test = JSON.parse(new TextDecoder().decode(
  Uint8Array.from(atob("$test"), (character) => character.charCodeAt(0))));
const answers = [];
let current = -1;
let shown = 0;
const by = (id) => document.getElementById(id);
const heard = { first: 0, second: 0 };

for (const id of ["first", "second"]) {
  by(id).addEventListener("play", () => {
    heard[id] += 1;
    by(id === "first" ? "second" : "first").pause();
  });
}

function show(index) {
  current = index;
  shown = Date.now();
  heard.first = heard.second = 0;
  by("first").src = test.pairs[index].sound[0];
  by("second").src = test.pairs[index].sound[1];
  by("pair").reset();
  by("hint").textContent = "";
  by("place").textContent = "Pair " + (index + 1) + " of " + test.pairs.length;
  by("next").textContent = index + 1 < test.pairs.length ? "Next" : "Finish";
  by("place").focus();
}

function answer() {
  const form = new FormData(by("pair"));
  if (!heard.first || !heard.second) {
    by("hint").textContent = "Listen to both first.";
    return;
  }
  if (form.get("human") === null) {
    by("hint").textContent = "Say which is by a human.";
    return;
  }
  const said = Number(form.get("human"));
  answers.push({
    pair: current + 1,
    said: said,
    human: test.pairs[current].human,
    right: said === test.pairs[current].human,
    sure: form.get("sure"),
    known: form.get("known") !== null,
    plays: [heard.first, heard.second],
    seconds: Math.round((Date.now() - shown) / 1000),
  });
  by("first").pause();
  by("second").pause();
  if (current + 1 < test.pairs.length) show(current + 1);
  else finish();
}

// The chance to be at least so far from half of n right by tossing a coin.
function chance(right, n) {
  const far = Math.abs(right - n / 2);
  let sum = 0;
  for (let k = 0, ways = 1; k <= n; ways = ways * (n - k) / (k + 1), k += 1) {
    if (Math.abs(k - n / 2) >= far - 1e-9) sum += ways / 2 ** n;
  }
  return Math.min(1, sum);
}

// What is known proves nothing: it is kept, but not counted.
function result() {
  const counted = answers.filter((one) => !one.known);
  const right = counted.filter((one) => one.right).length;
  return {
    model: test.model, seed: test.seed, right: right, of: counted.length,
    p: chance(right, counted.length),
    answers: answers.map((one, index) => ({ ...one, ...test.pairs[index].about })),
  };
}

function finish() {
  by("pair").hidden = true;
  by("end").hidden = false;
  const found = result();
  by("score").textContent = found.right + " of " + found.of + " right";
  by("meaning").textContent =
    (found.of < answers.length ? "Pairs of which you knew a piece do not count. " : "") +
    "Tossing a coin gets this far from half, or further, with a chance of " +
    (100 * found.p).toFixed(1) + " %. A single listener says little; save the answers and put " +
    "many together.";
  const table = document.createElement("table");
  const row = (cells, kind) => {
    const line = table.insertRow();
    for (const cell of cells) {
      const field = document.createElement(kind);
      field.textContent = cell;
      line.append(field);
    }
  };
  row(["pair", "you said", "by a human", "", "which is"], "th");
  const names = ["first", "second"];
  found.answers.forEach((one) => row([
    one.pair, names[one.said], names[one.human],
    (one.right ? "right" : "wrong") + (one.known ? ", but known" : ""),
    one.real + ". The other: seed " + one.composed,
  ], "td"));
  by("truth").append(table);
  by("score").focus();
}

function save() {
  const link = document.createElement("a");
  const text = JSON.stringify(result(), null, 2);
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "bicinium-listening.json";
  link.click();
  URL.revokeObjectURL(link.href);
}

by("begin").addEventListener("click", () => {
  by("intro").hidden = true;
  by("pair").hidden = false;
  show(0);
});
by("pair").addEventListener("submit", (event) => { event.preventDefault(); answer(); });
by("save").addEventListener("click", save);
document.addEventListener("keydown", (event) => {
  if (by("pair").hidden || event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key.toLowerCase();
  if (key === "1" || key === "2") {
    const sound = by(key === "1" ? "first" : "second");
    if (sound.paused) sound.play(); else sound.pause();
  } else if (key === "a" || key === "b") {
    by("pair").elements.human.value = key === "a" ? "0" : "1";
  } else if (key === "enter" && event.target.tagName !== "BUTTON") {
    answer();
  } else return;
  event.preventDefault();
});
</script>
</body></html>
""")


def listening_page(evaluation: Evaluation, pairs: int = PAIRS) -> str:
    """The page, of keyboard music as far as there is enough.

    Raises RequestError where nothing was composed, or the extra ``sound`` is not installed.
    """
    answers = evaluation.answers
    if answers is None or not answers.scores:
        raise RequestError("there is nothing to listen to: ask for one piece or more")
    rng = np.random.default_rng([evaluation.seed, 1])
    chosen = _choose(answers, pairs, rng)
    places = rng.integers(0, 2, len(chosen)).tolist()  # where the human's is
    test = {
        "model": evaluation.model,
        "seed": evaluation.seed,
        "pairs": [_pair(answers, i, human) for i, human in zip(chosen, places, strict=True)],
    }
    packed = base64.b64encode(json.dumps(test).encode()).decode()
    return _PAGE.substitute(style=PAGE_STYLE, count=len(chosen), test=packed)


def _choose(answers: Answers, count: int, rng: np.random.Generator) -> list[int]:
    """Pairs in no order: first those of keyboard music that end where a piece ends."""
    shuffled = rng.permutation(len(answers.scores)).tolist()
    shuffled.sort(key=lambda index: _rank(answers, index))
    chosen = shuffled[:count]
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _rank(answers: Answers, index: int) -> tuple[bool, bool]:
    excerpt = answers.excerpts[index]
    ends = excerpt.first_bar + excerpt.score.bars == excerpt.piece.bars
    return set_of(excerpt.piece) == "other", not ends


def _pair(answers: Answers, index: int, human: int) -> dict[str, object]:
    excerpt = answers.excerpts[index]
    piece = excerpt.piece
    sounds = [_sound(answers.scores[index])] * 2
    sounds[human] = _sound(excerpt.score)
    named = ", ".join(filter(None, (piece.composer, piece.title))) or piece.name
    terms = ", ".join(filter(None, (piece.licence, piece.credit)))
    last_bar = excerpt.first_bar + excerpt.score.bars
    about = {
        "real": f"{named}, bars {excerpt.first_bar + 1} to {last_bar}"
        + (f" ({terms})" if terms else ""),
        "composed": answers.compositions[index].seed,
    }
    return {"sound": sounds, "human": human, "about": about}


def _sound(score: Score) -> str:
    """All notes equally loud, then played with the same phrasing."""
    return clip(_levelled(score), perform=True)


def _levelled(score: Score) -> Score:
    voices: Sequence[Voice] = [_level(voice) for voice in score.voices]
    return replace(score, voices=tuple(voices))


def _level(voice: Voice) -> Voice:
    columns = note_array(voice.notes).copy()
    columns[3] = _VELOCITY
    return Voice(NoteSequence(columns))
