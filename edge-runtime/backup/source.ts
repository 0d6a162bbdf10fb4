/** The serving cluster that is backed up, over the HTTP API of any of its nodes. */
import { OpenClawError } from "@openclaw/core/errors.ts";
import { type ClusterId, type Epoch, isClusterId, isNonce, type LeaseId, revision } from "@openclaw/core/ids.ts";
import { parsePosition } from "@openclaw/core/ledger/position-token.ts";
import type { StoredRecord } from "@openclaw/core/ports.ts";
import { z } from "zod";
import { partsSent } from "./base-stream.ts";
import type { Manifest } from "./manifest.ts";
import { framesIn, framesOf, readRecordFrame } from "./record-frames.ts";

/** What of an HTTP client is needed: `ApiClient` of the command line. */
export interface SourceClient {
  call(call: { readonly method: "GET"; readonly path: string }): Promise<{
    readonly body: Uint8Array;
    readonly headers: { readonly [name: string]: string | string[] | undefined };
  }>;
  /** A successful answer, its body still to be read. */
  stream(call: { readonly method: "GET"; readonly path: string }): Promise<AsyncIterable<Uint8Array>>;
  json(call: { readonly method: "GET"; readonly path: string }): Promise<unknown>;
}

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);
const Status = z.object({
  cluster: z.custom<ClusterId>(isClusterId),
  epoch: z.custom<string>(isNonce),
  epochCounter: z.int().min(1),
  epochParent: z.custom<string>(isNonce).nullable(),
  epochDeparture: count.transform(revision),
  epochAncestors: z.array(
    z.object({
      counter: z.int().min(1),
      nonce: z.custom<string>(isNonce),
      parent: z.custom<string>(isNonce).nullable(),
      departure: count.transform(revision),
      ledgerHash: hash,
    }),
  ),
  applyVersion: z.int().min(1),
  revision: count.transform(revision),
  compacted: count,
  members: z.array(z.object({ http: z.string().nullable() })),
  state: z.object({ content: z.object({ hash }), revision: count.transform(revision), ledgerHash: hash }).optional(),
});
const Lease = z.object({ ttlMs: z.int().min(1) });

export interface Standing extends Pick<Manifest, "cluster" | "epoch" | "ancestors" | "applyVersion" | "members"> {
  readonly revision: number;
  /** The first revision that is kept; 0 when nothing was ever compacted. */
  readonly compacted: number;
}

/** Whose ledger is backed up. */
type Whose = Pick<Manifest, "cluster" | "epoch">;

export interface Page {
  readonly records: readonly StoredRecord[];
  /** How far the node is that answered. */
  readonly newest: number;
}

export class BackupSource {
  readonly #client: SourceClient;

  constructor(client: SourceClient) {
    this.#client = client;
  }

  async standing(): Promise<Standing> {
    const status = Status.parse(await this.#client.json({ method: "GET", path: "/v1/status" }));
    const { cluster, applyVersion, revision: at, compacted } = status;
    const epoch: Epoch = {
      counter: status.epochCounter,
      nonce: status.epoch,
      parent: status.epochParent,
      departure: status.epochDeparture,
    };
    const members = status.members.flatMap(({ http }) => (http === null ? [] : [http]));
    const ancestors = status.epochAncestors.map(({ ledgerHash, ...of }) => ({ epoch: of, ledgerHash }));
    return { cluster, epoch, ancestors, applyVersion, members, revision: at, compacted };
  }

  /** The hash of the content as it stands at the node now. @throws OpenClawError WRONG_CLUSTER, WRONG_EPOCH */
  async content(of: Whose): Promise<Manifest["live"][number]> {
    const status = Status.parse(await this.#client.json({ method: "GET", path: "/v1/status?hash=true" }));
    requireSame(of, status);
    const { state } = status;
    if (state === undefined) throw new OpenClawError("UNKNOWN_VERSION", "the node gives no hash of its content");
    return { revision: state.revision, contentHash: state.content.hash, ledgerHash: state.ledgerHash };
  }

  /** @throws OpenClawError FORBIDDEN, COMPACTED, REVISION_AHEAD, UNAVAILABLE, MALFORMED_FRAME, WRONG_CLUSTER, WRONG_EPOCH */
  async page(of: Whose, from: number): Promise<Page> {
    const { body, headers } = await this.#client.call({ method: "GET", path: `/v1/ledger?from=${from}` });
    const text = headers["x-openclaw-position"];
    const position = parsePosition(typeof text === "string" ? text : "");
    requireSame(of, position);
    return { records: [...framesIn(body)].map(readRecordFrame), newest: position.revision };
  }

  /** The parts of a base, as of a revision that is the newest or was a moment ago. @throws OpenClawError FORBIDDEN, OVERLOADED, UNAVAILABLE, STORAGE_FULL, MALFORMED_FRAME */
  async *base(): AsyncGenerator<Uint8Array> {
    const response = await this.#client.stream({ method: "GET", path: "/v1/base" });
    yield* partsSent(framesOf(unbroken(response)));
  }

  /** Null when it is not alive. */
  async timeToLive(lease: LeaseId): Promise<number | null> {
    try {
      return Lease.parse(await this.#client.json({ method: "GET", path: `/v1/leases/${lease}` })).ttlMs;
    } catch (error) {
      if (error instanceof OpenClawError && error.code === "LEASE_NOT_FOUND") return null;
      throw error;
    }
  }
}

/** @throws OpenClawError UNAVAILABLE where the connection ends before the answer does */
async function* unbroken(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (error) {
    if (error instanceof OpenClawError) throw error;
    throw new OpenClawError("UNAVAILABLE", "the node's answer broke off", { cause: error });
  }
}

/** @throws OpenClawError WRONG_CLUSTER, WRONG_EPOCH */
function requireSame(of: Whose, { cluster, epoch }: { readonly cluster: string; readonly epoch: string }): void {
  if (cluster !== of.cluster) throw new OpenClawError("WRONG_CLUSTER", `${cluster} answered`);
  if (epoch !== of.epoch.nonce) throw new OpenClawError("WRONG_EPOCH", `epoch ${epoch} answered`);
}
