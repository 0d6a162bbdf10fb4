/** A tab's way to the site in a worker, with all that it needs: its own connection, and the other tabs. */
import { SiteConnection } from "../connection/connection.ts";
import type { Gateway } from "../connection/gateways.ts";
import { browserClock, browserRandom } from "../ports.ts";
import { LeadingTabSite } from "./tab-site.ts";
import type { OpenChannel } from "./tab-stream.ts";

const openChannel: OpenChannel = (name, receive) => {
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data }) => receive(data);
  return { post: (message) => channel.postMessage(message), close: () => channel.close() };
};

/** @param store the database's name */
export function openTabSite(tab: string, store: string, gateways: readonly Gateway[]): LeadingTabSite {
  const ports = { locks: navigator.locks, open: openChannel, clock: browserClock, random: browserRandom };
  return new LeadingTabSite({ tab, store, connection: new SiteConnection(gateways), ...ports });
}
