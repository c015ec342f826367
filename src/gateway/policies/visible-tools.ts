/** Who sees other tools than before once rules have changed. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Route } from '../route.js';
import { type CallContext, effectiveRole, isListed } from './ruling.js';
import type { RouteRules } from './rules.js';

/** After so many callers others get their turn. */
const CALLERS_PER_TURN = 100;

/** Tells the clients of a route whose lists of tools are not what they were under the rules `before`. */
export async function tellChangedTools(route: Route, before: RouteRules): Promise<void> {
  const { names } = route.lists.catalog;
  // Before the first list there is nothing that a client could have kept.
  if (names === undefined) return;
  const comparison = new Comparison(names, before, route.rules);
  let looked = 0;
  for (const client of [...route.sessions.sessions, ...route.stateless.toolListeners]) {
    if (comparison.differsFor(client.context)) client.tellToolsChanged();
    looked += 1;
    if (looked % CALLERS_PER_TURN === 0) await nextTurn();
  }
}

class Comparison {
  readonly #names: ReadonlySet<string>;
  readonly #before: RouteRules;
  readonly #after: RouteRules;
  /** Where rules look at nothing else, callers of one role and tenant see the same. */
  readonly #byRole: Map<string, boolean> | undefined;

  constructor(names: ReadonlySet<string>, before: RouteRules, after: RouteRules) {
    this.#names = names;
    this.#before = before;
    this.#after = after;
    this.#byRole = dependsOnRoleAlone(before) && dependsOnRoleAlone(after) ? new Map() : undefined;
  }

  differsFor(context: CallContext): boolean {
    if (this.#byRole === undefined) return this.#compare(context);
    const { caller } = context;
    const roles = [effectiveRole(this.#before, caller), effectiveRole(this.#after, caller)];
    const key = JSON.stringify([...roles, caller.principal.tenant]);
    const known = this.#byRole.get(key) ?? this.#compare(context);
    this.#byRole.set(key, known);
    return known;
  }

  #compare(context: CallContext): boolean {
    for (const name of this.#names) {
      if (isVisible(this.#before, name, context) !== isVisible(this.#after, name, context)) return true;
    }
    return false;
  }
}

function isVisible(rules: RouteRules, name: string, context: CallContext): boolean {
  return rules.expose.tools && isListed(rules, 'tool', name, context);
}

function dependsOnRoleAlone({ policy }: RouteRules): boolean {
  if (policy === undefined) return true;
  const { caller, request, time } = policy.listingDependsOn('tool');
  return !caller && !request && !time;
}
