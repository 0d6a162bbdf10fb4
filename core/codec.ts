/**
 * The one encoding of everything that is stored, sent or hashed: MessagePack in fixed tuples. Equal values give equal
 * bytes (rule X1): tuples have no key order, numbers are safe integers, and nothing optional is left out.
 */
import { OpenClawError } from "./errors.ts";
import { isCount } from "./ids.ts";
import { Decoder, type Encodable, Encoder } from "./message-pack.ts";

export type { Encodable } from "./message-pack.ts";

const encoder = new Encoder();

/** A copy with a buffer of its own: what we return is kept and transferred. */
export const encode = (value: Encodable): Uint8Array<ArrayBuffer> => encoder.encode(value);

/**
 * The same bytes without the copy, for who copies them anyway: a view of the encoder's pool. Nothing is written over it, but
 * it must not be transferred, and who keeps it keeps the pool.
 */
export const encodePooled = (value: Encodable): Uint8Array => encoder.encodePooled(value);

/**
 * Decodes bytes of a peer or a disk.
 * @throws OpenClawError MALFORMED_FRAME
 */
export const decode = (bytes: Uint8Array): Encodable => new Decoder(bytes).whole();

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
  /** True while a field is left: of a tuple that was shorter once. */
  get more(): boolean {
    return this.#next < this.#fields.length;
  }
  end(): void {
    if (this.#next !== this.#fields.length) throw this.#wrong("no further field");
  }
  #wrong(expected: string): OpenClawError {
    return new OpenClawError("MALFORMED_FRAME", `${this.#what}: field ${this.#next} should be ${expected}`);
  }
}
