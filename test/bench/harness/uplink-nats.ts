/**
 * The other side: a leaf node with a JetStream stream, and a hub whose stream has that one as its source, through the cable.
 * Defaults otherwise: files, one replica, acknowledged before they are synced.
 */
import fs from "node:fs";
import path from "node:path";
import { freePorts } from "@openclaw/demo/ports.ts";
import type { Rival } from "./cluster.ts";
import { NatsClient } from "./nats-client.ts";
import { Relay } from "./relay.ts";
import { until } from "./until.ts";
import type { UplinkPair } from "./uplink-pair.ts";
import { versionOf } from "./version-of.ts";
import type { Workbench } from "./workbench.ts";

const COMMAND = "nats-server";
const SUBJECT = "events.";

export const NATS: Rival = {
  name: "nats",
  version: () => versionOf(COMMAND),
  install: "on Debian: apt-get install nats-server",
};

export async function startNatsPair(workbench: Workbench): Promise<UplinkPair> {
  const folder = workbench.folder();
  const [hubPort = 0, leafsPort = 0, sitePort = 0] = await freePorts([null, null, null]);
  const cable = await Relay.open(leafsPort);
  start(workbench, folder, "hub", [
    `listen: "127.0.0.1:${hubPort}"`,
    `jetstream { domain: hub, store_dir: "${path.join(folder, "hub")}" }`,
    // It tells a leaf where it listens, and that one would go round the cable.
    `leafnodes { listen: "127.0.0.1:${leafsPort}", advertise: "127.0.0.1:${cable.port}" }`,
  ]);
  start(workbench, folder, "site", [
    `listen: "127.0.0.1:${sitePort}"`,
    `jetstream { domain: site, store_dir: "${path.join(folder, "site")}" }`,
    `leafnodes { remotes: [ { url: "nats-leaf://127.0.0.1:${cable.port}" } ] }`,
  ]);
  const site = await connected(sitePort);
  const hub = await connected(hubPort);
  await site.api("$JS.API.STREAM.CREATE.EVENTS", stream("EVENTS", { subjects: [`${SUBJECT}>`] }));
  // Once the leaf is there.
  await until(async () => {
    await hub.api("$JS.site.API.STREAM.INFO.EVENTS", {});
    return true;
  });
  const sources = [{ name: "EVENTS", external: { api: "$JS.site.API" } }];
  await hub.api("$JS.API.STREAM.CREATE.ALL", stream("ALL", { sources }));
  return {
    name: "nats",
    cable,
    writer: {
      write: async (event, value) => {
        const answer = String(await site.ask(`${SUBJECT}${event}`, value));
        if (answer.includes('"error"')) throw new Error(answer);
      },
      close: async () => site.close(),
    },
    atHub: async () => {
      const { state } = await hub.api("$JS.API.STREAM.INFO.ALL", {});
      if (typeof state !== "object" || state === null || !("messages" in state))
        throw new Error("a stream has a state");
      return Number(state.messages);
    },
    watch: async (heard) => {
      const deliver = `bench.${crypto.randomUUID()}`;
      hub.subscribe(deliver, (_, subject) => heard(Number(subject.slice(SUBJECT.length))));
      await hub.api("$JS.API.CONSUMER.CREATE.ALL", {
        stream_name: "ALL",
        config: { deliver_subject: deliver, deliver_policy: "new", ack_policy: "none" },
      });
    },
    close: async () => hub.close(),
  };
}

const stream = (name: string, rest: object) => ({
  name,
  storage: "file",
  retention: "limits",
  num_replicas: 1,
  ...rest,
});

function start(workbench: Workbench, folder: string, name: string, lines: readonly string[]): void {
  const config = path.join(folder, `${name}.conf`);
  fs.writeFileSync(config, [`server_name: ${name}`, ...lines, ""].join("\n"));
  workbench.process(COMMAND, ["-c", config], path.join(folder, `${name}.log`)).start();
}

async function connected(port: number): Promise<NatsClient> {
  let client: NatsClient | null = null;
  await until(async () => {
    client = await NatsClient.connect(port);
    return true;
  });
  if (client === null) throw new Error("connected");
  return client;
}
