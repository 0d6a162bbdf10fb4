import { OpenClawError } from "../errors.ts";
import type { Clock } from "../ports.ts";

/** What `answer` brings, if it comes in time; it goes on without us otherwise. @throws OpenClawError UNAVAILABLE after `ms` */
export async function within<T>(clock: Clock, ms: number, answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const cancel = clock.after(ms, () => late.reject(new OpenClawError("UNAVAILABLE", "no answer in time")));
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    cancel();
  }
}
