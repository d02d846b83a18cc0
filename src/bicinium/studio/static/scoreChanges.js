// Changes of a score that can be undone. A change lists the notes that go and the notes that come in each voice,
// and the old and new values of other fields. A note is a row [onset, pitch, duration, velocity] in ticks.

export const SHORTEST = 3; // ticks, a thirty-second
const VELOCITY = 80;

/** Return a score with a change made. */
export function apply(score, { voices, fields }) {
  const changed = score.voices.map((rows, part) => {
    const gone = new Set(voices[part].removed.map(([onset]) => onset));
    return [...rows.filter(([onset]) => !gone.has(onset)), ...voices[part].added].sort((a, b) => a[0] - b[0]);
  });
  const values = Object.fromEntries(Object.entries(fields).map(([name, [, value]]) => [name, value]));
  return { ...score, ...values, voices: changed };
}

/** Return the change that undoes another. */
export function invert({ voices, fields }) {
  return {
    voices: voices.map(({ removed, added }) => ({ removed: added, added: removed })),
    fields: Object.fromEntries(Object.entries(fields).map(([name, [before, after]]) => [name, [after, before]])),
  };
}

/** Return the change between two scores, or null if they are equal. */
function difference(before, after) {
  const text = (row) => row.join();
  const without = (rows, others) => {
    const known = new Set(others.map(text));
    return rows.filter((row) => !known.has(text(row)));
  };
  const voices = before.voices.map((rows, part) => ({ removed: without(rows, after.voices[part]), added: without(after.voices[part], rows) }));
  const fields = {};
  for (const name of Object.keys(after)) {
    if (name !== "voices" && JSON.stringify(before[name]) !== JSON.stringify(after[name])) fields[name] = [before[name], after[name]];
  }
  const isEmpty = voices.every(({ removed, added }) => !removed.length && !added.length) && !Object.keys(fields).length;
  return isEmpty ? null : { voices, fields };
}

function withRows(score, part, rows) {
  return { ...score, voices: score.voices.map((old, index) => (index === part ? rows : old)) };
}

/** Put notes {onset, pitch, duration, velocity} into a voice. Notes that begin under them go; one that is held into
 * them becomes shorter. */
export function addNotes(score, part, notes) {
  const rows = notes.map(({ onset, pitch, duration, velocity = VELOCITY }) => [onset, pitch, duration, velocity]);
  return difference(score, rows.reduce((now, row) => placed(now, part, row), score));
}

function placed(score, part, row) {
  const [onset, , duration] = row;
  const end = onset + duration;
  const rest = score.voices[part].flatMap((other) => {
    const [from, pitch, length, ...more] = other;
    if (from + length <= onset || from >= end) return [other];
    return onset - from >= SHORTEST ? [[from, pitch, onset - from, ...more]] : [];
  });
  return withRows(score, part, [...rest, row].sort((a, b) => a[0] - b[0]));
}

/** Give a note another onset, pitch, duration or voice (``to``). */
export function moveNote(score, part, row, { onset = row[0], pitch = row[1], duration = row[2], to = part }) {
  const lifted = withRows(score, part, score.voices[part].filter((other) => other !== row));
  return difference(score, placed(lifted, to, [onset, pitch, duration, ...row.slice(3)]));
}

export function deleteNote(score, part, row) {
  return difference(score, withRows(score, part, score.voices[part].filter((other) => other !== row)));
}

/** Delete the notes that begin from one tick up to another. */
export function clearTicks(score, from, until) {
  return difference(score, { ...score, voices: score.voices.map((rows) => rows.filter(([onset]) => onset < from || onset >= until)) });
}

/** Change fields such as the key or the number of bars. Notes that do not fit any more go or are cut. */
export function setFields(score, fields, end) {
  const voices = score.voices.map((rows) =>
    rows.filter(([onset]) => end - onset >= SHORTEST).map((row) => (row[0] + row[2] > end ? [row[0], row[1], end - row[0], ...row.slice(3)] : row)),
  );
  return difference(score, { ...score, ...fields, voices });
}

/** Return the change from one score to another, for a proposal of the server. */
export function replaceNotes(score, voices) {
  return difference(score, { ...score, voices });
}

const MOST_CHANGES = 500;

/** The changes of a piece, made and undone. */
export class History {
  constructor({ past = [], future = [] } = {}) {
    [this.past, this.future] = [past, future];
  }

  /** Make a change and return the score after it. */
  make(score, change) {
    this.past = [...this.past, change].slice(-MOST_CHANGES);
    this.future = [];
    return apply(score, change);
  }

  undo(score) {
    const change = this.past.pop();
    this.future.push(change);
    return apply(score, invert(change));
  }

  redo(score) {
    const change = this.future.pop();
    this.past.push(change);
    return apply(score, change);
  }
}
