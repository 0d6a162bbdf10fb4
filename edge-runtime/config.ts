/**
 * A node's configuration: one YAML file, checked whole before anything is opened. Every complaint names the line, the
 * field and the reason; a field that we do not know is refused, because a misspelt one would be silently ignored.
 */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { multiaddr } from "@multiformats/multiaddr";
import { OpenClawError } from "@openclaw/core/errors.ts";
import {
  type ClusterId,
  type Epoch,
  isClusterId,
  isNodeId,
  isNonce,
  type NodeId,
  revision,
} from "@openclaw/core/ids.ts";
import { COMPARE_EVERY_MS } from "@openclaw/core/replica/comparisons.ts";
import { LOG_BYTES } from "@openclaw/core/replica/log-retention.ts";
import { SNAPSHOT_BYTES_PER_SECOND } from "@openclaw/core/replica/snapshot-sender.ts";
import { type Document, isNode, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import type { PublicKey } from "./api/auth.ts";
import type { CertificateFiles } from "./certificate.ts";
import { emptyNodeBytes } from "./storage/disk-use.ts";
import { STATE_CACHE_BYTES } from "./storage/state-protocol.ts";

/** Bytes of a configuration file. */
const CONFIG_BYTES_MAX = 262_144;
/** Seven voters (DESIGN §1), and a successor for each. */
const MEMBERS_MAX = 14;

/** Slower, and a chunk takes longer than a receiver waits for it. */
const SNAPSHOT_BYTES_PER_SECOND_MIN = 65_536;

/** Slower, and a record of the largest size takes longer than anybody waits for an answer. */
const UPLINK_BYTES_PER_SECOND_MIN = 1_024;
/** Less is used up by a link that is only kept alive. */
const UPLINK_BYTES_PER_DAY_MIN = 1_048_576;

/** A batch (core/limits.ts) must fit. */
const MEMORY_BYTES_MIN = 1_048_576;
/** A year. */
const COMPARE_MINUTES_MAX = 525_600;

const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;

const clusterId = z.custom<ClusterId>(isClusterId, "a cluster's name: lower-case letters, digits and dashes");
const nodeId = z.custom<NodeId>(isNodeId, "a node's name: lower-case letters, digits and dashes");
const publicKeyHex = z.string().regex(/^[0-9a-f]{64}$/, "64 lower-case hex digits");
const nonce = z.custom<string>(isNonce, "32 lower-case hex digits");
const port = z.int().min(0).max(65_535);
const address = z.string().refine(isMultiaddr, "a multiaddr such as /ip4/127.0.0.1/tcp/9101");
const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);
const duration = z
  .string()
  .regex(/^[1-9]\d{0,6}[smhd]$/, "a duration such as 30d, 12h or 45m")
  .transform((text) => Number(text.slice(0, -1)) * (UNIT_MS.get(text.slice(-1)) ?? Number.NaN));
const httpOrigin = z
  .url({ protocol: /^https?$/, error: "a URL such as http://127.0.0.1:8101" })
  .refine((text) => URL.canParse(text) && new URL(text).pathname === "/", "a URL without a path")
  .transform((text) => new URL(text).origin);

const EpochField = z.strictObject({
  counter: z.int().min(1),
  nonce,
  parent: nonce.nullable(),
  departure: z.int().min(0).transform(revision),
});

const SubscriptionField = z.strictObject({
  collections: z.array(z.string().min(1).max(128)).default([]),
  prefixes: z.array(z.string().max(4_096)).default([]),
  mirrors: z.boolean().default(false),
});

const PublicKeyField = z.union([
  z.string().startsWith("-----BEGIN PUBLIC KEY-----", "the PEM of an Ed25519 public key"),
  z.object({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: z.string() }),
]);

