/**
 * etcd's own protocol over gRPC, with one channel for all callers. The few messages that a benchmark needs are written
 * by hand (etcd's rpc.proto names the fields), so that the client costs as little as one can.
 */
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import type { Consistency, KvClient, Loader } from "./cluster.ts";
import { VALUE_BYTES } from "./sizes.ts";

const utf8 = new TextEncoder();
const text = new TextDecoder();

/** Protobuf wire types. */
const VARINT = 0;
const BYTES = 2;

/** One channel for all callers. */
class Channel {
  readonly client: Client;
  readonly metadata = new Metadata();

  constructor(address: string) {
    this.client = new Client(address, credentials.createInsecure());
  }

  call(method: string, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        `/etcdserverpb.KV/${method}`,
        same,
        same,
        request,
        this.metadata,
        (error, answer) => {
          if (error === null && answer !== undefined) resolve(answer);
          else reject(error ?? new Error(`${method} was not answered`));
        },
      );
    });
  }
}

/** TxnRequest: success = 2; RequestOp: request_put = 2. */
export function etcdGrpcLoader(address: string): Loader {
  const channel = new Channel(address);
  return {
    putAll: async (keys, value) => {
      const puts = keys.map((key) => [2, message([2, message([1, utf8.encode(key)], [2, value])])] as const);
      await channel.call("Txn", message(...puts));
    },
    close: async () => channel.client.close(),
  };
}

export async function etcdGrpcClient(address: string): Promise<KvClient> {
  const channel = new Channel(address);
  return {
    put: async (key, value) => void (await channel.call("Put", message([1, utf8.encode(key)], [2, value]))),
    get: async (key, consistency) => {
      const answer = await channel.call("Range", rangeRequest(key, consistency));
      if (answer.length < VALUE_BYTES) throw new Error(`${key} has no value`);
    },
    range: async ({ prefix, limit, view, newestFirst }) => {
      const key = utf8.encode(prefix);
      const parts = [message([1, key], [2, endOf(key)]), number(3, limit)];
      // RangeRequest: sort_order = 5 (DESCEND 2), sort_target = 6 (MOD 3), keys_only = 8, count_only = 9
      if (newestFirst) parts.push(number(5, 2), number(6, 3));
      if (view !== "rows") parts.push(number(view === "keys" ? 8 : 9, 1));
      const answer = await channel.call("Range", Buffer.concat(parts));
      // RangeResponse: kvs = 2, count = 4
      let [rows, count] = [0, 0];
      for (const field of fieldsOf(answer)) {
        if (field.number === 2) rows++;
        if (field.number === 4) count = field.value;
      }
      return view === "count" ? count : rows;
    },
    watch: async (prefix, changed) => {
      const stream = channel.client.makeBidiStreamRequest("/etcdserverpb.Watch/Watch", same, same, channel.metadata);
      const bytes = utf8.encode(prefix);
      stream.on("error", () => undefined); // cancelled by `close`
      stream.on("data", (answer: Buffer) => {
        for (const key of keysOf(answer)) changed(key);
      });
      // WatchRequest.create_request = 1: key = 1, range_end = 2
      stream.write(message([1, message([1, bytes], [2, endOf(bytes)])]));
    },
    close: async () => channel.client.close(),
  };
}

/** RangeRequest: key = 1, serializable = 7. */
function rangeRequest(key: string, consistency: Consistency): Buffer {
  const request = message([1, utf8.encode(key)]);
  return consistency === "linearizable" ? request : Buffer.concat([request, Buffer.of((7 << 3) | VARINT, 1)]);
}

const same = (bytes: Buffer): Buffer => bytes;

/** A message of fields that are bytes. */
function message(...fields: readonly (readonly [number: number, bytes: Uint8Array])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([number, bytes]) => [varint((number << 3) | BYTES), varint(bytes.length), bytes]),
  );
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

const number = (field: number, value: number): Buffer =>
  Buffer.concat([Buffer.of((field << 3) | VARINT), varint(value)]);

/** The first key after all that start with an ASCII prefix. */
const endOf = (prefix: Uint8Array): Uint8Array => prefix.with(-1, (prefix.at(-1) ?? 0) + 1);

/** WatchResponse.events = 11, Event.kv = 2, KeyValue.key = 1. */
function* keysOf(response: Buffer): Iterable<string> {
  for (const event of bytesOf(response, 11)) {
    for (const kv of bytesOf(event, 2)) for (const key of bytesOf(kv, 1)) yield text.decode(key);
  }
}

/** The bytes of every field with that number. */
function* bytesOf(message: Uint8Array, wanted: number): Iterable<Uint8Array> {
  for (const { number, bytes } of fieldsOf(message)) if (number === wanted) yield bytes;
}

interface Field {
  readonly number: number;
  /** Of a number; 0 of bytes. */
  readonly value: number;
  readonly bytes: Uint8Array;
}

const NO_BYTES = new Uint8Array();

function* fieldsOf(bytes: Uint8Array): Iterable<Field> {
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = next();
    const value = next(); // the length of bytes
    if ((tag & 7) === VARINT) {
      yield { number: tag >> 3, value, bytes: NO_BYTES };
      continue;
    }
    if ((tag & 7) !== BYTES) throw new Error(`field ${tag >> 3} is neither a number nor bytes`);
    yield { number: tag >> 3, value: 0, bytes: bytes.subarray(at, at + value) };
    at += value;
  }
}
