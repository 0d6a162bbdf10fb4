/** What a site's node shows its parent: its own credential, and how its site came below the parent. */
import { decode, encode, TupleReader } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";

const VERSION = 1;

export interface SiteCredential {
  readonly credential: Uint8Array;
  /** As `createEnrolment` made it. */
  readonly enrolment: Uint8Array;
}

export const encodeSiteCredential = ({ credential, enrolment }: SiteCredential): Uint8Array =>
  encode([VERSION, credential, enrolment]);

/** Neither part is checked. @throws OpenClawError NOT_ADMITTED, UNKNOWN_VERSION */
export function parseSiteCredential(bytes: Uint8Array): SiteCredential {
  try {
    const fields = new TupleReader(decode(bytes), "site credential");
    const version = fields.count();
    if (version !== VERSION) throw new OpenClawError("UNKNOWN_VERSION", `site credential version ${version}`);
    const parts = { credential: new Uint8Array(fields.bytes()), enrolment: new Uint8Array(fields.bytes()) };
    fields.end();
    return parts;
  } catch (error) {
    if (error instanceof OpenClawError && error.code === "MALFORMED_FRAME")
      throw new OpenClawError("NOT_ADMITTED", `no site's credential: ${error.details}`, { cause: error });
    throw error;
  }
}
