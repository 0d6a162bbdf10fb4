/** Keys under a prefix whose values have a declared form: checked before they are queued, and again when they are read. */
import { concatBytes, utf8, utf8Text } from "../bytes.ts";
import { InvariantViolation, OpenClawError } from "../errors.ts";
import type { Edit } from "./edit.ts";
import { type Bytes, type KeyEvent, type KeyRow, toBytes } from "./key-row.ts";
import type { ReadOptions } from "./read-session.ts";
import { checked, type StandardSchema } from "./standard-schema.ts";

/** How a value becomes bytes, and back. Either may throw for what it cannot do. */
export interface ValueCodec {
  encode(value: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

export const jsonCodec: ValueCodec = {
  encode(value) {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new OpenClawError("VALUE_INVALID", "JSON has no form for it");
    return utf8(text);
  },
  decode(bytes) {
    const text = utf8Text(bytes);
    if (text === undefined) throw new OpenClawError("VALUE_INVALID", "not UTF-8");
    return JSON.parse(text);
  },
};

/** A value, or why what is there is none: others may write what they like. */
export type TypedValue<T> =
  | { readonly ok: true; readonly value: T }
  /** VALUE_INVALID; BAD_REQUEST for an asynchronous schema. */
  | { readonly ok: false; readonly error: OpenClawError };

export interface TypedRow<T> {
  /** Without the prefix. */
  readonly key: Uint8Array;
  readonly value: TypedValue<T>;
  /** As in `KeyRow`. */
  readonly modRevision: KeyRow["modRevision"];
}

export interface TypedEvent<T> {
  /** Without the prefix. */
  readonly key: Uint8Array;
  /** Null for a delete. */
  readonly value: TypedValue<T> | null;
  /** As it came. */
  readonly event: KeyEvent;
}

interface UntypedKeys {
  get(key: Bytes, options: ReadOptions): Promise<KeyRow | null>;
  list(prefix: Bytes, options: ReadOptions): Promise<readonly KeyRow[]>;
  put(key: Bytes, value: Bytes): Edit;
  compareAndSet(key: Bytes, expected: number, value: Bytes): Edit;
  delete(key: Bytes): Edit;
  watch(prefix: Bytes, listener: (events: readonly KeyEvent[]) => void): () => void;
}

/** Every key here is without the prefix. */
export class TypedKeys<Input, Output> {
  readonly #keys: UntypedKeys;
  readonly #prefix: Uint8Array;
  readonly #schema: StandardSchema<Input, Output>;
  readonly #codec: ValueCodec;

  constructor(keys: UntypedKeys, prefix: Uint8Array, schema: StandardSchema<Input, Output>, codec: ValueCodec) {
    this.#keys = keys;
    this.#prefix = prefix;
    this.#schema = schema;
    this.#codec = codec;
  }

  /** Null where there is no such key. @throws OpenClawError as `Keys.read` */
  async get(key: Bytes, options: ReadOptions = {}): Promise<TypedRow<Output> | null> {
    const row = await this.#keys.get(this.#full(key), options);
    return row === null ? null : typedRow(row, this.#prefix.length, this.#schema, this.#codec);
  }

  /** Every key under the prefix and `begin`, in key order. @throws OpenClawError as `Keys.list` */
  async list(begin: Bytes = "", options: ReadOptions = {}): Promise<readonly TypedRow<Output>[]> {
    const rows = await this.#keys.list(this.#full(begin), options);
    return rows.map((row) => typedRow(row, this.#prefix.length, this.#schema, this.#codec));
  }

  /** @throws OpenClawError VALUE_INVALID: nothing is queued; and as `Keys.put` */
  put(key: Bytes, value: Input): Edit {
    return this.#keys.put(this.#full(key), encodedValue(value, this.#schema, this.#codec));
  }

  /** @throws OpenClawError VALUE_INVALID: nothing is queued; and as `Keys.compareAndSet` */
  compareAndSet(key: Bytes, expected: number, value: Input): Edit {
    return this.#keys.compareAndSet(this.#full(key), expected, encodedValue(value, this.#schema, this.#codec));
  }

  /** @throws OpenClawError as `Keys.delete` */
  delete(key: Bytes): Edit {
    return this.#keys.delete(this.#full(key));
  }

  /** As `Keys.watch`. */
  watch(listener: (events: readonly TypedEvent<Output>[]) => void): () => void {
    return this.#keys.watch(this.#prefix, (events) =>
      listener(
        events.map((event) => ({
          key: event.key.slice(this.#prefix.length),
          value: event.kind === "delete" ? null : decodedValue(event.value, this.#schema, this.#codec),
          event,
        })),
      ),
    );
  }

  #full(key: Bytes): Uint8Array {
    return concatBytes([this.#prefix, toBytes(key)]);
  }
}

/** @param prefixBytes without which its key is told */
export const typedRow = <Output>(
  { key, value, modRevision }: KeyRow,
  prefixBytes: number,
  schema: StandardSchema<unknown, Output>,
  codec: ValueCodec,
): TypedRow<Output> => ({ key: key.slice(prefixBytes), value: decodedValue(value, schema, codec), modRevision });

/** Checked in the form in which it will be read: a Date, say, is a text by then. @throws OpenClawError VALUE_INVALID */
export function encodedValue<Input, Output>(
  value: Input,
  schema: StandardSchema<Input, Output>,
  codec: ValueCodec,
): Uint8Array {
  const bytes = coded(() => codec.encode(value));
  checked(
    schema,
    coded(() => codec.decode(bytes)),
  );
  return bytes;
}

export function decodedValue<Output>(
  bytes: Uint8Array,
  schema: StandardSchema<unknown, Output>,
  codec: ValueCodec,
): TypedValue<Output> {
  let value: unknown;
  try {
    value = coded(() => codec.decode(bytes));
  } catch (error) {
    if (!(error instanceof OpenClawError)) throw error;
    return { ok: false, error };
  }
  return typedValue(schema, value);
}

export function typedValue<Output>(schema: StandardSchema<unknown, Output>, value: unknown): TypedValue<Output> {
  try {
    return { ok: true, value: checked(schema, value) };
  } catch (error) {
    if (!(error instanceof OpenClawError)) throw error;
    return { ok: false, error };
  }
}

/** @throws OpenClawError VALUE_INVALID for whatever the codec throws */
function coded<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof OpenClawError || error instanceof InvariantViolation) throw error;
    throw new OpenClawError("VALUE_INVALID", error instanceof Error ? error.message : String(error), { cause: error });
  }
}
