/** Whose data a store on a disk holds: read before anything else in it. */
import { OpenClawError } from "./errors.ts";

export interface StoreIdentity {
  /** Version of the layout and of what it holds. */
  readonly format: number;
  /** `log` or `state`. */
  readonly role: string;
  readonly cluster: string;
  readonly partition: number;
  /** Null in a state: it moves between the nodes of a cluster. */
  readonly node: string | null;
}

/** @throws OpenClawError DATA_NEWER, DATA_FOREIGN, UNKNOWN_VERSION for an older format, which nothing here reads */
export function requireIdentity(found: StoreIdentity, wanted: StoreIdentity): void {
  if (found.format > wanted.format) {
    throw new OpenClawError(
      "DATA_NEWER",
      `the ${wanted.role} has format ${found.format}, this version reads up to ${wanted.format}`,
    );
  }
  if (found.format < wanted.format) {
    throw new OpenClawError(
      "UNKNOWN_VERSION",
      `the ${wanted.role} has format ${found.format}, this version reads ${wanted.format}`,
    );
  }
  const same =
    found.role === wanted.role &&
    found.cluster === wanted.cluster &&
    found.partition === wanted.partition &&
    found.node === wanted.node;
  if (!same) {
    const name = (identity: StoreIdentity): string =>
      `${identity.role} of ${identity.cluster}/${identity.partition}${identity.node === null ? "" : `, node ${identity.node}`}`;
    throw new OpenClawError("DATA_FOREIGN", `found the ${name(found)}, wanted the ${name(wanted)}`);
  }
}
