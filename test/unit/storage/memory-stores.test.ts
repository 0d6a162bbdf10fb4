/** The stores of the simulation keep the same contracts as those on disks. */
import type { NodeId } from "@openclaw/core/ids.ts";
import { logStoreContract } from "../../contracts/log-store.ts";
import { stateComparisonContract } from "../../contracts/state-comparison.ts";
import {
  STATE_CLUSTER,
  STATE_EPOCH,
  STATE_MEMBERSHIP,
  type StateDisk,
  stateStoreContract,
} from "../../contracts/state-store.ts";
import { stateStoreBaseContract } from "../../contracts/state-store-base.ts";
import { stateStoreHistoryContract } from "../../contracts/state-store-history.ts";
import { stateStoreKeysContract } from "../../contracts/state-store-keys.ts";
import { MemoryStateStore } from "../../simulation/memory-state-store.ts";
import { SimulatedLogStore } from "../../simulation/simulated-log-store.ts";

const NODE = "california-1" as NodeId;

logStoreContract("SimulatedLogStore", () => {
  let current: SimulatedLogStore | null = null;
  return {
    store: () => {
      current = current === null ? new SimulatedLogStore({ cluster: STATE_CLUSTER, node: NODE }) : current.crash();
      return current;
    },
    destroy: async () => {},
  };
});

const newDisk = (): StateDisk => {
  let current: MemoryStateStore | null = null;
  return {
    store: () => {
      const options = { cluster: STATE_CLUSTER, epoch: STATE_EPOCH, membership: STATE_MEMBERSHIP };
      current = current === null ? new MemoryStateStore(options) : current.crash();
      return current;
    },
    destroy: async () => {},
  };
};
stateStoreContract("MemoryStateStore", newDisk);
stateStoreKeysContract("MemoryStateStore", newDisk);
stateComparisonContract("MemoryStateStore", newDisk);
stateStoreHistoryContract("MemoryStateStore", newDisk);
stateStoreBaseContract("MemoryStateStore", newDisk);
