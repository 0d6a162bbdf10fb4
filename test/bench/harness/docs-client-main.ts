/** The program of a client's process: an editor of one system, and what a benchmark asks of it. */
import { setImmediate as turn } from "node:timers/promises";
import { unreachable } from "@openclaw/core/errors.ts";
import { type Answer, type Ask, askedSchema, INSERTED, TEXT } from "./docs-ask.ts";
import type { Editor, TextDocument } from "./docs-editor.ts";
import { Growth, now } from "./docs-growth.ts";

/** Prime, so that edits fall all over a text. */
const STRIDE = 7_919;

class ClientProgram {
  readonly #editor: Editor;
  readonly #documents: TextDocument[] = [];
  readonly #growths: Growth[] = [];
  #edits = 0;
  #rungs: Promise<number>[] = [];

  constructor(editor: Editor) {
    this.#editor = editor;
  }

  async answer(ask: Ask): Promise<unknown> {
    switch (ask.kind) {
      case "create":
        for (let i = 0; i < ask.count; i++) await this.#add((shown) => this.#editor.create(TEXT, shown));
        return this.#documents.map(({ ref }) => ref);
      case "open":
        for (const ref of ask.refs) await this.#add((shown) => this.#editor.open(ref, shown));
        return null;
      case "edit":
        return this.#edit(ask.rounds);
      case "until":
        return this.#until(TEXT.length + ask.edits * INSERTED.length);
      case "offline":
        this.#editor.offline();
        return null;
      case "online": {
        const at = now();
        this.#editor.online();
        return at;
      }
      case "rungs":
        return Promise.all(this.#rungs.splice(0));
      default:
        return unreachable(ask);
    }
  }

  async #add(make: (shown: (length: number) => void) => Promise<TextDocument>): Promise<void> {
    const growth = new Growth();
    this.#growths.push(growth);
    this.#documents.push(await make((length) => growth.shown(length, now())));
  }

  async #edit(rounds: number): Promise<number> {
    const started = now();
    for (let round = 0; round < rounds; round++) {
      // What came in meanwhile, and what is to go out, has its turn as between a person's keys.
      if (round > 0) await turn();
      for (const document of this.#documents) {
        const at = now();
        const site = document.insert((this.#edits++ * STRIDE) % TEXT.length, INSERTED);
        if (site !== null) this.#rungs.push(site.then(() => now() - at));
      }
    }
    return started;
  }

  async #until(length: number): Promise<number> {
    return Math.max(...(await Promise.all(this.#growths.map((growth) => growth.reached(length)))));
  }
}

async function openEditor(system: string, gateway: string): Promise<Editor> {
  switch (system) {
    case "ours":
      return (await import("./docs-editor-ours.ts")).openOurs(gateway);
    case "automerge-repo":
      return (await import("./docs-editor-automerge.ts")).openAutomergeRepo(gateway);
    case "yjs":
      return (await import("./docs-editor-yjs.ts")).openYjs(gateway);
    default:
      throw new Error(`${system} has no client here`);
  }
}

const [system = "", gateway = ""] = process.argv.slice(2);
const opening = openEditor(system, gateway).then((editor) => new ClientProgram(editor));

process.on("message", (message) => {
  const { id, ask } = askedSchema.parse(message);
  const told = (answer: Answer): void => void process.send?.(answer);
  opening
    .then((program) => program.answer(ask))
    .then(
      (value) => told({ id, value }),
      (error: unknown) => told({ id, value: null, error: String(error) }),
    );
});
// Nobody is left to ask.
process.on("disconnect", () => process.exit());
