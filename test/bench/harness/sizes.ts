/** What all benchmarks have in common. */
export const NODES = 3;
export const VALUE_BYTES = 256;

/** Numbers stand for nothing here, so let a value be as hard to compress as one. */
export const VALUE: Uint8Array = crypto.getRandomValues(new Uint8Array(VALUE_BYTES));
