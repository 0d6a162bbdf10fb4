/** Issue 3's acceptance: `init` on one box, its `join` lines on two others, in three network namespaces. */
import path from "node:path";
import { encodeToken, parseToken } from "@openclaw/edge-runtime/join-token.ts";
import { expect, onTestFinished, test } from "vitest";
import { Background, openclaw, type Where } from "./command.ts";
import { BridgedBoxes, namespacesRefusal } from "./namespaces.ts";
import { temporaryFolder } from "./site.ts";

const unavailable = namespacesRefusal();
if (unavailable !== null) process.stderr.write(`three-boxes.test.ts is skipped: ${unavailable}\n`);

test.skipIf(unavailable !== null)(
  "three boxes: one is made, one joins by address, one is found by mDNS, and each of them serves",
  async () => {
    const folder = await temporaryFolder();
    const network = BridgedBoxes.make(3);
    onTestFinished(() => network.remove());
    const [first, second, third] = network.boxes;
    if (first === undefined || second === undefined || third === undefined) throw new Error("three boxes");
    const where = (box: typeof first, env: Record<string, string> = {}): Where => ({
      cwd: folder,
      inside: box.inside,
      env,
    });
    const urls = network.boxes.map(({ address }) => `http://${address}:8101`);

    const printed = await openclaw(where(first), "init", "--cluster", "shop", "--nodes", "1", "--host", first.address);
    const lines = printed.split("\n").flatMap((line) => /^openclaw (join ocj_\S+)$/.exec(line)?.[1] ?? []);
    expect(lines).toHaveLength(2);
    const OPENCLAW_TOKEN = (await openclaw(where(first), "token", "--dir", "shop")).trim();
    const run = (box: typeof first, name: string, ...args: readonly string[]) =>
      new Background(where(box), path.join(folder, `${name}.log`), ...args);
    run(first, "one", "node", "start", "--config", "shop/shop-1/config.yaml");
    await openclaw(where(first, { OPENCLAW_TOKEN }), "status", "--wait", "60", "--endpoint", urls[0] ?? "");

    // Its address is the one that reaches the first box: nothing but the line is needed.
    const byAddress = run(second, "two", ...(lines[0] ?? "").split(" "), "--no-discover");
    await byAddress.says(/shop-2 of shop listens at http:\/\/10\.77\.0\.2:8101/);

    // Nobody is at the addresses of this token any more: as if the first box had moved.
    const moved = ["member", "invite", "--dir", "shop", "--json", "--endpoint", "http://127.0.0.1:1"];
    const { token }: { token: string } = JSON.parse(
      await openclaw({ ...where(first), env: { OPENCLAW_TOKEN } }, ...moved),
    );
    const byName = run(third, "three", "join", await withoutAddresses(token));
    await byName.says(/shop-4 of shop listens at http:\/\/10\.77\.0\.3:8101/);

    for (const [at, box] of network.boxes.entries()) {
      const here = { ...where(box), env: { OPENCLAW_TOKEN, OPENCLAW_ENDPOINT: urls[at] ?? "" } };
      await openclaw(here, "put", `from/${at}`, box.address);
      for (const [other, url] of urls.entries()) {
        if (other <= at)
          expect(await openclaw(here, "get", `from/${other}`, "--endpoint", url)).toBe(network.boxes[other]?.address);
      }
    }
    const members: { members: { role: string }[] } = JSON.parse(
      await openclaw(
        { ...where(third), env: { OPENCLAW_TOKEN } },
        "member",
        "list",
        "--json",
        "--endpoint",
        urls[2] ?? "",
      ),
    );
    expect(members.members).toHaveLength(3);
    // X2: off loopback nobody is served without a token.
    await expect(openclaw(where(third), "get", "from/0", "--endpoint", urls[0] ?? "")).rejects.toThrow(
      /UNAUTHENTICATED/,
    );
  },
  240_000,
);

/** The same invitation, from somebody who does not know where the members are. */
async function withoutAddresses(token: string): Promise<string> {
  return encodeToken({ ...(await parseToken(token)), addresses: [] });
}
