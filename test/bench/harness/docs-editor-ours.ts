/** Our client for Node.js, its outbox in memory, over WebSocket as a browser's. */
import * as Automerge from "@automerge/automerge";
import type { DocumentHandle } from "@openclaw/core/client/document-handle.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import type { Editor, Shown, TextDocument } from "./docs-editor.ts";

interface Content {
  text: string;
}

export async function openOurs(gateway: string): Promise<Editor> {
  const client = await openClaw({ gateways: [gateway] });
  // A collection is streamed as a whole: what a client makes has one of its own, so that a run brings nothing of others.
  const collection = `bench-${crypto.randomUUID()}`;
  let made = 0;

  function open(ref: string, options: { initial?: Content }): Promise<DocumentHandle<Partial<Content>>> {
    const [from = "", id = ""] = ref.split("/");
    return client.docs.open<Partial<Content>>(from, id, options);
  }

  function followed(ref: string, handle: DocumentHandle<Partial<Content>>, shown: Shown): TextDocument {
    const look = (): void => shown(handle.doc().text?.length ?? 0);
    handle.subscribe(look);
    look();
    return {
      ref,
      insert: (at, text) => handle.change((doc) => Automerge.splice(doc, ["text"], at, 0, text)).site,
    };
  }

  return {
    create: async (text, shown) => {
      const ref = `${collection}/${++made}`;
      const handle = await open(ref, { initial: { text } });
      return followed(ref, handle, shown);
    },
    open: async (ref, shown) => followed(ref, await open(ref, {}), shown),
    offline: () => client.goOffline(),
    online: () => client.goOnline(),
  };
}
