/**
 * A row of an outbox as a tuple, wherever it is kept outside of a store: `[link, number, command, code or null, details]`, and
 * behind those `[cluster, epoch]` of the site that it waits for, or was refused by, where it names one. The command is in the form
 * in which it travels.
 */
import { type Encodable, TupleReader } from "../codec.ts";
import { isErrorCode } from "../errors.ts";
import { isClusterId, isLinkId, isNonce, seq } from "../ids.ts";
import { readUserCommand, userCommandTuple } from "../state-machine/user-command-codec.ts";
import type { Row } from "./outbox-row.ts";
import type { SiteLife } from "./store.ts";

export function rowTuple(row: Row): Encodable {
  const { link, seq: at, command, site } = row;
  const [code, details] = "code" in row ? [row.code, row.details] : [null, ""];
  const fields: Encodable[] = [link, at, userCommandTuple(command), code, details];
  if (site !== undefined) fields.push([site.cluster, site.epoch]);
  return fields;
}

/** @throws OpenClawError MALFORMED_FRAME */
export function readRow(tuple: Encodable): Row {
  const reader = new TupleReader(tuple, "row");
  const waiting = {
    link: reader.that(isLinkId, "a link"),
    seq: seq(reader.count()),
    command: readUserCommand(reader.any()),
  };
  const code = reader.that((text) => text === null || isErrorCode(text), "a code or null");
  const details = reader.text();
  const row = { ...waiting, ...(reader.more ? { site: readSite(reader.any()) } : {}) };
  reader.end();
  return code === null ? row : { ...row, code, details };
}

function readSite(value: Encodable): SiteLife {
  const reader = new TupleReader(value, "site of a row");
  const site = { cluster: reader.that(isClusterId, "a cluster"), epoch: reader.that(isNonce, "a nonce") };
  reader.end();
  return site;
}
