/**
 * S4 with real processes: a first visit of 20,000 keys and some hundred documents, cut again and again, by a device that is
 * closed and opened between, at one gateway after the other: each goes on where the one before was, to the same result.
 */
import path from "node:path";
import "@automerge/automerge";
import { generateKeyPair } from "@libp2p/crypto/keys";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import { toHex, utf8 } from "@openclaw/core/bytes.ts";
import type { Client } from "@openclaw/core/client/client.ts";
import { inspectionWith } from "@openclaw/core/client/inspection.ts";
import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { openClient } from "@openclaw/core/client/open.ts";
import type { ClientStore } from "@openclaw/core/client/store.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { childConnection } from "@openclaw/core/sync/connection.ts";
import type { ChildConnection } from "@openclaw/core/sync/message.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { NODE_TOOLS } from "@openclaw/edge-runtime/documents/chunk-tools.ts";
import { createHost } from "@openclaw/edge-runtime/network/host.ts";
import { dialSync } from "@openclaw/edge-runtime/network/sync-streams.ts";
import { SqliteClientStore } from "@openclaw/edge-runtime/storage/client-store.ts";
import { systemClock, systemRandom, systemTurn } from "@openclaw/edge-runtime/system-ports.ts";
import { expect, onTestFinished, test } from "vitest";
import { type SiteNode, startSite, temporaryFolder } from "./site.ts";

const KEYS = 20_000;
/** Of one transaction: 128 at most. */
const KEYS_AT_ONCE = 125;
const DOCUMENTS = 200;
/** Of one more document. */
const LONG_CHANGES = 1_500;
/** Steps stored before a connection is cut. */
const STEPS = 7;
const SUBSCRIBE = { prefixes: ["p/"], collections: ["manuals"] };
const POLL = { timeout: 120_000, interval: 100 };

async function fill(nodes: readonly SiteNode[]): Promise<void> {
  const author = await openClaw({ gateways: nodes.flatMap(({ addresses }) => addresses.slice(0, 1)) });
  try {
    const written: Promise<unknown>[] = [];
    for (let i = 0; i < KEYS; i += KEYS_AT_ONCE) {
      const success = Array.from(
        { length: KEYS_AT_ONCE },
        (_, at) =>
          ({
            kind: "put",
            key: utf8(`p/${String(i + at).padStart(5, "0")}`),
            value: utf8("v".repeat(60)),
            lease: null,
            previous: false,
          }) as const,
      );
      written.push(author.kv.txn({ kind: "txn", compares: [], success, failure: [] }).site);
    }
    for (let i = 0; i <= DOCUMENTS; i++) {
      const handle = await author.docs.open<{ count: number }>("manuals", `m${i}`, { initial: { count: 0 } });
      for (let change = 1; change < (i === DOCUMENTS ? LONG_CHANGES : 2); change++)
        written.push(
          handle.change((doc) => {
            doc.count++;
          }).site,
        );
    }
    await Promise.all(written);
  } finally {
    await author.stop();
  }
}

/** What of a snapshot was stored, by a client that is cut after some of it. */
class Steps {
  readonly stored = new Set<string>();
  /** Stored, and sent again. */
  readonly repeated: string[] = [];
  connections = 0;

  watch(connection: ChildConnection, cutAfter: number): ChildConnection {
    const delivered: (string | null)[] = [];
    let left = cutAfter;
    this.connections++;
    return {
      close: () => connection.close(),
      send: (message) => {
        const sent = connection.send(message);
        if (message.kind !== "snapshotTaken") return sent;
        const piece = delivered.shift() ?? null;
        if (piece !== null) this.stored.add(piece);
        if (--left === 0) connection.close();
        return sent;
      },
      receive: (handlers) =>
        connection.receive({
          ...handlers,
          message: (message) => {
            if (message.kind === "snapshot") {
              const { step } = message;
              const name = step.kind === "piece" ? `${step.at} ${step.piece.section} ${toHex(step.piece.from)}` : null;
              delivered.push(name);
              if (name !== null && this.stored.has(name)) this.repeated.push(name);
            }
            handlers.message(message);
          },
        }),
    };
  }
}

