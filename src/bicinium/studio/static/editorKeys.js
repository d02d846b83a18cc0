// What keys do in the score and the piano roll, as in MuseScore where it has the same.

const SIXTEENTH = 6;
const OCTAVE = 12;
const LENGTHS = { 2: 3, 3: 6, 4: 12, 5: 24, 6: 48, 7: 96 };

/** Return what a key does, or null. */
export function actionOf(editor, event) {
  if (event.altKey) return null;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return (event.ctrlKey || event.metaKey ? commands(editor, event) : keys(editor, event))[name] ?? null;
}

function commands(editor, { shiftKey }) {
  return {
    z: () => (shiftKey ? editor.redo() : editor.undo()),
    y: () => editor.redo(),
    ArrowUp: () => editor.nudge({ pitch: OCTAVE }),
    ArrowDown: () => editor.nudge({ pitch: -OCTAVE }),
  };
}

function keys(editor, { shiftKey }) {
  const { adding, row, grid } = editor;
  const isCursor = adding && !row; // up and down move the cursor
  const across = (direction) => {
    if (shiftKey) editor.nudge({ onset: direction * SIXTEENTH });
    else if (adding) editor.moveCaret(direction * grid, 0);
    else editor.step(direction);
  };
  const lengths = Object.entries(LENGTHS).map(([key, ticks]) => [key, () => editor.setLength(ticks)]);
  return {
    ...(shiftKey ? {} : Object.fromEntries(lengths)),
    ArrowUp: () => (isCursor ? editor.moveCaret(0, 1) : editor.nudge({ pitch: 1 })),
    ArrowDown: () => (isCursor ? editor.moveCaret(0, -1) : editor.nudge({ pitch: -1 })),
    ArrowLeft: () => across(-1),
    ArrowRight: () => across(1),
    Delete: () => editor.remove(),
    Backspace: () => (isCursor ? editor.back() : editor.remove()),
    Escape: () => (adding ? editor.setAdding(false) : editor.deselect()),
    n: () => editor.setAdding(!adding),
    v: () => editor.stepVoice(),
    ".": () => row && row[2] % 2 === 0 && editor.setLength(row[2] * 1.5),
    "[": () => editor.stepLength(-1),
    "]": () => editor.stepLength(1),
    Enter: adding ? () => editor.enter(editor.caret.pitch) : null,
  };
}
