/** The read modes against a real site of three processes: the position of a write at one node serves at every other. */
import { spawnSync } from "node:child_process";
import { utf8Text } from "@openclaw/core/bytes.ts";
import { openClaw } from "@openclaw/edge-runtime/client.ts";
import { expect, onTestFinished, test } from "vitest";
import { OPENCLAW, startSite } from "./site.ts";

const put = async (http: string, value: string): Promise<string> => {
  const response = await fetch(`${http}/v1/kv/k`, { method: "PUT", body: value });
  expect(response.status).toBe(200);
  return response.headers.get("x-openclaw-position") ?? "";
};

test("L3: a causal read sees the write at every node; what the rest of the cluster lost, one node alone does not promise", async () => {
  const nodes = await startSite(3);
  const https = nodes.map(({ http }) => http);
  const [first = "", , third = ""] = https;
  for (let i = 0; i < 60; i++) {
    const position = await put(https[i % 3] ?? first, String(i));
    const values = await Promise.all(
      https.map(async (http) => (await fetch(`${http}/v1/kv/k?minRevision=${position}`)).text()),
    );
    expect(values).toEqual([String(i), String(i), String(i)]);
  }

  const client = await openClaw({ gateways: nodes[1]?.addresses.slice(0, 1) ?? [], readYourWrites: true });
  onTestFinished(() => client.stop());
  await client.kv.put("k", "native").site;
  const reading = await client.kv.read("k");
  expect(utf8Text(reading.row?.value ?? new Uint8Array())).toBe("native");
  expect(reading.staleMs).not.toBeNull();
  const minRevision = client.position ?? "";
  expect(await (await fetch(`${third}/v1/kv/k?minRevision=${minRevision}`)).text()).toBe("native");

  const args = [OPENCLAW, "get", "k", "--endpoint", third, "--min-revision", minRevision, "--verbose"];
  const got = spawnSync(process.execPath, args, { encoding: "utf8" });
  expect(got.stdout).toBe("native");
  expect(got.stderr).toContain(`position ${minRevision}`);
  expect(got.stderr).toMatch(/^stale-ms \d+$/m);

  // Two are gone: the third answers what it has, and says that it grows older.
  await nodes[0]?.process.kill();
  await nodes[1]?.process.kill();
  const age = async (): Promise<number> => {
    const response = await fetch(`${third}/v1/kv/k?consistency=local`);
    expect(await response.text()).toBe("native");
    return Number(response.headers.get("x-openclaw-stale-ms"));
  };
  const before = await age();
  await expect.poll(age, { timeout: 60_000 }).toBeGreaterThan(before + 2_000);
  const ahead = minRevision.replace(/\d+$/, (revision) => String(Number(revision) + 1));
  const refused = await fetch(`${third}/v1/kv/k?minRevision=${ahead}`);
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringContaining("this node is at"),
  });
  expect((await fetch(`${third}/v1/kv/k?minRevision=${minRevision}`)).status).toBe(200);
}, 300_000);
