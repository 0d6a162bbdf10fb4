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
    watch: async (prefix, changed) => {
      const stream = channel.client.makeBidiStreamRequest("/etcdserverpb.Watch/Watch", same, same, channel.metadata);
      const bytes = utf8.encode(prefix);
      const end = Uint8Array.from(bytes, (byte, i) => (i === bytes.length - 1 ? byte + 1 : byte));
      stream.on("error", () => undefined); // cancelled by `close`
      stream.on("data", (answer: Buffer) => {
        for (const key of keysOf(answer)) changed(key);
      });
      // WatchRequest.create_request = 1: key = 1, range_end = 2
      stream.write(message([1, message([1, bytes], [2, end])]));
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

/** WatchResponse.events = 11, Event.kv = 2, KeyValue.key = 1. */
function* keysOf(response: Buffer): Iterable<string> {
  for (const event of fieldsOf(response, 11)) {
    for (const kv of fieldsOf(event, 2)) for (const key of fieldsOf(kv, 1)) yield text.decode(key);
  }
}

/** The bytes of every field with that number. */
function* fieldsOf(bytes: Uint8Array, wanted: number): Iterable<Uint8Array> {
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
    const length = next(); // of bytes; the value itself of a number
    if ((tag & 7) === VARINT) continue;
    if ((tag & 7) !== BYTES) throw new Error(`field ${tag >> 3} is neither a number nor bytes`);
    if (tag >> 3 === wanted) yield bytes.subarray(at, at + length);
    at += length;
  }
}
