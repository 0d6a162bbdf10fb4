/** What the commands that read share: in which mode, whose keys, and of which moment. */
import { utf8 } from "@openclaw/core/bytes.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { KEY_BYTES_MAX } from "@openclaw/core/limits.ts";
import { type Command, Option } from "commander";
import { percentEncoded } from "../api/url-bytes.ts";
import { wholeNumber } from "./reach.ts";

export interface Reading {
  readonly consistency?: string;
  readonly minRevision?: string;
  readonly origin?: string;
}

/** The options behind `Reading`. */
export const readingOptions = (command: Command): Command =>
  command
    .addOption(
      new Option(
        "--consistency <mode>",
        "linearizable (the default), at-least (with --min-revision), or local: what the node has applied",
      ).choices(["linearizable", "at-least", "local"]),
    )
    .option("--min-revision <position>", "nothing older than this `position` of an earlier answer")
    .option("--origin <cluster>", "read the mirror of this cluster's keys; list takes * for every origin");

export interface Moment {
  readonly revision?: number;
  readonly time?: string;
}

/** The options behind `Moment`. */
export const momentOptions = (command: Command): Command =>
  command
    .option("--revision <revision>", "as it was after this revision of the cluster", wholeNumber)
    .option("--time <time>", "as it was at this time: RFC 3339, or milliseconds since 1970");

/** @throws OpenClawError KEY_TOO_LARGE */
export function keyPath(key: string, route: "/v1/kv" | "/v1/history" = "/v1/kv"): string {
  if (utf8(key).length > KEY_BYTES_MAX) throw new OpenClawError("KEY_TOO_LARGE");
  return `${route}/${percentEncoded(utf8(key))}`;
}

export function readQuery(
  { consistency, minRevision, origin, revision, time }: Reading & Moment,
  more: [string, string | undefined][] = [],
): string {
  return queryText([
    ...more,
    ["revision", revision === undefined ? undefined : String(revision)],
    ["time", time === undefined ? undefined : encodeURIComponent(time)],
    ["consistency", consistency],
    ["minRevision", minRevision === undefined ? undefined : encodeURIComponent(minRevision)],
    ["origin", origin === undefined ? undefined : encodeURIComponent(origin)],
  ]);
}

export function queryText(pairs: readonly [string, string | undefined][]): string {
  const given = pairs.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  return given.length === 0 ? "" : `?${given.join("&")}`;
}
