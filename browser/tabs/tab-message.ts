/** What the tabs of one device tell each other, over a channel that all of them hear. */
import type { ErrorData } from "../worker/error-data.ts";
import { isErrorData } from "../worker/error-data.ts";

export type TabMessage =
  /** A follower has not heard of the leader for a while: is it there? */
  | { readonly kind: "probe" }
  /** I lead. A higher term is a later leader. */
  | { readonly kind: "beat"; readonly tab: string; readonly term: number }
  /** A follower wants a stream to the site; `ended`: why its last one ended. */
  | {
      readonly kind: "open";
      readonly to: string;
      readonly tab: string;
      readonly stream: string;
      readonly ended: ErrorData | null;
    }
  /** The leader's answer; an error if there is none. */
  | { readonly kind: "opened"; readonly stream: string; readonly error: ErrorData | null };

type Fields = Readonly<Record<string, unknown>>;

const isText = (value: unknown): value is string => typeof value === "string";
const isFailure = (value: unknown): value is ErrorData | null => value === null || isErrorData(value);

/** Null where it is none of ours: whatever runs on this origin may speak here. */
export function tabMessage(data: unknown): TabMessage | null {
  if (typeof data !== "object" || data === null) return null;
  const { kind, to, tab, term, stream, ended, error } = data as Fields;
  switch (kind) {
    case "probe":
      return { kind };
    case "beat":
      return isText(tab) && Number.isSafeInteger(term) ? { kind, tab, term: Number(term) } : null;
    case "open":
      return isText(to) && isText(tab) && isText(stream) && isFailure(ended) ? { kind, to, tab, stream, ended } : null;
    case "opened":
      return isText(stream) && isFailure(error) ? { kind, stream, error } : null;
    default:
      return null;
  }
}
