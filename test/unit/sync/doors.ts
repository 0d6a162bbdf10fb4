/** Where the clients of a world meet: one of each for all its gateways. */
import { PresenceGateway } from "@openclaw/core/presence/gateway.ts";
import { ProvisionalGateway } from "@openclaw/core/provisional/gateway.ts";
import type { ParentLinkOptions } from "@openclaw/core/sync/parent-link.ts";
import type { VirtualClock } from "../../simulation/virtual-clock.ts";

export type Doors = Required<Pick<ParentLinkOptions, "clock" | "presence" | "provisional">>;

export const doors = (clock: VirtualClock): Doors => ({
  clock,
  presence: new PresenceGateway({ clock, publish: () => undefined }),
  provisional: new ProvisionalGateway({ clock, publish: () => undefined }),
});
