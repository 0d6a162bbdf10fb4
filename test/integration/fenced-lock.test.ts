/** Pitfall 25, with real nodes and real holders: one that is killed, and one that is halted longer than its lease lives. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { utf8Text } from "@openclaw/core/bytes.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { expect, onTestFinished, test } from "vitest";
import { startSite } from "./site.ts";

const HOLDER = fileURLToPath(new URL("./lock/careless-holder.ts", import.meta.url));
const TTL_MS = 1_500;
const ACTS = 20;

interface Act {
  readonly holder: number;
  readonly token: number;
}

/** A resource outside of the cluster: it refuses a token below the highest that it has seen. */
class FencedResource {
  readonly accepted: Act[] = [];
  readonly refused: Act[] = [];
  #highest = 0;

  act(act: Act): boolean {
    const admitted = act.token >= this.#highest;
    this.#highest = Math.max(this.#highest, act.token);
    (admitted ? this.accepted : this.refused).push(act);
    return admitted;
  }

  get last(): Act {
    return this.accepted.at(-1) ?? { holder: -1, token: 0 };
  }
}

test("pitfall 25: a killed and a paused holder of a lock never both act under a fencing token", async () => {
  const nodes = await startSite(3);
  const gateways = nodes.flatMap(({ addresses }) => addresses.slice(0, 1));
  const witness = await openClaw({ gateways, subscribe: { prefixes: ["last"] } });
  onTestFinished(() => witness.stop());
  /** The tokens of the fenced writes that took place in the cluster, in the order of its ledger. */
  const written: number[] = [];
  witness.kv.watch("last", (events) => written.push(...events.map(({ value }) => Number(utf8Text(value)))));

  const resource = new FencedResource();
  /** Tokens whose fenced write was refused in the cluster. */
  const tooLate: number[] = [];
  const failures: string[] = [];
  const start = (holder: number): ChildProcess => {
    const child = fork(HOLDER, [String(TTL_MS), ...gateways], { execArgv: [] });
    onTestFinished(async () => {
      child.kill("SIGKILL");
    });
    child.on("message", (message: { act?: number; tooLate?: number; failed?: string }) => {
      if (message.failed !== undefined) failures.push(message.failed);
      if (message.tooLate !== undefined) tooLate.push(message.tooLate);
      if (message.act === undefined || resource.act({ holder, token: message.act })) return;
      child.send({ refused: message.act });
    });
    return child;
  };
  const holders = [start(0), start(1), start(2)];
  const acting = async (after: number): Promise<Act> => {
    const acts = () => resource.accepted.filter(({ token }) => token > after).length;
    await expect.poll(acts, { timeout: 60_000, interval: 20 }).toBeGreaterThan(ACTS);
    const { last } = resource;
    return last;
  };

  const first = await acting(0);
  holders[first.holder]?.kill("SIGKILL");
  const second = await acting(first.token);

  holders[second.holder]?.kill("SIGSTOP");
  const third = await acting(second.token);
  expect(third.holder).not.toBe(second.holder);
  holders[second.holder]?.kill("SIGCONT");
  // It goes on as if nothing had happened: without a fence, two would act now.
  const late = () => resource.refused.filter(({ token }) => token === second.token).length;
  await expect.poll(late, { timeout: 60_000, interval: 20 }).toBeGreaterThan(0);
  await expect.poll(() => tooLate.includes(second.token), { timeout: 60_000, interval: 20 }).toBe(true);

  holders[third.holder]?.kill("SIGKILL");
  // The only one that is left is the one that was halted: it has noticed, and comes again as anybody else.
  const fourth = await acting(third.token);
  expect(fourth.holder).toBe(second.holder);

  const tokens = resource.accepted.map(({ token }) => token);
  expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
  const holdersOf = Map.groupBy(resource.accepted, ({ token }) => token);
  for (const acts of holdersOf.values()) expect(new Set(acts.map(({ holder }) => holder)).size).toBe(1);
  expect([...holdersOf.keys()]).toEqual(
    expect.arrayContaining([first, second, third, fourth].map(({ token }) => token)),
  );
  await expect.poll(() => written.at(-1), { timeout: 60_000 }).toBe(fourth.token);
  expect(written).toEqual([...written].sort((a, b) => a - b));
  expect([...holdersOf.keys()]).toEqual(expect.arrayContaining([...new Set(written)]));
  // On a busy machine a lease may be lost before it is used; nothing else may fail.
  expect(failures.filter((code) => code !== "LEASE_LOST")).toEqual([]);
}, 300_000);
