import { fork } from "node:child_process";
import { once } from "node:events";
import { freePorts } from "@openclaw/demo/ports.ts";
import { expect, test } from "vitest";

test("a port that was given is not drawn again, though nobody listens there yet", async () => {
  const drawn: number[] = [];
  // Of 22,000 ports, by chance alone some of 500 would be the same.
  for (let call = 0; call < 50; call++) drawn.push(...(await freePorts(Array.from({ length: 10 }, () => null))));
  expect(new Set(drawn).size).toBe(drawn.length);
  // Its owner may ask for it once more, as a fleet that is started again does.
  expect(await freePorts(drawn.slice(0, 3))).toEqual(drawn.slice(0, 3));
});

test("a port that another process was given is not given, until that process is gone", async () => {
  // It lives until it is killed: a port keeps no process alive.
  const code = `setInterval(() => undefined, 60_000);
    import("@openclaw/demo/ports.ts").then(async ({ freePorts }) => process.send(await freePorts([null])));`;
  const child = fork("-", [], { execArgv: ["--input-type=module"], stdio: ["pipe", "inherit", "inherit", "ipc"] });
  child.stdin?.end(code);
  try {
    const [[port = 0]] = (await once(child, "message")) as [number[]];
    expect(port).toBeGreaterThan(0);
    expect(await freePorts([port])).not.toEqual([port]);
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
    expect(await freePorts([port])).toEqual([port]);
  } finally {
    child.kill("SIGKILL");
  }
});
