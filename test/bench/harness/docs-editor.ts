/** What a client's process does with documents of one text each: the same for all systems. */

export interface TextDocument {
  /** What others open it by. */
  readonly ref: string;
  /** An edit of its own. Resolves when a majority of the site has it on disk; null where nobody says so. */
  insert(at: number, text: string): Promise<unknown> | null;
}

/** Called with a text's length when it is opened, and whenever it changed here. */
export type Shown = (length: number) => void;

export interface Editor {
  create(text: string, shown: Shown): Promise<TextDocument>;
  /** What it holds may come later. */
  open(ref: string, shown: Shown): Promise<TextDocument>;
  offline(): void;
  /** Connects at once. */
  online(): void;
}
