// Vectors of 47 features: the contract of speed/contract.py, so that a mistake shows before it is sent.

export const N_FEATURES = 47;
export const NAMES = Array.from({ length: N_FEATURES }, (_, at) => `feat_${String(at + 1).padStart(2, "0")}`);

const VALUE = /^(?:\d+\.?\d*|\.\d+)$/;

/** Whether the text is a non-negative decimal. */
export const isValue = (text) => VALUE.test(text) && Number.isFinite(Number(text));

/** The 47 numbers of `f1-f2-...-f47`, or of a list with commas. Throws an Error whose message is a sentence. */
export function unpack(text) {
  const inner = text.trim().replace(/^["'[(]+|["')\]]+$/g, "").trim();
  const parts = inner.includes(",") ? inner.split(",").map((part) => part.trim()) : inner.split("-");
  const wrong = parts.findIndex((part) => !isValue(part));
  if (wrong >= 0) {
    const shown = parts[wrong] ? `“${parts[wrong].slice(0, 40)}”` : "empty (a negative value looks so too)";
    throw new Error(`Value ${wrong + 1} is ${shown}: it must be a non-negative decimal.`);
  }
  if (parts.length !== N_FEATURES) {
    throw new Error(`There are ${parts.length} values, and ${N_FEATURES} are needed, with “-” between them.`);
  }
  return parts.map(Number);
}

/** `f1-f2-...-f47`, without exponents: the contract has none. */
export const pack = (values) => values.map(plain).join("-");

export function plain(value) {
  const short = String(value);
  if (!short.includes("e")) return short;
  return value < 1 ? value.toFixed(18).replace(/0+$/, "") : BigInt(value).toString();
}
