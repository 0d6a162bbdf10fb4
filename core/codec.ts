/**
 * The one encoding of everything that is stored, sent or hashed: MessagePack in fixed tuples. Equal values give equal
 * bytes (rule X1): tuples have no key order, numbers are safe integers, and nothing optional is left out.
 */
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";
import { OpenClawError } from "./errors.ts";
import { isCount } from "./ids.ts";
import { DEPTH_MAX } from "./limits.ts";

// Not from "msgpackr" itself: in Node.js that loads msgpackr-extract 3.0.7, whose one table for all threads is cleared and
// filled again whenever a further thread loads it. Whoever decodes just then gets other texts.

/** What may be encoded. No maps: so no `__proto__`, no key order, no lost keys (pitfall 49). */
export type Encodable = null | boolean | number | string | Uint8Array | readonly Encodable[];

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: false });
// Maps are never sent. An object takes a third of what a `Map` does: so a frame of nothing but empty ones is refused at a
// cost of some 60 bytes each, and not of 200.
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "number" });

/**
 * A copy with a buffer of its own: msgpackr packs into a pool, and what we return is kept and transferred. (Not `slice`:
 * on a Buffer that is a view of the pool, and transferring it would take the pool along.)
 */
export const encode = (value: Encodable): Uint8Array<ArrayBuffer> => new Uint8Array(packr.pack(value));

/**
 * The same bytes without the copy, for who copies them anyway: a view of msgpackr's pool. Nothing is written over it, but
 * it must not be transferred, and who keeps it keeps the pool.
 */
export function encodePooled(value: Encodable): Uint8Array {
  const { buffer, byteOffset, byteLength } = packr.pack(value);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * Decodes bytes of a peer or a disk, and checks that they hold only what `encode` writes.
 * @throws OpenClawError MALFORMED_FRAME
 */
export function decode(bytes: Uint8Array): Encodable {
  let value: unknown;
  try {
    value = unpackr.unpack(bytes);
  } catch (error) {
    throw new OpenClawError("MALFORMED_FRAME", "not MessagePack", { cause: error });
  }
  return checked(value, 0);
}

function checked(value: unknown, depth: number): Encodable {
  if (depth > DEPTH_MAX) throw new OpenClawError("MALFORMED_FRAME", "nested too deeply");
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new OpenClawError("MALFORMED_FRAME", "a number that is no safe integer");
    return value;
  }
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) {
    for (const item of value) checked(item, depth + 1);
    return value;
  }
  throw new OpenClawError("MALFORMED_FRAME", "a value of a kind that is never sent");
}

/** A list of at most `max` items. @throws OpenClawError MALFORMED_FRAME */
export function limited<T>(list: readonly T[], max: number, what: string): readonly T[] {
  if (list.length > max) throw new OpenClawError("MALFORMED_FRAME", `${list.length} ${what}; at most ${max}`);
  return list;
}

/** Reads a tuple's fields one after the other, each with its type. Every method @throws OpenClawError MALFORMED_FRAME. */
export class TupleReader {
  readonly #fields: readonly Encodable[];
  readonly #what: string;
  #next = 0;

  /** @param what the name of the tuple, for the error text */
  constructor(value: Encodable, what: string) {
    if (!Array.isArray(value)) throw new OpenClawError("MALFORMED_FRAME", `${what} is not a tuple`);
    this.#fields = value;
    this.#what = what;
  }

  any(): Encodable {
    const field = this.#fields[this.#next++];
    if (field === undefined) throw this.#wrong("a further field");
    return field;
  }
  count(): number {
    const field = this.any();
    if (!isCount(field)) throw this.#wrong("a count");
    return field;
  }
  integer(): number {
    const field = this.any();
    if (typeof field !== "number") throw this.#wrong("an integer");
    return field;
  }
  text(): string {
    const field = this.any();
    if (typeof field !== "string") throw this.#wrong("a text");
    return field;
  }
  bytes(): Uint8Array {
    const field = this.any();
    if (!(field instanceof Uint8Array)) throw this.#wrong("bytes");
    return field;
  }
  flag(): boolean {
    const field = this.any();
    if (typeof field !== "boolean") throw this.#wrong("a flag");
    return field;
  }
  list(): readonly Encodable[] {
    const field = this.any();
    if (!Array.isArray(field)) throw this.#wrong("a list");
    return field;
  }
  /** A field that passes `test`, such as an id. */
  that<T extends Encodable>(test: (value: unknown) => value is T, what: string): T {
    const field = this.any();
    if (!test(field)) throw this.#wrong(what);
    return field;
  }
  /** Reads null, or what `read` reads. */
  orNull<T>(read: (reader: TupleReader) => T): T | null {
    if (this.#fields[this.#next] === null) {
      this.#next++;
      return null;
    }
    return read(this);
  }
  end(): void {
    if (this.#next !== this.#fields.length) throw this.#wrong("no further field");
  }
  #wrong(expected: string): OpenClawError {
    return new OpenClawError("MALFORMED_FRAME", `${this.#what}: field ${this.#next} should be ${expected}`);
  }
}
