import type { DecisionNote } from './decision-note.js';
import type { GateContext } from './ruling.js';
import type { RouteRules } from './rules.js';

/** With what a request was let through: the rules of that moment see its answer too, whatever was loaded since. */
export interface Grant {
  readonly rules: RouteRules;
  readonly context: GateContext;
  readonly note: DecisionNote | undefined;
}
