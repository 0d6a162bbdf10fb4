/** What one life of a cluster has and another lacks, as lines. */
import { z } from "zod";

export const OnlyHere = z.object({
  revisions: z.number(),
  listed: z.array(
    z.object({
      revision: z.number(),
      time: z.number(),
      principal: z.string(),
      puts: z.array(z.string()),
      deletes: z.array(z.string()),
      documents: z.array(z.string()),
    }),
  ),
  keysPutBack: z.array(z.object({ key: z.string(), becomes: z.string() })).nullable(),
});

export function lines({ revisions, listed, keysPutBack }: z.infer<typeof OnlyHere>, what: string): string[] {
  if (revisions === 0) return [`${what}: nothing`];
  return [
    `${what}: ${revisions} revisions`,
    ...listed.map(({ revision, time, principal, puts, deletes, documents }) => {
      const deeds = [
        ...puts.map((key) => `put ${key}`),
        ...deletes.map((key) => `delete ${key}`),
        ...documents.map((name) => `change ${name}`),
      ];
      return `  ${revision}  ${new Date(time).toISOString()}  ${principal}  ${deeds.join(", ")}`;
    }),
    ...(listed.length < revisions ? [`  and ${revisions - listed.length} more`] : []),
    ...(keysPutBack?.map(({ key, becomes }) => `  ${key} becomes ${becomes}`) ?? [
      "  every key is replaced by a snapshot of the life that comes",
    ]),
  ];
}
