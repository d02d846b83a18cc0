// Asking the server. What goes wrong arrives as an Error whose message is a sentence for people.

async function sentence(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return answer.status === 503 ? "the studio is busy; try again in a moment" : `the studio answered ${answer.status}`;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the studio cannot be reached: is it still running?");
  }
  if (!answer.ok && answer.status !== 304) throw Object.assign(new Error(await sentence(answer)), { status: answer.status });
  return answer;
}

function post(path, body, signal) {
  return ask(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal });
}

export async function about() {
  return (await ask("/api/about")).json();
}

/** Compose: each piece is handed over as it is done. Aborting the signal ends the work. */
export async function compose(wish, { signal, piece, waiting }) {
  const answer = await post("/api/compose", wish, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let begun = false;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the studio stopped in the middle; try again");
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const said = JSON.parse(line);
      if (said.error) throw new Error(said.error);
      if (said.piece) piece(said.piece);
      begun ||= said.begun === true;
      waiting(said.waiting ?? 0, begun);
      if (said.done) return;
    }
  }
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

export async function runs() {
  return (await ask("/api/runs")).json();
}

/** The state of a run, or null where nothing is new since ``tag``. */
export async function run(name, everything, tag) {
  const query = new URLSearchParams({ name, all: everything ? "yes" : "no" });
  const answer = await ask(`/api/run?${query}`, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
  return answer.status === 304 ? null : { tag: answer.headers.get("ETag"), ...(await answer.json()) };
}

export async function sample(name, step, file) {
  return (await ask(`/api/sample?${new URLSearchParams({ name, step, file })}`)).json();
}
