/**
 * Concurrent editing traces (josephg/editing-traces, concurrent_traces): a text's whole history as a graph of
 * transactions. A transaction's positions hold at its parents' heads.
 */
import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import * as z from "zod";
import { Refusal } from "../refusal.ts";

/** Position, number of characters deleted there, text inserted there. */
export type Patch = readonly [position: number, deleted: number, inserted: string];

export interface Transaction {
  /** Transactions of smaller number, by number; none for the first. */
  readonly parents: readonly number[];
  readonly agent: number;
  readonly patches: readonly Patch[];
}

export interface Trace {
  readonly transactions: readonly Transaction[];
  /** Text after all of them. */
  readonly endContent: string;
}

/** The check has two browsers. */
export const AGENTS = 2;

/** An unpacked trace; the largest published one is a tenth of it. */
const TRACE_BYTES_MAX = 256 * 1024 * 1024;

const count = z.number().int().nonnegative();
const traceFile = z.object({
  endContent: z.string(),
  txns: z.array(
    z.object({
      parents: z.array(count),
      agent: count,
      patches: z.array(z.tuple([count, count, z.string()])),
    }),
  ),
});

/**
 * Reads a trace, gzipped or not.
 * @throws Refusal if the file is not one, or has more than two agents
 */
export async function loadTrace(file: string): Promise<Trace> {
  const bytes = await readFile(file).catch((error: Error) => {
    throw new Refusal(`The trace cannot be read: ${error.message}`);
  });
  const zipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
  let json: unknown;
  try {
    json = JSON.parse((zipped ? gunzipSync(bytes, { maxOutputLength: TRACE_BYTES_MAX }) : bytes).toString("utf8"));
  } catch (error) {
    throw new Refusal(
      `${file} is no JSON, nor gzipped JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  return parseTrace(json, file);
}

/** @throws Refusal */
export function parseTrace(json: unknown, file: string): Trace {
  const parsed = traceFile.safeParse(json);
  if (!parsed.success) throw new Refusal(`${file} is no concurrent editing trace: ${z.prettifyError(parsed.error)}`);
  const { txns, endContent } = parsed.data;
  for (const [i, transaction] of txns.entries()) {
    if (transaction.agent >= AGENTS) {
      throw new Refusal(`${file}: transaction ${i} is of agent ${transaction.agent}; the check plays agents 0 and 1`);
    }
    if (transaction.parents.some((parent) => parent >= i)) {
      throw new Refusal(`${file}: transaction ${i} has a parent that comes after it`);
    }
  }
  return { transactions: txns, endContent };
}
