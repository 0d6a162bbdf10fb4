import { OpenClawError } from "@openclaw/core/errors.ts";
import { PARTITION, revision } from "@openclaw/core/ids.ts";
import {
  laterPosition,
  type PositionToken,
  parsePosition,
  positionText,
} from "@openclaw/core/ledger/position-token.ts";
import { expect, test } from "vitest";
import { clusterId } from "../sync/world.ts";

const at = (number: number, name = "shop-7", epoch = "0a".repeat(16)): PositionToken => ({
  cluster: clusterId(name),
  partition: PARTITION,
  epoch,
  revision: revision(number),
});

test("L3: a position comes back from its text as it was", () => {
  for (const position of [at(0), at(17), at(Number.MAX_SAFE_INTEGER), at(1, "a")])
    expect(parsePosition(positionText(position))).toEqual(position);
  expect(positionText(at(17))).toBe(`shop-7.0.${"0a".repeat(16)}.17`);
});

test.each([
  "",
  "17",
  "shop..0a.1",
  `shop.0.${"0a".repeat(16)}.`,
  `shop.0.${"0a".repeat(16)}.01`,
  `shop.0.${"0a".repeat(16)}.9007199254740993`,
  `shop.0.${"0A".repeat(16)}.1`,
  `-shop.0.${"0a".repeat(16)}.1`,
  `shop.1.${"0a".repeat(16)}.1`,
  ` shop.0.${"0a".repeat(16)}.1`,
  `shop.0.${"0a".repeat(16)}.1\n`,
])("%j is no position", (text) => {
  expect(() => parsePosition(text)).toThrow(OpenClawError);
});

test("of two positions of one ledger the later counts; of two ledgers the new one", () => {
  expect(laterPosition(null, at(1))).toEqual(at(1));
  expect(laterPosition(at(5), at(3))).toEqual(at(5));
  expect(laterPosition(at(3), at(5))).toEqual(at(5));
  const other = at(1, "shop-7", "0b".repeat(16));
  expect(laterPosition(at(9), other)).toEqual(other);
});
