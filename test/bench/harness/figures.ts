/** Figures as a tree of names: medians and ratios are taken leaf by leaf, so that all three have one shape. */

export interface Figures {
  readonly [name: string]: number | null | Figures;
}

/** Leaf by leaf; null where a run could not tell. */
export function medianOf(runs: readonly Figures[]): Figures {
  const first = runs[0] ?? {};
  return mapped(first, (name) => {
    const values = runs.map((run) => run[name] ?? null);
    if (values.every((value) => isFigures(value))) return medianOf(values);
    const numbers = values.filter((value) => typeof value === "number").sort((a, b) => a - b);
    return numbers.length < runs.length ? null : rounded(numbers[Math.floor(numbers.length / 2)] ?? 0);
  });
}

/** Ours divided by theirs, leaf by leaf; null where either could not tell. */
export function ratioOf(ours: Figures, theirs: Figures): Figures {
  return mapped(ours, (name) => {
    const [own = null, other = null] = [ours[name], theirs[name]];
    if (isFigures(own)) return ratioOf(own, isFigures(other) ? other : {});
    return typeof own === "number" && typeof other === "number" && other > 0 ? rounded(own / other) : null;
  });
}

/** `figures` with one more under a path of names. */
export function withFigures(figures: Figures, path: readonly string[], added: Figures): Figures {
  const [name, ...rest] = path;
  if (name === undefined) return { ...figures, ...added };
  const below = figures[name] ?? {};
  return { ...figures, [name]: withFigures(isFigures(below) ? below : {}, rest, added) };
}

/** Every number with its path, in order. */
export function leavesOf(
  figures: Figures,
  path: readonly string[] = [],
): readonly (readonly [string, number | null])[] {
  return Object.entries(figures).flatMap(([name, value]) =>
    isFigures(value) ? leavesOf(value, [...path, name]) : [[[...path, name].join(" "), value] as const],
  );
}

const mapped = (figures: Figures, value: (name: string) => Figures[string]): Figures =>
  Object.fromEntries(Object.keys(figures).map((name) => [name, value(name)]));

const isFigures = (value: Figures[string]): value is Figures => typeof value === "object" && value !== null;

/** Four digits: more is noise. */
const rounded = (value: number): number => Number(value.toPrecision(4));
