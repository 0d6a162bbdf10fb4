/** A document as JSON text: what has no JSON form becomes its nearest one; the exact form is the Automerge bytes. */
import { Counter, type Doc, ImmutableString, toJS } from "@automerge/automerge";

export const jsonText = (doc: Doc<Record<string, unknown>>): string => JSON.stringify(projected(toJS(doc)));

/** Bytes become base64, dates ISO 8601, counters numbers. */
function projected(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Counter) return value.value;
  if (value instanceof ImmutableString) return value.toString();
  if (Array.isArray(value)) return value.map(projected);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, projected(item)]));
  }
  return typeof value === "bigint" ? value.toString() : value;
}
