import type { LinkId } from "@openclaw/core/ids.ts";
import { decodeParentMessage, encodeChildMessage } from "@openclaw/core/sync/codec.ts";
import { parentConnection } from "@openclaw/core/sync/connection.ts";
import {
  type ChildIdentity,
  type ChildMessage,
  type ParentMessage,
  SYNC_VERSION,
} from "@openclaw/core/sync/message.ts";
import { ParentLink } from "@openclaw/core/sync/parent-link.ts";
import { Wire } from "./wire.ts";
import { linkId, type TestCluster, type World } from "./world.ts";

const LINK = linkId("ab".repeat(16));

/** A child that says exactly what a test has it say. */
export class Scripted {
  readonly heard: ParentMessage[] = [];
  readonly #world: World;
  readonly wire = new Wire();
  closed = false;

  constructor(world: World, site: TestCluster) {
    this.#world = world;
    world.wires.add(this.wire);
    const connection = parentConnection(this.wire.parent);
    new ParentLink({ connection, backend: site.backend, ...world.doors, remotePeer: "peer" });
    this.wire.child.receive({
      message: (frame) => void this.heard.push(decodeParentMessage(frame)),
      drained: () => undefined,
      closed: () => {
        this.closed = true;
      },
    });
  }

  async say(...messages: ChildMessage[]): Promise<ParentMessage[]> {
    for (const message of messages) this.wire.child.send(encodeChildMessage(message));
    return this.listen();
  }

  async listen(ms = 0): Promise<ParentMessage[]> {
    const before = this.heard.length;
    await this.#world.elapse(ms);
    return this.heard.slice(before);
  }

  hello(
    options: { link?: LinkId; child?: ChildIdentity; down?: Extract<ChildMessage, { kind: "hello" }>["down"] } = {},
  ): Promise<ParentMessage[]> {
    const { link = LINK, child = { kind: "client", token: null }, down = null } = options;
    return this.say({ kind: "hello", version: SYNC_VERSION, link, child, down });
  }
}
