// Links to pieces. The link of a composed piece has the request with its seed and, if there is one, its source music,
// and composes the piece again. The link of any other piece has its notes.

const TEXTS = ["key", "meter", "style", "subject", "answer", "manner"];
const NUMBERS = ["seed", "best_of", "bars", "tempo", "motif_strength", "temperature", "top_p", "max_quote"];

export async function linkOf({ request, score, seed, isEdited }, capabilities) {
  const query = new URLSearchParams();
  if (!request || seed === undefined || isEdited) {
    query.set("score", await compress(score));
    return `#compose?${query}`;
  }
  for (const name of [...NUMBERS, ...TEXTS]) {
    if (request[name] !== undefined && request[name] !== null && request[name] !== "") query.set(name, request[name]);
  }
  if (request.constraints && Object.keys(request.constraints).length) query.set("constraints", JSON.stringify(request.constraints));
  if (request.source) query.set("source", await compress(request.source));
  query.set("model", capabilities.model.split("sha256 ").at(-1));
  return `#compose?${query}`;
}

/** Return {section, query} of an address, with the request or the score of a link. Throws an Error if it is damaged. */
export async function readLink(hash) {
  const [section, text = ""] = hash.replace(/^#/, "").split("?");
  const query = new URLSearchParams(text);
  try {
    if (query.has("score")) return { section, query, score: await decompress(query.get("score")) };
    if (!query.has("seed")) return { section, query };
    const request = { n: 1, best_of: 1 }; // older links do not name the candidates: there was one
    if (query.has("recurrence")) query.set("motif_strength", query.get("recurrence")); // name in older links
    for (const name of TEXTS) if (query.get(name)) request[name] = query.get(name);
    for (const name of NUMBERS) if (query.get(name)) request[name] = Number(query.get(name));
    if (query.get("constraints")) request.constraints = JSON.parse(query.get("constraints"));
    const source = query.get("source") ?? query.get("given"); // "given" in older links
    if (source) request.source = await decompress(source);
    return { section, request, query };
  } catch {
    throw new Error("this link is damaged or incomplete. Copy it again.");
  }
}

async function pipe(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

async function compress(value) {
  const bytes = await pipe(new TextEncoder().encode(JSON.stringify(value)), new CompressionStream("deflate-raw"));
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

async function decompress(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(await pipe(bytes, new DecompressionStream("deflate-raw"))));
}
