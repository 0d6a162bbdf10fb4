/** automerge-repo's client: no storage, its WebSocket adapter. */
import * as Automerge from "@automerge/automerge";
import { type DocHandle, isValidAutomergeUrl, Repo } from "@automerge/automerge-repo";
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket";
import type { Editor, Shown, TextDocument } from "./docs-editor.ts";
import { until } from "./until.ts";

interface Content {
  text: string;
}

export function openAutomergeRepo(server: string): Editor {
  const adapter = new WebSocketClientAdapter(server);
  const repo = new Repo({ network: [adapter] });

  function followed(handle: DocHandle<Content>, shown: Shown): TextDocument {
    const look = (): void => shown(handle.doc().text.length);
    handle.on("change", look);
    look();
    return {
      ref: handle.url,
      insert: (at, text) => {
        handle.change((doc) => Automerge.splice(doc, ["text"], at, 0, text));
        return null;
      },
    };
  }

  return {
    create: async (text, shown) => followed(repo.create<Content>({ text }), shown),
    open: async (ref, shown) => {
      if (!isValidAutomergeUrl(ref)) throw new Error(`${ref} is no document`);
      const found: DocHandle<Content>[] = [];
      // Until the server has heard of it, it says that nobody has it.
      await until(async () => found.push(await repo.find<Content>(ref)) > 0);
      const [handle] = found;
      if (handle === undefined) throw new Error("found");
      return followed(handle, shown);
    },
    offline: () => adapter.disconnect(),
    online: () => adapter.connect(repo.peerId, { isEphemeral: true }),
  };
}
