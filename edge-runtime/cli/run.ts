/** Runs a program of ours on this process's arguments and sets its exit code. */
import { type Command, CommanderError } from "commander";
import { EXIT, tell } from "./failure.ts";
import { createProgram, type ProgramOptions } from "./program.ts";

export async function run(options: ProgramOptions = {}): Promise<void> {
  const program = createProgram(options);
  throwing(program);
  // A reader that closes its end (`| head`) is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) =>
    process.exit(error.code === "EPIPE" ? EXIT.done : EXIT.refused),
  );
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
    else process.exitCode = tell(error);
  }
}

/** So that wrong usage has an exit code of its own. Subcommands do not inherit it once made. */
function throwing(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwing(child);
}
