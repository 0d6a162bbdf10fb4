/**
 * A node is away while more is written than any log keeps for it, so that it needs a snapshot when it comes back; writes go
 * on meanwhile (R7, R8).
 */
import { randomBytes } from "node:crypto";
import { anyOf } from "../choice.ts";
import { KeyValueClient } from "../key-value-client.ts";
import type { Fault } from "./fault.ts";

const KEY = "ballast";
const VALUE_BYTES = 900 * 1024;
/** Together more than the 16 MiB after which a log is cut, and the 4 MiB that it then keeps. */
const PUTS = 26;
/** Each takes as long as a client's patience at most. */
const TRIES_MAX = 60;

export const fallBehind: Fault = {
  name: "fall-behind",
  lane: "nodes",
  async inflict(stage) {
    const { cluster, random, report } = stage;
    const member = anyOf(random, cluster.members);
    report(`${member.name} is away while ${Math.round((PUTS * VALUE_BYTES) / 1_048_576)} MiB are written`);
    await member.process.kill();
    const others = cluster.members.filter((other) => other !== member);
    let done = 0;
    for (let tries = 0; done < PUTS && tries < TRIES_MAX && !stage.over(); tries++) {
      const client = new KeyValueClient(anyOf(random, others).http, cluster.token);
      // Of half the bytes as text: nothing is gained by compressing it.
      const answer = await client.put(KEY, randomBytes(VALUE_BYTES / 2).toString("hex"));
      if (answer.kind === "ok") done++;
    }
    report(`${member.name} comes back ${done} large writes later`);
    member.process.start();
    await stage.ready(member);
  },
};
