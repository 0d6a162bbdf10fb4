/** Our side: a site of three nodes. Its gateway is the leader, to whom the other benchmarks' load goes, too. */
import type { DocsSystem } from "./docs-system.ts";
import { Relay } from "./relay.ts";
import { type SiteNode, startSite } from "./site.ts";
import type { Workbench } from "./workbench.ts";

export async function startOurDocs(workbench: Workbench): Promise<DocsSystem> {
  const site = await startSite(workbench);
  const leader = await site.leader();
  const [one, other] = site.nodes.filter((node) => node !== leader);
  if (one === undefined || other === undefined) throw new Error("a site of three has two followers");
  const gateway = webSocketOf(leader);
  const [, , , , port = ""] = gateway.split("/");
  const cable = await Relay.open(Number(port));
  return {
    name: "ours",
    folder: workbench.folder(),
    gateway,
    others: [webSocketOf(one), webSocketOf(other)],
    cabled: gateway.replace(`/tcp/${port}/`, `/tcp/${cable.port}/`),
    cable,
    cpuMs: () => site.cpuMs(),
  };
}

function webSocketOf({ addresses }: SiteNode): string {
  const address = addresses.find((one) => one.includes("/ws/"));
  if (address === undefined) throw new Error("a gateway listens for WebSockets");
  return address;
}
