/** The certificates of tests, for localhost and 127.0.0.1, and a node that is asked by who trusts one of them. */
import { readFile } from "node:fs/promises";
import { request } from "node:https";
import { fileURLToPath } from "node:url";

/** With `gateway.crt`, `gateway.key` and another pair, `renewed`. */
export const CERTIFICATES = fileURLToPath(new URL("../data/certificates/", import.meta.url));

/** Where browsers may dial, as the node at that address says. */
export async function gatewaysOf(http: string): Promise<string> {
  const ca = await readFile(`${CERTIFICATES}gateway.crt`);
  return new Promise((resolve, reject) => {
    const asked = request(`${http}/v1/gateways`, { ca }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve(text));
    });
    asked.on("error", reject).end();
  });
}
