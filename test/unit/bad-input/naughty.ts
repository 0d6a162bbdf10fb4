/** Strings and bytes that have broken programs: the public list, and the classes that matter to ours. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { utf8, utf8Text } from "@openclaw/core/bytes.ts";

/** A package of data: its main file is the list. */
const LIST = fileURLToPath(import.meta.resolve("big-list-of-naughty-strings"));

const publicList = (): readonly string[] => {
  const list: unknown = JSON.parse(readFileSync(LIST, "utf8"));
  if (!Array.isArray(list)) throw new Error("the list is a list");
  return list.filter((entry) => typeof entry === "string");
};

const OWN: readonly string[] = [
  "\0",
  "a\0b",
  "\r\nX-Injected: 1\r\n\r\n",
  "line\nfeed",
  "\u2028\u2029",
  "\u202Eright to left\u202C",
  "\u200B\u200C\u200D\u2060",
  "\uFEFFbom",
  "e\u0301 is not \u00E9",
  "Z\u0351\u036B\u0343\u036A\u0302\u036B\u033D\u034F\u0334\u0319\u0324\u031E\u0349",
  "\u{1F469}\u200D\u{1F469}\u200D\u{1F467}\u200D\u{1F466}\u{1F3F4}\u{E0067}\u{E0062}\u{E007F}",
  "\uFFFE\uFFFF\u{10FFFF}",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "../../etc/passwd",
  "..",
  ".",
  "/",
  "//",
  "a/../b",
  "%",
  "%00",
  "%2F%2e%2e",
  "%zz",
  "?a=b&c#d",
  "a+b c",
  "'; DROP TABLE state; --",
  '"},{"code":"OK"',
  "<script>alert(1)</script>",
  "$(reboot) `reboot` $" + "{reboot}",
  "NaN",
  "1e999",
  "-0",
  "null",
  "undefined",
  "[object Object]",
  "docs:",
  "docs:log/today",
  "x".repeat(4_096),
  "\u00E9".repeat(2_048),
];

/** All well-formed, each once. */
export const NAUGHTY_TEXTS: readonly string[] = [...new Set(["", ...OWN, ...publicList()])].filter(
  // What is no Unicode cannot stand in UTF-8: it is among the bytes.
  (text) => utf8Text(utf8(text)) === text,
);

/** Bytes that are no UTF-8, where bytes are taken. */
const NAUGHTY_BYTES: readonly Uint8Array[] = [
  Uint8Array.of(0xff),
  Uint8Array.of(0xfe, 0xff, 0x00, 0x41),
  // A lone surrogate, an overlong slash, an overlong NUL, a cut sequence, a code point above the last.
  Uint8Array.of(0xed, 0xa0, 0x80),
  Uint8Array.of(0xc0, 0xaf),
  Uint8Array.of(0xc0, 0x80),
  Uint8Array.of(0x61, 0xe2, 0x82),
  Uint8Array.of(0xf4, 0x90, 0x80, 0x80),
  Uint8Array.from({ length: 256 }, (_, i) => i),
  new Uint8Array(4_096).fill(0xff),
];

export const NAUGHTY: readonly Uint8Array[] = [...NAUGHTY_TEXTS.map(utf8), ...NAUGHTY_BYTES];
