/**
 * Freezes a snapshot, with all that is in it: who writes to one hears of it (Automerge's own `freeze` leaves out what a
 * change has made anew). What earlier snapshots shared with it is not walked again.
 */
const walked = new WeakSet<object>();

export function frozen<T>(value: T): T {
  // The bytes of a typed array cannot be frozen.
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || walked.has(value)) return value;
  walked.add(Object.freeze(value));
  for (const inner of Object.values(value)) frozen(inner);
  return value;
}
