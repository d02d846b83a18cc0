// Asking the server. What goes wrong arrives as an Error whose message is a sentence for people.

async function sentence(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return answer.status === 503 ? "the studio is busy; try again in a moment" : `the studio answered ${answer.status}`;
  }
}

function lost(error) {
  throw error.name === "AbortError" ? error : new Error("the studio cannot be reached: is it still running?");
}

async function ask(path, options = {}) {
  const answer = await fetch(path, options).catch(lost);
  if (!answer.ok) throw Object.assign(new Error(await sentence(answer)), { status: answer.status });
  return answer;
}

function post(path, body, signal) {
  return ask(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal });
}

export async function about() {
  return (await ask("/api/about")).json();
}

/** The lines of an answer, as they come. */
async function* linesOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read().catch(lost);
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    yield* lines;
  }
}

/** Compose: each piece is handed over as it is done, and how far the others are. Aborting the signal ends the work. */
export async function compose(wish, { signal, piece, underway, waiting }) {
  const answer = await post("/api/compose", wish, signal);
  let begun = false;
  for await (const line of linesOf(answer)) {
    signal.throwIfAborted();
    const said = JSON.parse(line);
    if (said.error) throw new Error(said.error);
    if (said.piece) piece(said.piece);
    if (said.underway) underway(said.underway);
    begun ||= said.begun === true;
    waiting(said.waiting ?? 0, begun);
    if (said.done) return;
  }
  throw new Error("the studio stopped in the middle; try again");
}

export async function engrave(score, width, signal) {
  return (await post("/api/engrave", { score, width: Math.round(width) }, signal)).json();
}

export async function understand(score, style) {
  return (await post("/api/understand", { score, style })).json();
}

export async function file(score, format, about, perform) {
  return (await post("/api/file", { score, format, about, perform })).blob();
}

export async function read(upload, reduce = false) {
  const query = new URLSearchParams({ name: upload.name, reduce: reduce ? "yes" : "no" });
  return (await ask(`/api/read?${query}`, { method: "POST", body: upload })).json();
}

export async function recording(signal) {
  return (await ask("/api/piano.wav", { signal })).arrayBuffer();
}

/** Be told of the runs, and the state of one, whenever they change, until the signal is aborted or the server ends it. */
export async function watch(name, everything, { signal, ...told }) {
  const query = new URLSearchParams({ name, all: everything ? "yes" : "no" });
  const answer = await ask(`/api/watch?${query}`, { signal }); // an EventSource would not say why it is refused
  let kind = "";
  for await (const line of linesOf(answer)) {
    signal.throwIfAborted();
    if (line.startsWith("event: ")) kind = line.slice(7);
    if (line.startsWith("data: ")) told[kind](JSON.parse(line.slice(6)));
  }
}

export async function sample(name, step, file) {
  return (await ask(`/api/sample?${new URLSearchParams({ name, step, file })}`)).json();
}
