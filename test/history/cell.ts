/**
 * The model of one key: a cell that holds a value or nothing. A register, a compare-and-set register and a string that is
 * appended to are all this one cell, at first empty.
 */
import { cellOutlook } from "./cell-outlook.ts";
import type { CellStep } from "./cell-step.ts";
import type { Value } from "./history.ts";
import { type Model, REFUSED } from "./model.ts";

export const cell: Model<Value, CellStep> = {
  initial: null,

  step(state, step) {
    switch (step.kind) {
      case "write":
        return step.value;
      case "append":
        return step.value === "" ? state : (state ?? "") + step.value;
      case "swap":
        return state === step.from ? step.to : REFUSED;
      case "read":
        return state === step.value ? state : REFUSED;
      case "differs":
        return state !== step.from ? state : REFUSED;
    }
  },

  key: (state) => state,

  observes: (step) => step.kind === "read" || step.kind === "differs",

  alike: (step) => JSON.stringify(step),

  outlook: cellOutlook,
};
