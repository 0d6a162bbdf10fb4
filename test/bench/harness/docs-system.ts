/** The servers of one system, each a process, and how a client comes to them. */
import type { Measured } from "./cluster.ts";
import type { Relay } from "./relay.ts";

export interface DocsSystem {
  readonly name: Measured;
  /** For the logs of its clients. */
  readonly folder: string;
  readonly gateway: string;
  /** Two more gateways of the same site, where there are any. */
  readonly others: readonly [string, string] | null;
  /** `gateway` again, through the cable. */
  readonly cabled: string;
  readonly cable: Relay;
  /** CPU time that its servers have used so far together, ms; null where it cannot be told. */
  cpuMs(): Promise<number | null>;
}
