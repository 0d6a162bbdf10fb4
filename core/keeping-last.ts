/**
 * The same pure function, which keeps its last answer: for what is asked a thousand times in a row, such as the key of an
 * origin's row in an import. What it returns is shared, and must not be altered.
 */
export function keepingLast<Arguments extends readonly (string | null)[], Result>(
  compute: (...asked: Arguments) => Result,
): (...asked: Arguments) => Result {
  let last: { readonly asked: Arguments; readonly result: Result } | null = null;
  return (...asked) => {
    if (last === null || asked.some((one, i) => one !== last?.asked[i])) last = { asked, result: compute(...asked) };
    return last.result;
  };
}
