/** What a benchmark asks of a client's process, and is answered, by messages. */
import { z } from "zod";

const askSchema = z.discriminatedUnion("kind", [
  /** Make so many documents; answered with what others open them by. */
  z.object({ kind: z.literal("create"), count: z.number() }),
  z.object({ kind: z.literal("open"), refs: z.array(z.string()) }),
  /** Edit every document that is open so many times, in turn; answered with the moment before the first edit. */
  z.object({ kind: z.literal("edit"), rounds: z.number() }),
  /** Answered with the moment at which the last of the open documents first showed so many edits. */
  z.object({ kind: z.literal("until"), edits: z.number() }),
  z.object({ kind: z.literal("offline") }),
  /** Answered with the moment before. */
  z.object({ kind: z.literal("online") }),
  /** Answered with how long each edit since the last such question took to reach the site, ms. */
  z.object({ kind: z.literal("rungs") }),
]);
export type Ask = z.infer<typeof askSchema>;

export const askedSchema = z.object({ id: z.number(), ask: askSchema });
export type Asked = z.infer<typeof askedSchema>;

export const answerSchema = z.object({ id: z.number(), value: z.unknown(), error: z.string().optional() });
export type Answer = z.infer<typeof answerSchema>;

/** What every document holds at first: about 10 KB. */
export const TEXT = "The pump at berth four was checked at noon. ".repeat(240);
/** What an edit inserts, somewhere in what was there at first. */
export const INSERTED = "note";
