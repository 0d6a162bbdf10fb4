/** Tells mirror rows apart. A cluster's name has no slash. */
import { toHex } from "../bytes.ts";

export const mirrorName = (row: { readonly key: Uint8Array; readonly origin: string | null }): string =>
  `${row.origin ?? ""}/${toHex(row.key)}`;
