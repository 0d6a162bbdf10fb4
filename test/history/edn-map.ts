/** Reads one line that is a flat map of EDN: `{:process 0, :key "k", :value [nil "v"]}`. Commas are blanks. */
import { HistoryError } from "./history.ts";

export type EdnScalar =
  | { readonly kind: "nil" }
  | { readonly kind: "keyword"; readonly name: string }
  | { readonly kind: "number"; readonly number: number }
  | { readonly kind: "string"; readonly text: string };

export type EdnValue = EdnScalar | { readonly kind: "vector"; readonly items: readonly EdnScalar[] };

const TOKEN =
  /[\s,]*(?:(\{|\}|\[|\])|(nil)(?![\w-])|:([A-Za-z][\w./?!*+-]*)|(-?\d{1,15})(?![\w.-])|"((?:[^"\\]|\\.)*)")/suy;
const BLANK = /[\s,]*/uy;

type Token = { readonly kind: "mark"; readonly mark: string } | EdnScalar;

/** @throws HistoryError */
export function readEdnMap(line: string): ReadonlyMap<string, EdnValue> {
  const tokens = tokensOf(line);
  const fields = new Map<string, EdnValue>();
  let next = 0;
  const isMark = (mark: string): boolean => {
    const token = tokens[next];
    return token?.kind === "mark" && token.mark === mark;
  };
  const scalar = (): EdnScalar => {
    const token = tokens[next++];
    if (token === undefined) throw new HistoryError("the map does not end");
    if (token.kind === "mark") throw new HistoryError(`a ${token.mark} where a value belongs`);
    return token;
  };
  const value = (): EdnValue => {
    if (!isMark("[")) return scalar();
    next++;
    const items: EdnScalar[] = [];
    while (!isMark("]")) items.push(scalar());
    next++;
    return { kind: "vector", items };
  };
  if (!isMark("{")) throw new HistoryError("a map begins with {");
  next++;
  while (!isMark("}")) {
    const field = scalar();
    if (field.kind !== "keyword") throw new HistoryError("a field's name is a keyword, such as :process");
    if (fields.has(field.name)) throw new HistoryError(`:${field.name} is there twice`);
    fields.set(field.name, value());
  }
  if (next + 1 !== tokens.length) throw new HistoryError("there is something after the map's }");
  return fields;
}

function tokensOf(line: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    BLANK.lastIndex = at;
    BLANK.exec(line);
    if (BLANK.lastIndex === line.length) return tokens;
    TOKEN.lastIndex = at;
    const [, mark, nil, keyword, number, string] = TOKEN.exec(line) ?? [];
    if (mark !== undefined) tokens.push({ kind: "mark", mark });
    else if (nil !== undefined) tokens.push({ kind: "nil" });
    else if (keyword !== undefined) tokens.push({ kind: "keyword", name: keyword });
    else if (number !== undefined) tokens.push({ kind: "number", number: Number(number) });
    else if (string !== undefined) tokens.push({ kind: "string", text: unescaped(string) });
    else throw new HistoryError(`this cannot be read: ${line.slice(BLANK.lastIndex, BLANK.lastIndex + 40)}`);
    at = TOKEN.lastIndex;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  b: "\b",
  f: "\f",
  '"': '"',
  "\\": "\\",
};

const unescaped = (text: string): string =>
  text.replace(
    /\\(?:u([0-9a-fA-F]{4})|(.))/gsu,
    (whole: string, code: string | undefined, letter: string | undefined) => {
      if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16));
      const plain = ESCAPES[letter ?? ""];
      if (plain === undefined) throw new HistoryError(`a string has no escape ${whole}`);
      return plain;
    },
  );
