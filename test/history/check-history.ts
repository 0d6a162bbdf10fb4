/** What `npm run check-history` runs. */
import { checkHistoryCommand, EXIT_UNKNOWN } from "./command.ts";

try {
  process.exitCode = checkHistoryCommand(process.argv.slice(2), {
    print: (line) => void process.stdout.write(`${line}\n`),
    warn: (line) => void process.stderr.write(`${line}\n`),
    now: () => performance.now(),
  });
} catch (error) {
  // A bug of the checker. Node.js would exit with 1, which here means that a history is not linearizable.
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exitCode = EXIT_UNKNOWN;
}