const ConfigFile = z
  .strictObject({
    version: z.literal(1, "this program reads version 1"),
    cluster: clusterId,
    node: nodeId,
    dataDir: z.string().min(1),
    identity: z.string().min(1),
    credential: z.string().min(1),
    clusterKey: publicKeyHex,
    /** True for a node that a running cluster took in: then `members` says where the others were, not who founded it. */
    joined: z.boolean().default(false),
    epoch: EpochField,
    http: z.strictObject({ host: z.string().min(1), port, origins: z.array(httpOrigin).default([]) }),
    listen: z.array(address).min(1),
    members: z
      .array(
        z.strictObject({
          node: nodeId,
          peer: z.string().regex(/^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/, "the peer id of an Ed25519 key: 12D3Koo…"),
          addresses: z.array(address).min(1),
          http: httpOrigin,
        }),
      )
      .min(1)
      .max(MEMBERS_MAX),
    parent: z
      .strictObject({
        cluster: clusterId,
        clusterKey: publicKeyHex,
        addresses: z
          .array(address.refine((text) => text.includes("/p2p/"), "an address that ends in /p2p/12D3Koo…"))
          .min(1),
        /** How this cluster came below the parent, as a token's use made it. */
        enrolment: z.string().regex(/^[A-Za-z0-9_-]{1,1024}$/, "as `openclaw sync join` wrote it"),
        subscribe: SubscriptionField.prefault({}),
      })
      .nullable()
      .default(null),
    uplink: z
      .strictObject({
        /** Bytes a second that the link to the parent may send; null: as many as it takes. */
        bytesPerSecond: z.int().min(UPLINK_BYTES_PER_SECOND_MIN).nullable().default(null),
        /** Bytes of a day of log time, both ways, after which it is stopped until the next; null: no budget. */
        bytesPerDay: z.int().min(UPLINK_BYTES_PER_DAY_MIN).nullable().default(null),
      })
      .prefault({}),
    page: z.string().min(1).nullable().default(null),
    /** PEM files: with them the API is https, and browsers may dial `/tls/ws`. */
    tls: z
      .strictObject({ certificate: z.string().min(1), key: z.string().min(1) })
      .nullable()
      .default(null),
    auth: z.strictObject({ publicKey: PublicKeyField }).nullable().default(null),
    snapshots: z
      .strictObject({
        /** Bytes a second that a snapshot on its way to a follower may take of the network. */
        bytesPerSecond: z.int().min(SNAPSHOT_BYTES_PER_SECOND_MIN).default(SNAPSHOT_BYTES_PER_SECOND),
      })
      .prefault({}),
    memory: z
      .strictObject({
        /** Bytes of the state's pages that SQLite keeps: more make reads of many keys cheaper, and none is needed for them. */
        stateCacheBytes: z.int().min(MEMORY_BYTES_MIN).default(STATE_CACHE_BYTES),
        /** Bytes of the Raft log that are kept, in memory too; four times that while a follower that is there lacks them. */
        logBytes: z.int().min(MEMORY_BYTES_MIN).default(LOG_BYTES),
      })
      .prefault({}),
    comparison: z
      .strictObject({
        /** Minutes of log time between two comparisons of all replicas' states, if something was written. */
        everyMinutes: z
          .int()
          .min(1)
          .max(COMPARE_MINUTES_MAX)
          .default(COMPARE_EVERY_MS / 60_000),
      })
      .prefault({}),
    retention: z
      .strictObject({
        /** How long the past is kept, in log time: 30d, 12h, 45m. */
        age: duration.nullable().default(null),
        /** How much of it: bytes of the ledger's records. */
        bytes: z.int().min(1).nullable().default(null),
      })
      .prefault({}),
    disk: z
      .strictObject({
        /** What this node may take of its disk, in bytes; null: all there is. */
        budgetBytes: z.int().min(1).nullable().default(null),
        /** True: what the parent does not hold yet is never shed; writes are refused instead (S5). */
        keepUnshipped: z.boolean().default(false),
      })
      .prefault({}),
    mdns: z.boolean().default(false),
    logLevel: z.enum(LOG_LEVELS).default("info"),
  })
  .superRefine((file, context) => {
    const complain = (path: (string | number)[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    if (!file.members.some(({ node }) => node === file.node)) complain(["members"], `${file.node} is not among them`);
    repeated(file.members.map(({ node }) => node)).forEach(
      (at) => void complain(["members", at, "node"], "named twice"),
    );
    repeated(file.members.map(({ peer }) => peer)).forEach(
      (at) => void complain(["members", at, "peer"], "named twice"),
    );
    const own = file.members.findIndex(({ node }) => node === file.node);
    if (file.tls !== null && file.members[own]?.http.startsWith("http:") === true)
      complain(["members", own, "http"], "with tls the API is https://…");
    file.listen.forEach((text, at) => {
      if (file.tls === null && isSecureWebSocket(text)) complain(["listen", at], "a certificate is wanted: tls");
    });
    const least = emptyNodeBytes(file.memory.logBytes);
    if (file.disk.budgetBytes !== null && file.disk.budgetBytes < least)
      complain(["disk", "budgetBytes"], `a node that holds nothing needs ${least} bytes (of them memory.logBytes)`);
    if (file.parent?.cluster === file.cluster) complain(["parent", "cluster"], "a cluster is not its own parent");
  });

/** Paths are absolute. */
export interface NodeConfig {
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly dataDir: string;
  readonly identity: string;
  readonly credential: string;
  /** The cluster's public key, 64 hex digits. */
  readonly clusterKey: string;
  /** False for a founder: one of those in `members`, who vote from the first entry on. */
  readonly joined: boolean;
  readonly epoch: Epoch;
  readonly http: { readonly host: string; readonly port: number; readonly origins: readonly string[] };
  readonly listen: readonly string[];
  readonly members: readonly {
    readonly node: NodeId;
    readonly peer: string;
    readonly addresses: readonly string[];
    readonly http: string;
  }[];
  readonly parent: {
    readonly cluster: ClusterId;
    readonly clusterKey: string;
    readonly addresses: readonly string[];
    /** Base64url of the token's use; no secret: it is of use to this cluster only. */
    readonly enrolment: string;
    readonly subscribe: {
      readonly collections: readonly string[];
      readonly prefixes: readonly string[];
      readonly mirrors: boolean;
    };
  } | null;
  /** What the link to the parent may use; null: all there is. */
  readonly uplink: { readonly bytesPerSecond: number | null; readonly bytesPerDay: number | null };
  readonly page: string | null;
  /** Null: http and ws only. */
  readonly tls: CertificateFiles | null;
  readonly auth: { readonly publicKey: PublicKey } | null;
  readonly snapshots: { readonly bytesPerSecond: number };
  readonly memory: { readonly stateCacheBytes: number; readonly logBytes: number };
  readonly comparison: { readonly everyMinutes: number };
  /** What of the past is kept; null: all of it. */
  readonly retention: { readonly age: number | null; readonly bytes: number | null };
  /** What the node may take of its disk; null: all there is. */
  readonly disk: { readonly budgetBytes: number | null; readonly keepUnshipped: boolean };
  readonly mdns: boolean;
  readonly logLevel: (typeof LOG_LEVELS)[number];
}

/** @throws OpenClawError CONFIG_INVALID, INSECURE_BIND */
export async function loadConfig(file: string): Promise<NodeConfig> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new OpenClawError("CONFIG_INVALID", `cannot read ${file}: ${reason}`, { cause: error });
  }
  return parseConfig(text, file);
}

