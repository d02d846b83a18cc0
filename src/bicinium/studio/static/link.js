// The address of a piece: all that was asked, the seed, and where music was given, that too.

const PLAIN = ["key", "meter", "style", "subject", "answer"];
const NUMBERS = ["seed", "bars", "tempo", "motif_strength", "temperature", "top_p", "max_quote"];

export async function linkOf({ wish }, about) {
  const query = new URLSearchParams();
  for (const name of [...NUMBERS, ...PLAIN]) {
    if (wish[name] !== undefined && wish[name] !== null && wish[name] !== "") query.set(name, wish[name]);
  }
  if (wish.constraints && Object.keys(wish.constraints).length) query.set("constraints", JSON.stringify(wish.constraints));
  if (wish.given) query.set("given", await packed(wish.given));
  query.set("model", about.model.split("sha256 ").at(-1));
  return `#compose?${query}`;
}

/** {room, wish or null, model} of an address. Raises an Error with a sentence where it is damaged. */
export async function readLink(hash) {
  const [room, text = ""] = hash.replace(/^#/, "").split("?");
  const query = new URLSearchParams(text);
  if (!query.has("seed")) return { room, wish: null, query };
  try {
    const wish = { n: 1 };
    for (const name of PLAIN) if (query.get(name)) wish[name] = query.get(name);
    for (const name of NUMBERS) if (query.get(name)) wish[name] = Number(query.get(name));
    if (query.get("constraints")) wish.constraints = JSON.parse(query.get("constraints"));
    if (query.get("given")) wish.given = await unpacked(query.get("given"));
    return { room, wish, query };
  } catch {
    throw new Error("this link is damaged, or was cut short; copy it again");
  }
}

async function through(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

async function packed(value) {
  const bytes = await through(new TextEncoder().encode(JSON.stringify(value)), new CompressionStream("deflate-raw"));
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(await through(bytes, new DecompressionStream("deflate-raw"))));
}
