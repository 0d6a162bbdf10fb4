/** Documents by name, as a subscription names them: looked up for every change that goes by. */

export interface DocumentName {
  readonly collection: string;
  readonly document: string;
}

export class DocumentNames {
  readonly #byCollection = new Map<string, Set<string>>();

  constructor(names: Iterable<DocumentName>) {
    for (const { collection, document } of names) {
      const known = this.#byCollection.get(collection);
      if (known === undefined) this.#byCollection.set(collection, new Set([document]));
      else known.add(document);
    }
  }

  has({ collection, document }: DocumentName): boolean {
    return this.#byCollection.get(collection)?.has(document) === true;
  }

  /** Each once, in one order. */
  sorted(): readonly DocumentName[] {
    return [...this.#byCollection.keys()]
      .sort()
      .flatMap((collection) =>
        [...(this.#byCollection.get(collection) ?? [])].sort().map((document) => ({ collection, document })),
      );
  }
}
