/**
 * What callers of one register saw, and whether it is linearizable. Revisions give all writes one order, so the check is
 * simple: that order must not contradict the order in which callers saw calls end and begin.
 */
import type { Revision } from "@openclaw/core/ids.ts";

interface Call {
  readonly began: number;
  /** Infinity while it is open, and for ever if its caller was never told. */
  ended: number;
}

interface WriteCall extends Call {
  readonly value: string;
  acknowledged: Revision | null;
}

interface ReadCall extends Call {
  saw: { readonly value: string; readonly revision: Revision } | null;
}

export class RegisterHistory {
  #moment = 0;
  readonly #writes = new Map<string, WriteCall>();
  readonly #reads: ReadCall[] = [];

  /** Each value is written once. The returned function notes the acknowledgement. */
  write(value: string): (revision: Revision) => void {
    const call: WriteCall = { value, began: ++this.#moment, ended: Number.POSITIVE_INFINITY, acknowledged: null };
    this.#writes.set(value, call);
    return (revision) => {
      call.ended = ++this.#moment;
      call.acknowledged = revision;
    };
  }

  read(): (saw: ReadCall["saw"]) => void {
    const call: ReadCall = { began: ++this.#moment, ended: Number.POSITIVE_INFINITY, saw: null };
    return (saw) => {
      call.ended = ++this.#moment;
      call.saw = saw;
      this.#reads.push(call);
    };
  }

  get acknowledged(): number {
    return [...this.#writes.values()].filter((write) => write.acknowledged !== null).length;
  }
  get reads(): number {
    return this.#reads.length;
  }

  /** @param ran every value that was written, with its revision, once for each time that it was. @returns what is wrong */
  faults(ran: readonly { readonly value: string; readonly revision: Revision }[]): readonly string[] {
    const faults: string[] = [];
    const revisions = new Map<string, Revision>();
    for (const { value, revision } of ran) {
      if (revisions.has(value)) faults.push(`${value} was written at ${revisions.get(value)} and again at ${revision}`);
      if (!this.#writes.has(value)) faults.push(`${value} was written by nobody`);
      revisions.set(value, revision);
    }
    /** Calls by the revision at which each took effect; a read of nothing took effect at 0. */
    const effects: (Call & { readonly what: string; readonly at: number })[] = [];
    for (const write of this.#writes.values()) {
      const at = revisions.get(write.value);
      if (write.acknowledged !== null && write.acknowledged !== at) {
        faults.push(`${write.value} was acknowledged at ${write.acknowledged} and stands at ${at}`);
      }
      if (at !== undefined) effects.push({ ...write, what: `write ${write.value}`, at });
    }
    for (const read of this.#reads) {
      const { saw } = read;
      if (saw !== null && revisions.get(saw.value) !== saw.revision)
        faults.push(`${saw.value} was read at ${saw.revision}`);
      // A read comes after the write it saw and before the next.
      effects.push({ ...read, what: `read ${saw?.value}`, at: (saw?.revision ?? 0) + 0.5 });
    }
    effects.sort((a, b) => a.began - b.began);
    for (const later of effects) {
      for (const earlier of effects) {
        if (earlier.began >= later.began) break;
        if (earlier.ended < later.began && earlier.at > later.at) faults.push(`${later.what} after ${earlier.what}`);
      }
    }
    return faults;
  }
}
