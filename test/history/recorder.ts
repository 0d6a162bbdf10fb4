/** Writes down a history as it happens. Simulator, nemesis and the readers of history files use it alike. */
import { type Call, HistoryError, type Operation, type Outcome } from "./history.ts";

interface Open {
  readonly process: number;
  readonly key: string;
  readonly call: Call;
  readonly invoked: number;
}

export class Recorder {
  readonly #moment: () => number;
  readonly #open = new Map<number, Open>();
  readonly #operations: Operation[] = [];

  /** @param moment the moment of the event that is being recorded; a counter unless given */
  constructor(moment: () => number = counter()) {
    this.#moment = moment;
  }

  /** @throws HistoryError if the process has an operation open: it does one thing at a time */
  invoke(process: number, key: string, call: Call): void {
    const open = this.#open.get(process);
    if (open !== undefined) {
      throw new HistoryError(`process ${process} invokes ${call.kind} while its ${open.call.kind} is open`);
    }
    this.#open.set(process, { process, key, call, invoked: this.#moment() });
  }

  /** What the process's open operation is; undefined if it has none. */
  open(process: number): { readonly key: string; readonly call: Call } | undefined {
    return this.#open.get(process);
  }

  /** @throws HistoryError if the process has nothing open, or its call cannot end so */
  complete(process: number, outcome: Outcome): void {
    const open = this.#open.get(process);
    if (open === undefined) throw new HistoryError(`process ${process} returns, and has nothing open`);
    if (!canEndSo(open.call, outcome)) {
      throw new HistoryError(`process ${process}: a ${open.call.kind} cannot end with "${outcome.kind}"`);
    }
    this.#open.delete(process);
    const returned = outcome.kind === "unknown" ? null : this.#moment();
    this.#operations.push({ ...open, returned, outcome });
  }

  /** All so far, in the order of their invocations. What is open is of unknown outcome. */
  operations(): readonly Operation[] {
    const open = [...this.#open.values()].map(
      (operation): Operation => ({ ...operation, returned: null, outcome: { kind: "unknown" } }),
    );
    return [...this.#operations, ...open].sort((a, b) => a.invoked - b.invoked);
  }
}

/** Whether a call may have this outcome at all. */
export function canEndSo(call: Call, outcome: Outcome): boolean {
  switch (outcome.kind) {
    case "ok":
      return call.kind !== "get";
    case "saw":
      return call.kind === "get";
    case "differed":
      return call.kind === "cas";
    case "failed":
    case "unknown":
      return true;
  }
}

function counter(): () => number {
  let moment = 0;
  return () => ++moment;
}