async function device(
  nodes: readonly SiteNode[],
  store: ClientStore,
  connected: (connection: ChildConnection) => ChildConnection,
): Promise<Client> {
  const privateKey = await generateKeyPair("Ed25519");
  const identity = { privateKey, peer: peerIdFromPrivateKey(privateKey).toString() };
  const host = await createHost({ identity, listen: [], topics: [] });
  let dials = 0;
  return openClient({
    store,
    clock: systemClock,
    random: systemRandom,
    nextTurn: systemTurn,
    inspection: inspectionWith(NODE_TOOLS),
    subscribe: SUBSCRIBE,
    connect: async () => {
      const address = nodes[dials++ % nodes.length]?.addresses[0];
      if (address === undefined) throw new OpenClawError("UNAVAILABLE");
      return connected(childConnection(await dialSync(host, [address], new AbortController().signal)));
    },
    stopped: async () => {
      await host.stop();
    },
  });
}

/** D6: rows, and for each document its sorted hashes. */
async function contentOf(store: ClientStore): Promise<{ readonly rows: string[]; readonly documents: string[][] }> {
  const rows = (await store.mirrored()).map(
    ({ key, value, modRevision }) => `${toHex(key)} ${toHex(value)} ${modRevision}`,
  );
  const documents: string[][] = [];
  for (const document of [...(await store.documents("manuals"))].sort())
    documents.push([document, ...(await store.document("manuals", document)).map(({ hash }) => hash).sort()]);
  return { rows: rows.sort(), documents };
}

test("S4: a first visit that is cut every few pieces goes on at each gateway, sends nothing again that is stored, and ends whole", async () => {
  const nodes = await startSite(3);
  await fill(nodes);
  const status = (await (await fetch(`${nodes[0]?.http}/v1/status`)).json()) as { revision: number };
  const compacted = await fetch(`${nodes[0]?.http}/v1/compact`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ revision: status.revision }),
  });
  expect(compacted.status).toBe(200);
  const steps = new Steps();
  const file = path.join(await temporaryFolder(), "device.sqlite");
  let received = 0;
  let sessions = 0;
  for (let isWhole = false; !isWhole; sessions++) {
    const store = new SqliteClientStore(file);
    const client = await device(nodes, store, (connection) => steps.watch(connection, STEPS));
    const until = steps.connections + 3;
    // Three cuts of a session, and it is closed in the midst of the next piece.
    await expect.poll(() => client.status().sync.kind === "streaming" || steps.connections >= until, POLL).toBe(true);
    const { sync } = client.status();
    isWhole = sync.kind === "streaming";
    if (sync.kind === "snapshot") {
      expect(sync.received).toBeGreaterThanOrEqual(received);
      expect(sync.expected).toBe(KEYS + 2 * DOCUMENTS + LONG_CHANGES);
      received = sync.received;
    }
    await client.stop();
  }
  expect(sessions).toBeGreaterThan(1);
  expect(steps.connections).toBeGreaterThan(4);
  expect(steps.repeated).toEqual([]);
  // All of one revision: none was begun anew.
  expect(new Set([...steps.stored].map((piece) => piece.split(" ")[0]))).toEqual(new Set([String(status.revision)]));

  const memory = new MemoryClientStore();
  const uncut = await device(nodes, memory, (connection) => connection);
  onTestFinished(() => uncut.stop());
  await expect.poll(() => uncut.status(), POLL).toMatchObject({ sync: { kind: "streaming" }, cursor: status.revision });
  const whole = await contentOf(memory);
  expect(whole.rows).toHaveLength(KEYS);
  expect(whole.documents).toHaveLength(DOCUMENTS + 1);
  const store = new SqliteClientStore(file);
  onTestFinished(() => store.close());
  expect(await contentOf(store)).toEqual(whole);
}, 600_000);
