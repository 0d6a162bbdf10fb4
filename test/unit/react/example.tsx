import { DurabilityBadge, useClient, useDocument, useKv, useRange, useSyncStatus } from "@openclaw/browser/react";
import { z } from "zod"; // or valibot, arktype: whatever implements https://standardschema.dev

const till = z.object({ amount: z.number().int() });
const text = new TextDecoder();

export function Shop() {
  const client = useClient(); // null while it is being opened, and on a server
  const status = useSyncStatus();
  const log = useDocument("shift-log", "main", { initial: { text: "" } });
  const tills = useRange("tills/", { schema: till });
  const open = useKv("open");
  if (client === null || log.kind !== "ready") return <p>{log.kind === "failed" ? log.error.message : "Opening"}</p>;
  return (
    <main>
      <p>{status?.unsynced ?? 0} edits wait for the site</p>
      <textarea
        aria-label="Shift log"
        value={log.doc.text}
        onChange={({ target }) => {
          log.handle.change((doc) => {
            doc.text = target.value;
          });
        }}
      />
      <DurabilityBadge of={log.handle} />
      {tills.kind === "ready" && (
        <ul>
          {tills.rows.map(({ key, value }) => (
            <li key={text.decode(key)}>{value.ok ? value.value.amount : value.error.message}</li>
          ))}
        </ul>
      )}
      <button type="button" onClick={() => client.kv.put("open", "yes")}>
        {open.kind === "ready" && open.row !== null ? text.decode(open.row.value) : "Open the shop"}
      </button>
    </main>
  );
}
