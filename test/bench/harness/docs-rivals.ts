/** The others' servers: one process each, with files; neither syncs what it writes before it tells of it. */
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { freePorts } from "@openclaw/demo/ports.ts";
import { z } from "zod";
import type { Rival } from "./cluster.ts";
import type { DocsSystem } from "./docs-system.ts";
import { Relay } from "./relay.ts";
import { until } from "./until.ts";
import { cpuMs } from "./usage.ts";
import type { BenchProcess, Workbench } from "./workbench.ts";

const AUTOMERGE_SERVER = fileURLToPath(new URL("./docs-automerge-server.ts", import.meta.url));
/** The package names no entry for its own program. */
const YJS_SERVER = fileURLToPath(new URL("src/server.js", import.meta.resolve("@y/websocket-server/package.json")));

export const AUTOMERGE_REPO: Rival = npmRival("automerge-repo", "@automerge/automerge-repo");
export const YJS: Rival = npmRival("yjs", "yjs");

export function startAutomergeRepo(workbench: Workbench): Promise<DocsSystem> {
  return started(workbench, "automerge-repo", (port, folder, log) =>
    workbench.process(process.execPath, [...process.execArgv, AUTOMERGE_SERVER, String(port), folder], log),
  );
}

/** y-websocket's own server with its LevelDB. */
export function startYjs(workbench: Workbench): Promise<DocsSystem> {
  return started(workbench, "yjs", (port, folder, log) => {
    const settings = ["HOST=127.0.0.1", `PORT=${port}`, `YPERSISTENCE=${folder}`];
    return workbench.process("env", [...settings, process.execPath, YJS_SERVER], log);
  });
}

async function started(
  workbench: Workbench,
  name: "automerge-repo" | "yjs",
  server: (port: number, folder: string, log: string) => BenchProcess,
): Promise<DocsSystem> {
  const folder = workbench.folder();
  const [port = 0] = await freePorts([null]);
  const log = path.join(folder, "server.log");
  const running = server(port, path.join(folder, "data"), log);
  running.start();
  // Any answer will do: one of them speaks WebSocket only, and says so.
  await until(async () => (await fetch(`http://127.0.0.1:${port}`)).status > 0);
  const cable = await Relay.open(port);
  return {
    name,
    folder,
    gateway: `ws://127.0.0.1:${port}`,
    others: null,
    cabled: `ws://127.0.0.1:${cable.port}`,
    cable,
    cpuMs: () => cpuMs(running.pid === null ? [] : [running.pid]),
  };
}

function npmRival(name: Rival["name"], packageName: string): Rival {
  return { name, version: () => versionOfPackage(packageName), install: "npm ci" };
}

/** Null where it is not installed. Not every package lets its package.json be imported. */
function versionOfPackage(packageName: string): string | null {
  const file = new URL(`../../../node_modules/${packageName}/package.json`, import.meta.url);
  if (!fs.existsSync(file)) return null;
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(fs.readFileSync(file, "utf8")));
  return `${packageName} ${version}`;
}
