/** What an operator asks of the members over HTTP, and what a node answers that is one no more. */

import type { NodeId } from "@openclaw/core/ids.ts";
import { founding } from "@openclaw/core/raft/membership.ts";
import { afterEach, expect, test } from "vitest";
import { MEMBERS, NODE, startTestNode, type TestNode } from "./node.ts";

let node: TestNode | null = null;
afterEach(() => node?.stop());

const members = (removed: boolean) => ({ list: () => MEMBERS, rows: () => [], removed });

test("the members are listed with their places, and a learner with whom it replaces", async () => {
  const learner = { id: "california-4" as NodeId, replaces: NODE };
  node = await startTestNode({
    replica: (replica) => {
      const status = () => {
        const own = replica.status();
        const committedMembership = { ...founding([NODE]), learners: [learner] };
        return { ...own, raft: { ...own.raft, committedMembership } };
      };
      return new Proxy(replica, {
        get: (target, name) => {
          if (name === "status") return status;
          const field: unknown = Reflect.get(target, name);
          return typeof field === "function" ? field.bind(target) : field;
        },
      });
    },
  });
  const answer = (await node.app.inject("/v1/members")).json();
  expect(answer).toMatchObject({ cluster: "california", quorum: 1, joint: false, removed: [] });
  expect(answer.members).toEqual([
    { role: "voter", replaces: null, supports: null, ...MEMBERS[0] },
    { role: "learner", replaces: NODE, node: "california-4", supports: null, peer: null, addresses: [], http: null },
  ]);
});

test.each<[string, "DELETE" | "POST", string, object | undefined, string]>([
  ["nobody", "DELETE", "/v1/members/california-7", undefined, "NOT_FOUND"],
  ["a name that is none", "DELETE", "/v1/members/A", undefined, "BAD_REQUEST"],
  ["the last voter", "DELETE", `/v1/members/${NODE}`, undefined, "MEMBERSHIP_INVALID"],
  ["leadership to nobody", "POST", "/v1/leader", { node: "california-7" }, "TRANSFER_REFUSED"],
  ["leadership without a name", "POST", "/v1/leader", {}, "BAD_REQUEST"],
])("%s is refused by code", async (_, method, url, payload, code) => {
  node = await startTestNode();
  const asked = { method, url, ...(payload === undefined ? {} : { payload }) };
  expect((await node.app.inject(asked)).json()).toMatchObject({ code });
});

test("REMOVED: a removed node refuses reads and writes, local ones too, and says so in its status", async () => {
  node = await startTestNode({ members: members(true) });
  for (const [method, url] of [
    ["GET", "/v1/kv/a"],
    ["GET", "/v1/kv/a?consistency=local"],
    ["GET", "/v1/kv"],
    ["PUT", "/v1/kv/a"],
    ["GET", "/v1/watch"],
    ["GET", "/v1/docs/log/a"],
    ["DELETE", "/v1/members/california-2"],
  ] as const) {
    const answer = await node.app.inject({ method, url, ...(method === "PUT" ? { payload: "x" } : {}) });
    expect(answer.json(), `${method} ${url}`).toMatchObject({ code: "REMOVED" });
    expect(answer.statusCode).toBe(410);
  }
  const status = (await node.app.inject("/v1/status")).json();
  expect(status.removed).toBe(true);
  expect(status.notes).toEqual([expect.stringMatching(/removed/)]);
  expect((await node.app.inject("/v1/members")).statusCode).toBe(200);
  expect((await node.app.inject("/healthz")).statusCode).toBe(200);
  expect((await node.app.inject("/readyz")).json()).toMatchObject({ code: "REMOVED" });
});
