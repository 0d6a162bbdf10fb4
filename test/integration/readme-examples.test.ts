/** The README's examples for the two operators, run as they stand; only the ports are those that are free here. */
import { spawn } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import { Fleet } from "@openclaw/demo/fleet.ts";
import { freePorts } from "@openclaw/demo/ports.ts";
import { expect, onTestFinished, test } from "vitest";
import { readmeExample } from "./readme.ts";
import { OPENCLAW, temporaryFolder } from "./site.ts";

const SCRIPT_MS_MAX = 100_000;

/** Runs a script by bash in a process group of its own, which is ended with all that it started; its output. */
async function runScript(script: string, folder: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const bash = spawn("bash", ["-euo", "pipefail", "-c", script], {
    cwd: folder,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const end = (): void => {
    try {
      process.kill(-(bash.pid ?? 0), "SIGKILL");
    } catch {
      // the group is gone
    }
  };
  onTestFinished(end);
  const late = setTimeout(end, SCRIPT_MS_MAX);
  let output = "";
  bash.stdout.on("data", (text: Buffer) => {
    output += String(text);
  });
  const code = await new Promise((resolve) => bash.once("exit", resolve));
  clearTimeout(late);
  expect(code).toBe(0);
  return output;
}

/** A folder that holds the command by its name. */
async function binFolder(folder: string): Promise<string> {
  const bin = path.join(folder, "bin");
  await fs.mkdir(bin);
  await fs.writeFile(path.join(bin, "openclaw"), `#!/bin/sh\nexec "${process.execPath}" "${OPENCLAW}" "$@"\n`, {
    mode: 0o755,
  });
  return bin;
}

test("README: the operator of a site starts one, writes, reads and backs it up", async () => {
  const folder = await temporaryFolder();
  // Three runs of three ports that follow each other.
  const [first = 0] = await freePorts([null]);
  const ports = `--http-port ${first} --p2p-port ${first + 10} --ws-port ${first + 20}`;
  const examples = (await readmeExample("operator")) + (await readmeExample("backup"));
  const script = examples.replace("--dir ./shop", `--dir ./shop ${ports}`);
  const output = await runScript(script, folder, {
    PATH: `${await binFolder(folder)}:${process.env.PATH}`,
    OPENCLAW_ENDPOINT: `http://127.0.0.1:${first}`,
  });
  expect(output).toContain("\nopen");
  expect(output).toContain('"key":"till/1"');
  expect(output).toMatch(/leader shop-\d; 2 of 3 must be alive/);
  expect(output).toMatch(/would restore shop at revision 1, stamped 2/);
  expect(output).toMatch(/"kind":"put".*"key":"till\/1"/);
});

test("README: the operator of several boxes invites one by one", async () => {
  const folder = await temporaryFolder();
  const [http = 0, p2p = 0, ws = 0] = await freePorts([null, null, null]);
  const ports = `--http-port ${http} --p2p-port ${p2p} --ws-port ${ws}`;
  // Loopback has many addresses; there tokens have to be asked for.
  const script = (await readmeExample("boxes"))
    .replaceAll(/--host 10\.0\.0\.(\d)/g, `--host 127.0.0.$1 ${ports}`)
    .replace("--nodes 1", "--nodes 1 --tokens")
    .replaceAll(/10\.0\.0\.(\d):8101/g, `127.0.0.$1:${http}`);
  const output = await runScript(script, folder, { PATH: `${await binFolder(folder)}:${process.env.PATH}` });
  expect(output).toMatch(/shop-1 \(leader\) +voter/);
  expect(output).toMatch(/shop-2 +(learner|voter)/);
});

test("README: the operator of a hub sees every site", async () => {
  const folder = await temporaryFolder();
  const page = path.join(folder, "page");
  await fs.mkdir(page);
  const fleet = await Fleet.open({
    folder: path.join(folder, "fleet"),
    page,
    ports: "any",
    fresh: true,
    sites: [
      { name: "california", networks: ["ci"] },
      { name: "alaska", networks: ["ak"] },
    ],
    report: () => {},
  });
  onTestFinished(() => fleet.stop());
  await fleet.start();
  for (const name of ["california", "alaska"]) {
    const [gateway] = fleet.site(name).urls;
    const response = await fetch(`${gateway}/v1/kv/quakes%2F${name}-1`, { method: "PUT", body: "{}" });
    expect(response.status).toBe(200);
    await response.arrayBuffer();
  }
  const [hub = ""] = fleet.hub.urls;
  await expect
    .poll(
      async () => {
        const sites = (await (await fetch(`${hub}/v1/sites`)).json()) as readonly { readonly cursor: number }[];
        return sites.map(({ cursor }) => cursor > 0);
      },
      { timeout: 60_000 },
    )
    .toEqual([true, true]);
  // The last line watches until it is stopped: five seconds show what is there, on a busy machine too.
  const script = (await readmeExample("hub"))
    .replaceAll("http://127.0.0.1:8101", hub)
    .replace("curl -sN", "timeout 5 curl -sN");
  const output = await runScript(`${script.trimEnd()} || test $? = 124`, folder);
  expect(output).toContain('"cluster":"california"');
  expect(output).toContain('"key":"quakes/california-1"');
  expect(output).toContain('"key":"quakes/alaska-1"');
});