/** @throws OpenClawError CONFIG_INVALID, INSECURE_BIND */
export function parseConfig(text: string, file: string): NodeConfig {
  if (text.length > CONFIG_BYTES_MAX)
    throw new OpenClawError("CONFIG_INVALID", `${file} is larger than ${CONFIG_BYTES_MAX} bytes`);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [fault] = document.errors;
  if (fault !== undefined) {
    throw new OpenClawError("CONFIG_INVALID", `${file}:${lines.linePos(fault.pos[0]).line}: no YAML: ${fault.message}`);
  }
  const parsed = ConfigFile.safeParse(plain(document, file));
  if (!parsed.success) {
    const complaints = parsed.error.issues.map(({ path, message }) => {
      const field = path.map(String);
      return `${file}:${lineOf(document, lines, path)}: ${field.length === 0 ? "" : `${field.join(".")}: `}${message}`;
    });
    throw new OpenClawError("CONFIG_INVALID", complaints.join("; "));
  }
  const { version: _, ...checked } = parsed.data;
  refuseInsecureBind(checked, file);
  const absolute = (path: string): string => resolve(dirname(resolve(file)), path);
  return {
    ...checked,
    dataDir: absolute(checked.dataDir),
    identity: absolute(checked.identity),
    credential: absolute(checked.credential),
    page: checked.page === null ? null : absolute(checked.page),
    tls:
      checked.tls === null ? null : { certificate: absolute(checked.tls.certificate), key: absolute(checked.tls.key) },
  };
}

function plain(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 10 });
  } catch (error) {
    throw new OpenClawError("CONFIG_INVALID", `${file}: too many aliases`, { cause: error });
  }
}

/** The line of the field, or of the nearest thing that is there. */
function lineOf(document: Document.Parsed, lines: LineCounter, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

/** X2: without tokens whoever can reach the node may do everything; so nobody but this machine may reach it. */
function refuseInsecureBind(
  { http, listen, auth }: Pick<z.infer<typeof ConfigFile>, "http" | "listen" | "auth">,
  file: string,
): void {
  if (auth !== null) return;
  if (!isLoopbackHost(http.host)) throw new OpenClawError("INSECURE_BIND", `${file}: http.host: ${http.host}`);
  for (const address of listen) {
    const [, family, host] = address.split("/");
    const loopback =
      family !== undefined && host !== undefined && /^(ip4|ip6|dns|dns4|dns6)$/.test(family) && isLoopbackHost(host);
    if (!loopback) throw new OpenClawError("INSECURE_BIND", `${file}: listen: ${address}`);
  }
}

export const isLoopbackHost = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);

const isSecureWebSocket = (text: string): boolean => /\/(wss|tls\/ws)(\/|$)/.test(text);

function isMultiaddr(text: string): boolean {
  try {
    multiaddr(text);
    return true;
  } catch {
    return false;
  }
}

/** Indices of what stood there before. */
const repeated = (names: readonly string[]): number[] =>
  names.flatMap((name, at) => (names.indexOf(name) < at ? [at] : []));
