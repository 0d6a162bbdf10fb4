import { prefixEnd, toHex, utf8 } from "@openclaw/core/bytes.ts";
import { expect, test } from "vitest";

test("the end of a prefix is the first key behind all that begin with it, and leaves the prefix as it is", () => {
  for (const prefix of [utf8("config/"), Buffer.from("config/"), Buffer.from("xconfig/").subarray(1)]) {
    expect(toHex(prefixEnd(prefix) ?? prefix)).toBe(toHex(utf8("config0")));
    expect(toHex(prefix)).toBe(toHex(utf8("config/")));
  }
  expect(prefixEnd(new Uint8Array([1, 0xff]))).toEqual(new Uint8Array([2]));
  expect(prefixEnd(new Uint8Array([0xff, 0xff]))).toBeUndefined();
});
