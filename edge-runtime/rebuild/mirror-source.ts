/** A site's ledger as its hub holds it, over the HTTP API of any of the hub's nodes. */
import type { Mirror, MirrorItem } from "@openclaw/core/history/history-query.ts";
import { decodeMirror } from "@openclaw/core/history/mirror-codec.ts";
import { type Revision, revision } from "@openclaw/core/ids.ts";
import { framesIn } from "../backup/record-frames.ts";
import type { SourceClient } from "../backup/source.ts";

export const firstOf = (item: MirrorItem): Revision => (item.kind === "body" ? item.revision : item.from);
export const lastOf = (item: MirrorItem): Revision => (item.kind === "body" ? item.revision : item.to);

export class MirrorSource {
  readonly #client: Pick<SourceClient, "call">;
  readonly #path: string;

  constructor(client: Pick<SourceClient, "call">, site: string) {
    this.#client = client;
    this.#path = `/v1/sites/${encodeURIComponent(site)}/ledger`;
  }

  /** @throws OpenClawError NOT_FOUND, FORBIDDEN, REVISION_AHEAD, UNAVAILABLE, MALFORMED_FRAME */
  async page(from: number): Promise<Mirror> {
    const { body } = await this.#client.call({ method: "GET", path: `${this.#path}?from=${from}` });
    return decodeMirror(framesIn(body));
  }

  /** Page by page, up to where the hub is; the last has no items, or a fault. @throws as `page` */
  async *pages(from: number): AsyncGenerator<Mirror> {
    for (let next = from; ; ) {
      const page = await this.page(next);
      yield page;
      const last = page.items.at(-1);
      if (last === undefined || page.fault !== null) return;
      next = revision(lastOf(last) + 1);
    }
  }
}
