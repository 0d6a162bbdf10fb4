/**
 * The keys of the state machine beside a plain model of etcd's. 4,000 requests, or as many as OPENCLAW_MODEL_REQUESTS
 * says, from the seed in OPENCLAW_MODEL_SEED: then the counts are printed.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { BesideTheModel } from "../../model/against.ts";
import { Corners } from "../../model/corners.ts";
import { requests } from "../../model/requests.ts";

/** Requests on one state, before another begins empty. */
const RUN = 50;
const wanted = Number(process.env.OPENCLAW_MODEL_REQUESTS ?? 4_000);
const seed = Number(process.env.OPENCLAW_MODEL_SEED ?? 20_261_124);

test("any requests have the outcome, the revision, the events and the state that etcd's would have", {
  timeout: 0,
}, () => {
  const corners = new Corners();
  fc.assert(
    fc.property(fc.array(requests, { minLength: RUN, maxLength: RUN }), (run) => {
      const both = new BesideTheModel();
      corners.restart();
      for (const op of run.flat()) {
        const [before, leases] = [new Map(both.model.rows), [...both.model.leases.keys()]];
        const result = both.run(op);
        const ended = leases.filter((lease) => !both.model.leases.has(lease));
        corners.note(op, before, result, ended);
      }
    }),
    { numRuns: Math.ceil(wanted / RUN), seed },
  );
  if (process.env.OPENCLAW_MODEL_REQUESTS !== undefined)
    console.info(
      [`${corners.requests} requests, seed ${seed}`, ...[...corners.counts].map(([name, n]) => `${n} ${name}`)].join(
        "\n",
      ),
    );
  expect(corners.requests).toBeGreaterThanOrEqual(wanted);
  expect([...corners.counts].filter(([, count]) => count === 0)).toEqual([]);
});
