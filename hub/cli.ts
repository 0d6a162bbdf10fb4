#!/usr/bin/env node
/** `openclaw-hub`: the commands of `openclaw`, whose nodes serve the fleet as well. */
import { run } from "@openclaw/edge-runtime/cli/run.ts";
import { hubRoutes } from "./routes.ts";

await run({
  name: "openclaw-hub",
  description: "The hub of a fleet of sites: nodes, keys and documents, and what every site is doing",
  node: { extend: hubRoutes },
});
