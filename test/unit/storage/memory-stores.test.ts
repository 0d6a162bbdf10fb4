/** The stores of the simulation keep the same contracts as those on disks. */
import { logStoreContract } from "../../contracts/log-store.ts";
import { STATE_CLUSTER, STATE_EPOCH, STATE_MEMBERSHIP, stateStoreContract } from "../../contracts/state-store.ts";
import { MemoryLogStore } from "../../simulation/memory-log-store.ts";
import { MemoryStateStore } from "../../simulation/memory-state-store.ts";

logStoreContract("MemoryLogStore", () => {
  let current: MemoryLogStore | null = null;
  return {
    store: () => {
      current = current === null ? new MemoryLogStore() : new MemoryLogStore(current.durable);
      return current;
    },
    destroy: async () => {},
  };
});

stateStoreContract("MemoryStateStore", () => {
  let current: MemoryStateStore | null = null;
  return {
    store: () => {
      const options = { cluster: STATE_CLUSTER, epoch: STATE_EPOCH, membership: STATE_MEMBERSHIP };
      current = current === null ? new MemoryStateStore(options) : current.crash();
      return current;
    },
    destroy: async () => {},
  };
});
