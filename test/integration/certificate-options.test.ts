/** An operator makes and joins nodes that browsers reach over https and wss: `--tls-cert`, `--tls-key`. */
import { existsSync } from "node:fs";
import { cp } from "node:fs/promises";
import path from "node:path";
import { freePorts } from "@openclaw/demo/ports.ts";
import { loadConfig } from "@openclaw/edge-runtime/config.ts";
import { expect, test } from "vitest";
import { Background, openclaw, refusal, type Where } from "./command.ts";
import { CERTIFICATES, gatewaysOf } from "./over-tls.ts";
import { temporaryFolder } from "./site.ts";

/** It is for localhost and 127.0.0.1. */
const PAIR = ["--tls-cert", `${CERTIFICATES}gateway.crt`, "--tls-key", `${CERTIFICATES}gateway.key`] as const;
const TEST_MS = 240_000;

async function portOptions(): Promise<readonly string[]> {
  const [http = 0, p2p = 0, ws = 0] = await freePorts([null, null, null]);
  return ["--http-port", `${http}`, "--p2p-port", `${p2p}`, "--ws-port", `${ws}`];
}

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
    const foreign = ["--tls-cert", `${CERTIFICATES}gateway.crt`, "--tls-key", `${CERTIFICATES}renewed.key`] as const;
    expect(await refusal(where, ...init, ...foreign)).toMatch(/^CONFIG_INVALID: .*renewed.key is not the key of/);
    expect(existsSync(path.join(folder, "shop"))).toBe(false);

    const printed = await openclaw(where, ...init, "--host", "10.0.0.1", "--invite", "1", ...PAIR);
    expect(printed).toMatch(/certificate is not for 10\.0\.0\.1: write the names .*shop\/shop-1\/config\.yaml/);
    const [, token = ""] = /join (ocj_\S+)/.exec(printed) ?? [];
    const join = ["join", token, "--dir", "two", "--no-discover"] as const;
    expect(await refusal(where, ...join, ...PAIR.slice(0, 2))).toMatch(/^BAD_REQUEST: .*add --tls-key/);
    expect(await refusal(where, ...join, ...foreign)).toMatch(/^CONFIG_INVALID: .*renewed.key is not the key of/);
    expect(existsSync(path.join(folder, "two"))).toBe(false);
  },
  TEST_MS,
);
