/** The state machine beside the model: the same requests, and what either says of them. */
import { decode, encode } from "@openclaw/core/codec.ts";
import { OpenClawError } from "@openclaw/core/errors.ts";
import { revision } from "@openclaw/core/ids.ts";
import { isKeyEvent } from "@openclaw/core/ledger/record.ts";
import { plainRange } from "@openclaw/core/state-machine/operation.ts";
import { outcomeTuple, readOutcome } from "@openclaw/core/state-machine/outcome-codec.ts";
import { selectedEvents, watchedRecord } from "@openclaw/edge-runtime/api/watch-selection.ts";
import { expect } from "vitest";
import { ANYBODY } from "../simulation/tier.ts";
import { OneCluster } from "../unit/state-machine/one-cluster.ts";
import { requestOf } from "./committed.ts";
import { type Command, EtcdModel, type Range, type Request, type Versions, type Watch } from "./etcd.ts";
import {
  type Answer,
  answerOf,
  bytes,
  commandOf,
  eventOf,
  expectedAnswer,
  leaseOf,
  rangeRequestOf,
  responseOf,
  rowOf,
  selectorOf,
  text,
} from "./translation.ts";

export class BesideTheModel {
  readonly model = new EtcdModel();
  readonly #site = new OneCluster("california");

  /** Runs a request on both, and fails where they differ in outcome, revision, events or what is there afterwards. */
  run(op: Request): ReturnType<EtcdModel["run"]> {
    const before = this.#site.position.revision;
    const expected = this.model.run(op);
    expect(this.#answer(op), JSON.stringify(op)).toEqual(expectedAnswer(expected));
    // What is removed now, begun or left to the next compaction, makes no difference to what is told.
    if (op.op === "compact") this.#site.prune(PRUNE_STEPS[op.revision % PRUNE_STEPS.length]);
    const news = this.#site.records.filter(({ revision: at }) => at > before);
    const written = news.map((record) =>
      record.events.map((event) => {
        if (!isKeyEvent(event)) throw new Error("only keys were written");
        return eventOf(event);
      }),
    );
    expect(written).toEqual("error" in expected ? [] : expected.records);
    const { rows, revision: at } = this.#site.query({ kind: "range", origin: null, ...plainRange(bytes(""), null, 0) });
    expect(rows.map(rowOf)).toEqual(this.model.sorted());
    expect(at).toBe(this.model.revision);
    for (const id of [1, 2, 3]) {
      const { lease } = this.#site.query({ kind: "lease", lease: leaseOf(id) });
      const known = this.model.leases.get(id);
      expect(lease === null ? undefined : { ...lease, keys: lease.keys.map(text) }).toEqual(
        known && { ttlMs: known.ttl, remainingMs: known.due - this.model.time, keys: this.model.heldBy(id) },
      );
    }
    return expected;
  }

  #answer(op: Request): Answer {
    if (op.op === "range") return op.at > 0 ? refusedAs(() => this.#askPast(op)) : this.#ask(op);
    if (op.op === "versions") return this.#askVersions(op);
    if (op.op === "watch") return this.#watch(op);
    if (op.op !== "pass") return this.#execute(op);
    this.#site.pass(op.ms);
    return { revision: this.#site.position.revision, response: { op: "lease" } };
  }

  #ask(range: Range): Answer {
    const answer = this.#site.query({ kind: "range", origin: null, ...rangeRequestOf(range) });
    return { revision: answer.revision, response: responseOf({ kind: "range", ...answer }) };
  }

  #askPast(range: Range): Answer {
    const question = { kind: "range", origin: null, at: revision(range.at), ...rangeRequestOf(range) } as const;
    const answer = this.#site.history(question);
    return { revision: this.#site.position.revision, response: responseOf({ kind: "range", ...answer }) };
  }

  #askVersions({ key, limit, before }: Versions): Answer {
    const asked = before === 0 ? null : revision(before);
    const question = { kind: "versions", origin: null, key: bytes(key), limit, before: asked } as const;
    const { versions, more } = this.#site.history(question);
    const told = versions.map((one) => ({
      value: text(one.value ?? new Uint8Array(0)),
      create: one.createRevision,
      mod: one.modRevision,
      version: one.version,
      lease: one.lease ?? 0,
      revision: one.revision,
    }));
    return { revision: this.#site.position.revision, response: { op: "versions", versions: told, more } };
  }

  #watch({ from, filter, ...keys }: Watch): Answer {
    if (from < this.#site.position.compacted) return { error: "COMPACTED" };
    const filters = filter === null ? [] : [filter];
    const selection = {
      keys: selectorOf(keys),
      origin: null,
      filters,
      principal: { ...ANYBODY, mayAdminister: false },
    };
    const events = this.#site.ledger
      .filter((record) => record.revision >= from)
      .flatMap((record) =>
        selectedEvents(watchedRecord(record), selection).map((event) => ({
          ...eventOf(event),
          revision: record.revision,
        })),
      );
    return { revision: this.#site.position.revision, response: { op: "watch", events } };
  }

  #execute(op: Command): Answer {
    const command = commandOf(op);
    // A put alone cannot ask for more than its value.
    if (op.op !== "put" && command.kind !== "change") expect(requestOf(command)).toEqual(canonical(op));
    const outcome = this.#site.run(command);
    // What a session remembers and a link carries is the same outcome.
    return answerOf(op, readOutcome(decode(encode(outcomeTuple(outcome)))));
  }
}

const PRUNE_STEPS = [Number.POSITIVE_INFINITY, 0, 1, 2];

/** A delete alone tells no rows. */
const canonical = (op: Command): Command => (op.op === "delete" ? { ...op, prev: false } : op);

/** What was thrown, as the model tells it. */
function refusedAs(ask: () => Answer): Answer {
  try {
    return ask();
  } catch (error) {
    if (error instanceof OpenClawError) return { error: error.code };
    throw error;
  }
}
