// Requests to the server. Failures are Errors with a message for the user.

async function messageOf(response) {
  try {
    return (await response.json()).error;
  } catch {
    return response.status === 503 ? "the studio is busy; try again in a moment" : `the studio answered ${response.status}`;
  }
}

function connectionLost(error) {
  throw error.name === "AbortError" ? error : new Error("the studio cannot be reached. Is it still running?");
}

async function send(path, options = {}) {
  const response = await fetch(path, options).catch(connectionLost);
  if (!response.ok) throw Object.assign(new Error(await messageOf(response)), { status: response.status });
  return response;
}

function post(path, body, signal) {
  return send(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal });
}

export async function capabilities() {
  return (await send("/api/capabilities")).json();
}

/** Yield the lines of a response as they arrive. */
async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read().catch(connectionLost);
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    yield* lines;
  }
}

/** Compose. The callbacks get candidates, the chosen piece, the progress, and the number of waiting requests. Aborting
 * the signal ends the work. */
export async function compose(request, { signal, onCandidate, onPiece, onProgress, onWaiting }) {
  const response = await post("/api/compose", request, signal);
  let started = false;
  for await (const text of linesOf(response)) {
    signal.throwIfAborted();
    const line = JSON.parse(text);
    if (line.error) throw new Error(line.error);
    if (line.candidate) onCandidate(line.candidate);
    if (line.piece) onPiece(line.piece);
    if (line.progress) onProgress(line.progress);
    started ||= line.started === true;
    onWaiting(line.waiting ?? 0, started);
    if (line.done) return;
  }
  throw new Error("the connection to the studio was lost. Try again.");
}

export async function engrave(score, width, signal) {
  return (await post("/api/engrave", { score, width: Math.round(width) }, signal)).json();
}

export async function analyse(score, style) {
  return (await post("/api/analyse", { score, style })).json();
}

/** Check the counterpoint of {score, rules, cantus}. */
export async function check(request) {
  return (await post("/api/check", request)).json();
}

/** Return {name, description} of a rule set of the user's own, {name, text} of a YAML file. */
export async function readRules(file) {
  return (await post("/api/rules", file)).json();
}

/** Return repairs for a fault of the report. */
export async function proposals(request) {
  return (await post("/api/proposals", request)).json();
}

export async function exportFile(score, format, about, perform) {
  return (await post("/api/export", { score, format, about, perform })).blob();
}

export async function importFile(upload, reduce = false) {
  const query = new URLSearchParams({ name: upload.name, reduce: reduce ? "yes" : "no" });
  return (await send(`/api/import?${query}`, { method: "POST", body: upload })).json();
}

export async function pianoSamples(signal) {
  return (await send("/api/piano.wav", { signal })).arrayBuffer();
}

/** Call onRuns and onRun after every change, until the signal is aborted or the server ends the stream. */
export async function watchRuns(name, allCurves, { signal, onRuns, onRun }) {
  const query = new URLSearchParams({ name, all: allCurves ? "yes" : "no" });
  const response = await send(`/api/runs?${query}`, { signal }); // an EventSource would not report the error
  const handlers = { runs: onRuns, run: onRun };
  let kind = "";
  for await (const line of linesOf(response)) {
    signal.throwIfAborted();
    if (line.startsWith("event: ")) kind = line.slice(7);
    if (line.startsWith("data: ")) handlers[kind](JSON.parse(line.slice(6)));
  }
}

export async function sample(name, step, file) {
  return (await send(`/api/sample?${new URLSearchParams({ name, step, file })}`)).json();
}
