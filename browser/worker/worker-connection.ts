/** What the worker runs only with a connection. */
export { childConnection } from "@openclaw/core/sync/connection.ts";
export { join, RelayEnd } from "./relay.ts";
