import { MemoryClientStore } from "@openclaw/core/client/memory-store.ts";
import { clientStoreContract } from "../../contracts/client-store.ts";

clientStoreContract("MemoryClientStore", () => {
  const store = new MemoryClientStore();
  return { open: async () => store, destroy: async () => undefined };
});
