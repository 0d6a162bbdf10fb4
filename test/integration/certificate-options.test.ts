/** An operator makes, joins and restores nodes that browsers reach over https and wss: `--tls-cert`, `--tls-key`. */
import { existsSync } from "node:fs";
import { cp } from "node:fs/promises";
import path from "node:path";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { expect, test } from "vitest";
import { Background, openclaw, refusal, type Where } from "./command.ts";
import { CERTIFICATES, gatewaysOf } from "./over-tls.ts";
import { temporaryFolder } from "./site.ts";
import { layOut, parentPlan, portOptions, processOf, put, SITE, shipped, start, statusOf } from "./two-tiers.ts";

/** It is for localhost and 127.0.0.1. */
const PAIR = ["--tls-cert", `${CERTIFICATES}gateway.crt`, "--tls-key", `${CERTIFICATES}gateway.key`] as const;
const TEST_MS = 240_000;

const FOREIGN = ["--tls-cert", `${CERTIFICATES}gateway.crt`, "--tls-key", `${CERTIFICATES}renewed.key`] as const;

test(
  "with a certificate, the node that is made and the one that joins serve https and wss, and both say so",
  async () => {
    const folder = await temporaryFolder();
    await cp(CERTIFICATES, path.join(folder, "our certificates"), { recursive: true });
    const where: Where = { cwd: folder, env: { NODE_EXTRA_CA_CERTS: `${CERTIFICATES}gateway.crt` } };
    const relative = ["--tls-cert", "our certificates/gateway.crt", "--tls-key", "our certificates/gateway.key"];
    const printed = await openclaw(
      where,
      ...["init", "--cluster", "shop", "--nodes", "1", "--invite", "1", ...relative, ...(await portOptions())],
    );
    expect(printed).not.toContain("The certificate is not for");
    expect(printed).toMatch(
      /join ocj_\S+ .*--tls-cert 'our certificates\/gateway.crt' --tls-key 'our certificates\/gateway.key'$/m,
    );
    const [, token = ""] = /join (ocj_\S+)/.exec(printed) ?? [];
    const one = await loadConfig(path.join(folder, "shop/shop-1/config.yaml"));
    expect(one.tls).toEqual({
      certificate: path.join(folder, "our certificates/gateway.crt"),
      key: path.join(folder, "our certificates/gateway.key"),
    });
    const first = new Background(
      where,
      path.join(folder, "one.log"),
      ...["node", "start", "--config", "shop/shop-1/config.yaml"],
    );
    await first.says(/shop-1 of shop listens at https:\/\/127\.0\.0\.1/);
    const second = new Background(
      where,
      path.join(folder, "two.log"),
      ...["join", token, "--dir", "two", "--no-discover", ...relative, ...(await portOptions())],
    );
    await second.says(/shop-2 of shop listens at https:\/\/127\.0\.0\.1/);
    const two = await loadConfig(path.join(folder, "two/config.yaml"));
    expect(two.tls).toEqual(one.tls);
    const places = [`https://127.0.0.1:${one.http.port}`, `https://127.0.0.1:${two.http.port}`];
    for (const http of places)
      await expect.poll(() => gatewaysOf(http), { timeout: 60_000 }).toMatch(/tls\/ws\/p2p\/.*tls\/ws\/p2p\//s);
  },
  TEST_MS,
);

test(
  "one without the other, and files that are no pair, are refused before anything is written",
  async () => {
    const folder = await temporaryFolder();
    const where: Where = { cwd: folder };
    const init = ["init", "--cluster", "shop", "--nodes", "1"] as const;
    expect(await refusal(where, ...init, ...PAIR.slice(0, 2))).toMatch(/^BAD_REQUEST: .*add --tls-key/);
    expect(await refusal(where, ...init, ...PAIR.slice(2))).toMatch(/^BAD_REQUEST: .*add --tls-cert/);
    expect(await refusal(where, ...init, ...FOREIGN)).toMatch(/^CONFIG_INVALID: .*renewed.key is not the key of/);
    expect(existsSync(path.join(folder, "shop"))).toBe(false);

    const printed = await openclaw(where, ...init, "--host", "10.0.0.1", "--invite", "1", ...PAIR);
    expect(printed).toMatch(/certificate is not for 10\.0\.0\.1: write the names .*shop\/shop-1\/config\.yaml/);
    const [, token = ""] = /join (ocj_\S+)/.exec(printed) ?? [];
    const join = ["join", token, "--dir", "two", "--no-discover"] as const;
    expect(await refusal(where, ...join, ...PAIR.slice(0, 2))).toMatch(/^BAD_REQUEST: .*add --tls-key/);
    expect(await refusal(where, ...join, ...FOREIGN)).toMatch(/^CONFIG_INVALID: .*renewed.key is not the key of/);
    expect(existsSync(path.join(folder, "two"))).toBe(false);
  },
  TEST_MS,
);

/** A site of two nodes below a hub, with a backup `b` in the folder; the site's nodes have ended. */
async function lostSite(folder: string) {
  const hub = await layOut(folder, "hub", 1);
  const site = await layOut(folder, SITE, 2, await parentPlan(hub));
  const [above, one, two] = [...hub.nodes, ...site.nodes];
  if (above === undefined || one === undefined || two === undefined) throw new Error("three nodes");
  const members = [one, two].map((node) => processOf(folder, "site", node));
  await start(processOf(folder, "hub", above), ...members);
  await put(one.http, "k", "1");
  await shipped(above.http, (await statusOf(one.http)).revision);
  await openclaw({ cwd: folder }, "backup", "b", "--endpoint", one.http);
  for (const member of members) await member.kill();
  return { hub: above, survivor: one, dead: two, key: path.join(site.directory, "cluster.key") };
}

test(
  "the node that `restore`, `site rebuild` and `site rescue` make has the certificate that is named, checked as for `init`",
  async () => {
    const folder = await temporaryFolder();
    await cp(CERTIFICATES, path.join(folder, "our certificates"), { recursive: true });
    const { hub, survivor, dead, key } = await lostSite(folder);
    const where: Where = { cwd: folder, env: { NODE_EXTRA_CA_CERTS: `${CERTIFICATES}gateway.crt` } };
    const relative = ["--tls-cert", "our certificates/gateway.crt", "--tls-key", "our certificates/gateway.key"];
    const restore = ["restore", "b", "--to"];
    for (const [at, command] of [
      restore,
      ["site", "rebuild", SITE, "--from", hub.http, "--beside-live", "--data"],
      ["site", "rescue", "--survivor", survivor.config, "--offline", "--dead", dead.node, "--to"],
    ].entries()) {
      const made = [...command, `made-${at}/${SITE}`, "--key", key, ...(await portOptions())];
      expect(await refusal(where, ...made, "--dry-run", ...PAIR.slice(0, 2))).toMatch(/^BAD_REQUEST: .*add --tls-key/);
      expect(await refusal(where, ...made, ...FOREIGN)).toMatch(/^CONFIG_INVALID: .*renewed.key is not the key of/);
      expect(existsSync(path.join(folder, `made-${at}`))).toBe(false);

      expect(await openclaw(where, ...made, ...relative)).not.toContain("The certificate is not for");
      const file = path.join(folder, `made-${at}/${SITE}/${SITE}-1/config.yaml`);
      const config = await loadConfig(file);
      expect(config.tls).toEqual({
        certificate: path.join(folder, "our certificates/gateway.crt"),
        key: path.join(folder, "our certificates/gateway.key"),
      });
      const node = new Background(where, path.join(folder, `${at}.log`), "node", "start", "--config", file);
      await node.says(/california-1 of california listens at https:\/\/127\.0\.0\.1/);
      const http = `https://127.0.0.1:${config.http.port}`;
      await expect.poll(() => gatewaysOf(http), { timeout: 60_000 }).toMatch(/tls\/ws\/p2p\//);
      await node.kill();
    }

    const notice = /certificate is not for 10\.0\.0\.1: write the names .*-1\/config\.yaml/;
    const elsewhere = ["--key", key, "--host", "10.0.0.1", ...PAIR];
    expect(await openclaw(where, ...restore, "text", ...elsewhere)).toMatch(notice);
    const both = await openclaw(
      { ...where, inside: ["sh", "-c", 'exec "$@" 2>&1', "sh"] },
      ...[...restore, "json", ...elsewhere, "--json"],
    );
    expect(both).toMatch(/^\{"revision":1,.*\}$/m);
    expect(both).toMatch(notice);
  },
  TEST_MS,
);
