/**
 * Roles and tenants: which definitions make up one role. A role is its own definition, what a tenant lays over it,
 * and everything it inherits, tenant overlays included. Lists only ever add up, so a deny can not be inherited away.
 */
import type { RoleDefinition } from './document.js';

export interface NamedRole {
  readonly name: string;
  readonly definition: RoleDefinition;
}

export type RoleTable = ReadonlyMap<string, readonly RoleDefinition[]>;

/** The roles as one tenant sees them; without overlays, the roles as written. */
export function layRoles(
  roles: ReadonlyMap<string, RoleDefinition>,
  overlays: ReadonlyMap<string, RoleDefinition> = new Map(),
): RoleTable {
  const table = new Map<string, RoleDefinition[]>();
  for (const layer of [roles, overlays]) {
    for (const [name, definition] of layer) table.set(name, [...(table.get(name) ?? []), definition]);
  }
  return table;
}

/** The definitions of one role, nearest first, each role once. A cycle ends where it closes. */
export function definitionsOf(table: RoleTable, role: string): readonly NamedRole[] {
  const seen = new Set<string>();
  const found: NamedRole[] = [];
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const definitions = table.get(name) ?? [];
    for (const definition of definitions) found.push({ name, definition });
    for (const definition of definitions) definition.inherits.forEach(visit);
  };
  visit(role);
  return found;
}

/** The roles of a cycle through `role`, in order and with `role` at both ends, or undefined. */
export function findCycle(table: RoleTable, role: string): readonly string[] | undefined {
  const done = new Set<string>();
  const visit = (name: string, trail: readonly string[]): readonly string[] | undefined => {
    if (name === role && trail.length > 0) return [...trail, name];
    if (done.has(name)) return undefined;
    done.add(name);
    for (const parent of (table.get(name) ?? []).flatMap((definition) => definition.inherits)) {
      const cycle = visit(parent, [...trail, name]);
      if (cycle !== undefined) return cycle;
    }
    return undefined;
  };
  return visit(role, []);
}

/** A role's own limit, a tenant's before the general one; else those of what it inherits, per branch the nearest. */
export function limitsOf(table: RoleTable, role: string): readonly { role: string; limit: string }[] {
  const seen = new Set<string>();
  const visit = (name: string): { role: string; limit: string }[] => {
    if (seen.has(name)) return [];
    seen.add(name);
    const definitions = table.get(name) ?? [];
    const own = definitions.findLast((definition) => definition.limit !== undefined)?.limit;
    if (own !== undefined) return [{ role: name, limit: own }];
    return definitions.flatMap((definition) => definition.inherits.flatMap(visit));
  };
  return visit(role);
}
