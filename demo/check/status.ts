/** What nodes say of themselves, as far as the check asks. */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";

const ASK_MS = 20_000;
const LOOK_MS = 100;

const status = z.object({
  cluster: z.string(),
  node: z.string(),
  role: z.string(),
  leader: z.string().nullable(),
  applied: z.number(),
  revision: z.number(),
  ledgerHash: z.string(),
  parent: z.unknown(),
  state: z.object({ hash: z.string(), rows: z.number(), revision: z.number(), ledgerHash: z.string() }).optional(),
});
const sites = z.array(z.object({ cluster: z.string(), cursor: z.number() }));
const shiftLog = z.object({ heads: z.array(z.string()), document: z.object({ text: z.string() }) });

export type NodeStatus = z.infer<typeof status>;

export const statusOf = async (http: string): Promise<NodeStatus> => status.parse(await getJson(`${http}/v1/status`));

/** With a hash over every row of the node's own state. */
export const hashedStatusOf = async (http: string): Promise<NodeStatus> =>
  status.parse(await getJson(`${http}/v1/status?hash=true`));

/** How far the hub holds a site's ledger; 0 when it never heard of it. */
export async function hubCursor(hub: string, site: string): Promise<number> {
  const rows = sites.parse(await getJson(`${hub}/v1/sites`));
  return rows.find(({ cluster }) => cluster === site)?.cursor ?? 0;
}

/** The document as this node itself has it; null while it has none. */
export async function documentAt(
  http: string,
): Promise<{ readonly text: string; readonly heads: readonly string[] } | null> {
  const response = await ask(`${http}/v1/docs/shift-log/main?consistency=local`);
  if (response.status === 404) return null;
  const { heads, document } = shiftLog.parse(await jsonOf(response));
  return { text: document.text, heads };
}

/** Pauses or resumes the uplink at every node given: whichever of them leads. */
export async function setUplink(nodes: readonly string[], enabled: boolean): Promise<void> {
  for (const http of nodes) {
    const headers = { "content-type": "application/json" };
    await jsonOf(await ask(`${http}/v1/admin/uplink`, { method: "POST", headers, body: JSON.stringify({ enabled }) }));
  }
}

/** Looks until `look` finds something. @throws Error naming `what` when it does not in time */
export async function eventually<T>(what: string, timeoutMs: number, look: () => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let failure = "";
  while (performance.now() < deadline) {
    try {
      const found = await look();
      if (found !== null) return found;
      failure = "";
    } catch (error) {
      failure = error instanceof Error ? `; last: ${error.message}` : "";
    }
    await sleep(LOOK_MS);
  }
  throw new Error(`${what}: not within ${timeoutMs / 1_000} s${failure}`);
}

const ask = (url: string, request: RequestInit = {}): Promise<Response> =>
  fetch(url, { ...request, signal: AbortSignal.timeout(ASK_MS) });

const getJson = async (url: string): Promise<unknown> => jsonOf(await ask(url));

async function jsonOf(response: Response): Promise<unknown> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url}: status ${response.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text);
}
