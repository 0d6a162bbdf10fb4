/** For `--before-verify`: alters one character of one value in one gateway's database, as a bad disk or a bad hand would. */
import path from "node:path";
import type { Fleet } from "@openclaw/demo/fleet.ts";
import Database from "better-sqlite3";

export default async function alterOneValue(fleet: Fleet): Promise<void> {
  const [site] = fleet.sites.slice(-1);
  const [node] = site?.nodes.slice(-1) ?? [];
  if (site === undefined || node === undefined) throw new Error("the fleet has no site");
  await node.stop();
  const database = new Database(path.join(fleet.folder, site.name, node.name, "data", "state.db"));
  try {
    const rows = database.prepare<[], { k: Buffer; v: Buffer }>("SELECT k, v FROM state").all();
    const quake = rows.find(({ v }) => v.includes('"type":"Feature"'));
    if (quake === undefined) throw new Error("no earthquake is stored");
    const at = quake.v.indexOf("Feature");
    quake.v.write("f", at);
    database.prepare("UPDATE state SET v = ? WHERE k = ?").run(quake.v, quake.k);
  } finally {
    database.close();
  }
  node.start();
  await node.ready();
}
