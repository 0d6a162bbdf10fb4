/** Yjs with y-websocket's provider: a connection for each document. */
import { WebSocket as NodeSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import type { Editor, Shown, TextDocument } from "./docs-editor.ts";

/** What y-websocket's own guide names for Node.js. It uses what the two have in common. */
const WebSocketPolyfill = NodeSocket as unknown as typeof WebSocket;

export function openYjs(server: string): Editor {
  const providers: WebsocketProvider[] = [];

  async function joined(ref: string, shown: Shown): Promise<TextDocument & { readonly text: Y.Text }> {
    const doc = new Y.Doc();
    const text = doc.getText("text");
    text.observe(() => shown(text.length));
    // A broadcast channel is between tabs of one browser.
    const provider = new WebsocketProvider(server, ref, doc, { disableBc: true, WebSocketPolyfill });
    providers.push(provider);
    if (!provider.synced) await new Promise((resolve) => provider.once("sync", resolve));
    return {
      ref,
      text,
      insert: (at, inserted) => {
        text.insert(at, inserted);
        return null;
      },
    };
  }

  return {
    create: async (text, shown) => {
      const document = await joined(crypto.randomUUID(), shown);
      document.text.insert(0, text);
      return document;
    },
    open: joined,
    offline: () => {
      for (const provider of providers) provider.disconnect();
    },
    online: () => {
      for (const provider of providers) provider.connect();
    },
  };
}
