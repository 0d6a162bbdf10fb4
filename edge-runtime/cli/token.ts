/** `openclaw token`: a bearer token for people and programs, signed where the cluster's folder is. */
import { join } from "node:path";
import type { Command } from "commander";
import { SignJWT } from "jose";
import { TOKEN_KEY_FILE } from "../init.ts";
import { loadTokenKey } from "../network/identity.ts";
import { collected, examples, print, wholeNumber } from "./reach.ts";

interface TokenOptions {
  readonly dir: string;
  readonly name: string;
  readonly read?: string[];
  readonly write?: string[];
  readonly hours: number;
}

export function addToken(program: Command): void {
  program
    .command("token")
    .description("print a bearer token for OPENCLAW_TOKEN; without --read and --write, an operator's for everything")
    .requiredOption("--dir <folder>", "the cluster's folder, with its operator.key")
    .option("--name <name>", "whom the token stands for in the ledger", "operator")
    .option("--read <prefix>", "keys that it may read; repeat it for several", collected)
    .option("--write <prefix>", "keys that it may write; repeat it for several", collected)
    .option("--hours <count>", "how long it is valid", wholeNumber, 12)
    .addHelpText(
      "after",
      examples(
        'export OPENCLAW_TOKEN="$(openclaw token --dir ./shop)"',
        "openclaw token --dir ./shop --name till-1 --read till/ --write till/1 --hours 720",
      ),
    )
    .action(async ({ dir, name, read, write, hours }: TokenOptions) => {
      const admin = read === undefined && write === undefined;
      const claims = admin ? { read: [""], write: [""], admin } : { read: read ?? [], write: write ?? [] };
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: "EdDSA" })
        .setSubject(name)
        .setExpirationTime(`${hours}h`)
        .sign(await loadTokenKey(join(dir, TOKEN_KEY_FILE)));
      print(token);
    });
}
