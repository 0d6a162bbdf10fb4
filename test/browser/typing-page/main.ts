/// <reference types="vite/client" />
/** A page in which somebody types into a document that others change, and which looks at its own turns. */
import wasmUrl from "@automerge/automerge/automerge.wasm?url";
import * as Automerge from "@automerge/automerge/slim";
import { openClaw } from "@openclaw/browser";
import { COLLECTION, DOCUMENT, INSERTED } from "../typing-document.ts";

/** What the page showed of others' changes in one piece. */
export interface Piece {
  readonly changes: number;
  /** Turns that others of this thread had since the piece before. */
  readonly turns: number;
}

export interface TypingPage {
  /** From now on it is looked at. */
  begin(): void;
  /** Others' changes that show. */
  others(): number;
  text(): string;
  seen(): {
    readonly pieces: readonly Piece[];
    /** Tasks of more than 50 ms, ms. */
    readonly longTasks: readonly number[];
    /** From each key until the page took it, ms. */
    readonly keyDelays: readonly number[];
  };
}

declare global {
  var typingPage: TypingPage;
}

const area = document.querySelector("textarea");
if (area === null) throw new Error("no textarea");
const client = await openClaw({ gateways: "/v1/gateways", automergeWasm: wasmUrl, name: "typing" });
const handle = await client.docs.open<{ text?: string }>(COLLECTION, DOCUMENT);
const length = (): number => handle.doc().text?.length ?? 0;

let typed = 0;
let initial = length();
let shown = 0;
let turns = 0;
let pieces: Piece[] = [];
let longTasks: number[] = [];
let keyDelays: number[] = [];

// A message to itself, again and again: it has its turn as everything else that waits has.
const { port1, port2 } = new MessageChannel();
port1.onmessage = () => {
  turns++;
  port2.postMessage(null);
};
port2.postMessage(null);

const others = (): number => (length() - initial - typed) / INSERTED.length;
handle.subscribe(() => {
  const changes = others() - shown;
  // An own edit, or a rung.
  if (changes <= 0) return;
  pieces.push({ changes, turns });
  shown += changes;
  turns = 0;
});
area.addEventListener("input", (event) => {
  keyDelays.push(performance.now() - event.timeStamp);
  typed++;
  handle.change((doc) => Automerge.splice(doc, ["text"], doc.text?.length ?? 0, 0, "."));
});
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longTasks.push(duration);
}).observe({ type: "longtask" });

globalThis.typingPage = {
  begin() {
    [typed, initial, shown, turns, pieces, longTasks, keyDelays] = [0, length(), 0, 0, [], [], []];
  },
  others,
  text: () => handle.doc().text ?? "",
  seen: () => ({ pieces, longTasks, keyDelays }),
};
