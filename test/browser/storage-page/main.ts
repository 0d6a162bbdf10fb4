/// <reference types="vite/client" />
/** A page of a client whose site is dead, and of databases of several versions. */
import wasmUrl from "@automerge/automerge/automerge.wasm?url";
import * as Automerge from "@automerge/automerge/slim";
import { type Client, openClaw } from "@openclaw/browser";
import { Database } from "@openclaw/browser/storage/database.ts";
import { UPGRADES } from "@openclaw/browser/storage/schema.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";

/** Nobody listens at port 9 of this machine. */
const GATEWAY = "/ip4/127.0.0.1/tcp/9/ws/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf";

type Failure = { readonly code: string; readonly details: string };

export interface StoragePage {
  /** Opens the client and its document. */
  open(): Promise<void>;
  /** Resolves when it is known whether the text is on the device: null, or why it is not. */
  type(text: string): Promise<Failure | null>;
  text(): string;
  status(): {
    readonly unsynced: number;
    readonly persisted: boolean | null;
    readonly copied: boolean | null;
    readonly loss: Failure | null;
    readonly lastError: Failure | null;
  };
  /** Names of those that this origin has of its own. */
  files(): Promise<readonly string[]>;
  /** A database of the present version, or of so many later ones, whose steps change nothing. */
  openDatabase(later: number): void;
  /** Puts a number into it, and tells how many it has: or why not. */
  count(number: number): Promise<number | Failure>;
}

declare global {
  var storagePage: StoragePage;
}

let client: Client | undefined;
let handle: Awaited<ReturnType<typeof document>> | undefined;
let database: Database | undefined;

const document = (of: Client) => of.docs.open("notes", "one", { initial: { text: "" } });
const told = (error: unknown): Failure =>
  error instanceof OpenClawError
    ? { code: error.code, details: error.details }
    : { code: "none", details: String(error) };
const opened = <T>(thing: T | undefined): T => {
  if (thing === undefined) throw new Error("not open");
  return thing;
};

globalThis.storagePage = {
  async open() {
    client = await openClaw({ gateways: [GATEWAY], automergeWasm: wasmUrl, name: "storage" });
    handle = await document(client);
  },
  async type(text) {
    try {
      const edit = opened(handle).change((doc) => Automerge.splice(doc, ["text"], doc.text.length, 0, text));
      await edit.device.catch(() => undefined);
      const failure = edit.failure();
      return failure === null ? null : told(failure);
    } catch (error) {
      return told(error);
    }
  },
  text: () => opened(handle).doc().text,
  status() {
    const { unsynced, storage, lastError } = opened(client).status();
    const { persisted, copied, loss } = storage;
    return { unsynced, persisted, copied, loss: loss && told(loss), lastError: lastError && told(lastError) };
  },
  async files() {
    const found: string[] = [];
    const root = await navigator.storage.getDirectory();
    for await (const handle of root.values())
      if (handle instanceof FileSystemDirectoryHandle)
        for await (const name of handle.keys()) found.push(`${handle.name}/${name}`);
    return found;
  },
  openDatabase(later) {
    const upgrades = [...UPGRADES, ...Array.from({ length: later }, () => () => {})];
    database = new Database("versions", { upgrades });
  },
  count: (number) =>
    opened(database)
      .run(async (open) => {
        const step = open.transaction("links", "readwrite");
        await step.store.put(number, `link ${number}`);
        const rows = await step.store.count();
        await step.done;
        return rows;
      })
      .catch(told),
};
