import { toHex } from "@openclaw/core/bytes.ts";
import { encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import type { CommandResult } from "@openclaw/core/state-machine/command.ts";
import { decodeCommands, encodeCommands } from "@openclaw/core/state-machine/command-codec.ts";
import { outcomeTuple, readOutcome } from "@openclaw/core/state-machine/outcome-codec.ts";
import { readResult, resultTuple } from "@openclaw/core/state-machine/result-codec.ts";
import { readUserCommand, userCommandTuple } from "@openclaw/core/state-machine/user-command-codec.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { anyCommand } from "./commands.ts";
import { ok, put } from "./one-cluster.ts";

const refusal = { ok: false, code: "MISSING", details: "ab,cd" } as const;

test("commands come back as they were, in a buffer of their own", () => {
  fc.assert(
    fc.property(fc.array(anyCommand, { maxLength: 5 }), (commands) => {
      const bytes = encodeCommands(commands);
      expect(bytes.buffer.byteLength).toBe(bytes.length);
      const decoded = decodeCommands(bytes);
      expect(toHex(encodeCommands(decoded))).toBe(toHex(bytes));
      expect(decoded.map(({ kind }) => kind)).toEqual(commands.map(({ kind }) => kind));
    }),
  );
});

test("X1: cut or altered bytes are refused with a code, or read as other commands; nothing else happens", () => {
  const bytes = encodeCommands(fc.sample(anyCommand, { seed: 1, numRuns: 30 }));
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
      const altered = cut ? bytes.slice(0, at) : bytes.map((old, i) => (i === at ? byte : old));
      try {
        decodeCommands(altered);
      } catch (error) {
        expect(error).toBeInstanceOf(OpenClawError);
      }
    }),
  );
});

test("X1: a batch of another version is refused by name", () => {
  expect(() => decodeCommands(encode([2, []]))).toThrow(expect.objectContaining({ code: "UNKNOWN_VERSION" }));
});

test("user commands, outcomes and results are tuples of their own", () => {
  expect(readUserCommand(userCommandTuple(put("a", "b")))).toEqual(put("a", "b"));
  for (const outcome of [ok(7), refusal]) expect(readOutcome(outcomeTuple(outcome))).toEqual(outcome);
  const results: readonly CommandResult[] = [
    { kind: "outcome", outcome: refusal },
    { kind: "sessionOpened" },
    { kind: "imported", cursor: 4, outcomes: [null, ok(3)] },
    { kind: "importRefused", code: "GAP", cursor: 9, details: "x" },
    { kind: "noted" },
    { kind: "idempotent", outcome: ok(7), until: 86_400_000, note: "7", repeated: true },
    { kind: "idempotent", outcome: refusal, until: null, note: "", repeated: false },
    { kind: "memberNoted", refused: null },
    { kind: "siteNoted", refused: null },
    { kind: "siteNoted", refused: { code: "TOKEN_USED", details: "x" } },
    { kind: "stamped", logTime: 1_700_000_000_000 },
    { kind: "memberNoted", refused: { code: "TOKEN_USED", details: "x" } },
  ];
  for (const result of results) expect(readResult(resultTuple(result))).toEqual(result);
  expect(() => readResult([9])).toThrow(OpenClawError);
  expect(() => readOutcome([false, "NO_SUCH_CODE", ""])).toThrow(OpenClawError);
  expect(() => readUserCommand([16, "1".repeat(32)])).toThrow(OpenClawError);
});
