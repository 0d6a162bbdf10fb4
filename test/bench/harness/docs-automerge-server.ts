/** automerge-repo's server, as its own sync server is made: a repo with files, which tells of no document by itself. */
import { Repo } from "@automerge/automerge-repo";
import { WebSocketServerAdapter } from "@automerge/automerge-repo-network-websocket";
import { NodeFSStorageAdapter } from "@automerge/automerge-repo-storage-nodefs";
import { WebSocketServer } from "ws";

const [port = "", folder = ""] = process.argv.slice(2);
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port) });
// The types of `ws` have the class twice, once for each kind of module, and the adapter asks for the other one.
const adapter = new WebSocketServerAdapter(server as ConstructorParameters<typeof WebSocketServerAdapter>[0]);
new Repo({
  network: [adapter],
  storage: new NodeFSStorageAdapter(folder),
  sharePolicy: async () => false,
});
