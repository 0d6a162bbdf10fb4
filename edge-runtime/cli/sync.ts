/** `openclaw sync …`: a cluster's way to its parent. */
import type { Command } from "commander";
import { examples, print } from "./reach.ts";
import { type Subscribing, subscribedOf, subscribing } from "./subscribing.ts";
import { addAdoptParent } from "./sync-adopt.ts";
import { addSyncAllow, addSyncStatus } from "./sync-status.ts";

export function addSync(program: Command, name: string): void {
  const sync = program
    .command("sync")
    .description("this cluster's way to its parent")
    .addHelpText("after", examples("openclaw sync status", `${name} sync join ocs_lgG… --dir ./shop`));
  addJoinParent(sync, name);
  addSyncStatus(sync);
  addSyncAllow(sync);
  addAdoptParent(sync);
}

function addJoinParent(sync: Command, name: string): void {
  subscribing(
    sync
      .command("join <token>")
      .description("put a cluster below a parent, with a token that `site enrol` printed there")
      .requiredOption("--dir <folder>", "the cluster's folder, or on a box of its own one node's"),
  )
    .addHelpText(
      "after",
      `\nRun it with the same token on every box of the cluster: the token is used once, by the cluster. Nodes that run take\nit when they are restarted, one after another. A new cluster takes the token from the start: init --parent TOKEN.\n${examples(
        `${name} sync join ocs_lgG… --dir ./shop`,
        `${name} sync join ocs_lgG… --dir ./shop-2 --subscribe-prefix config/`,
      )}`,
    )
    .action(async (text: string, options: Subscribing & { dir: string }) => {
      const { parseSiteToken } = await import("../site-token.ts");
      const { joinParent } = await import("../join-parent.ts");
      const token = await parseSiteToken(text);
      const joined = await joinParent({ directory: options.dir, token, subscribe: subscribedOf(options) });
      for (const config of joined.configs) print(config);
      if (joined.before !== null && joined.before !== joined.parent) print(`its parent was ${joined.before} before`);
      print(`${joined.cluster} comes below ${joined.parent} when its nodes are started, or restarted`);
    });
}
