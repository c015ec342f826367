/** From a document to what decides: closures and ready-made decisions, nothing left to look up in the document. */
import { DecisionMaker, fallbackOf, type KindAccess, type RoleAccess } from './access.js';
import { PolicyDecider } from './decide.js';
import type { AccessKind, CompiledPolicy, Decision, DecisionLayer, Effect } from './decision.js';
import type { AccessList, PolicyDocument } from './document.js';
import { PolicyInvalidError } from './errors.js';
import { Matcher } from './matcher.js';
import { definitionsOf, layRoles, limitsOf, type RoleTable } from './roles.js';
import { didYouMean } from './text.js';

/**
 * @param env what conditions see as `env`
 * @throws {PolicyInvalidError} a condition needs a name that `env` does not have
 */
export function compilePolicy(document: PolicyDocument, env: Readonly<Record<string, string>>): CompiledPolicy {
  const values = new Map(Object.entries(env));
  const missing = document.env.filter(({ name }) => !values.has(name));
  if (missing.length > 0) {
    throw new PolicyInvalidError(
      missing.map(({ name, source, path }) => ({
        ...source,
        path,
        message: `policy.env has no "${name}"`,
        ...didYouMean(name, values.keys()),
      })),
    );
  }
  const maker = new DecisionMaker(document);
  const tenants = new Map(
    [...document.tenants].map(([tenant, overlays]) => [
      tenant,
      compileTable(document, layRoles(document.roles, overlays), maker),
    ]),
  );
  return new PolicyDecider({
    document,
    env: values,
    maker,
    roles: compileTable(document, layRoles(document.roles), maker),
    tenants,
    everyone: document.everyone === undefined ? undefined : compileEveryone(document, document.everyone, maker),
  });
}

function compileTable(
  document: PolicyDocument,
  table: RoleTable,
  maker: DecisionMaker,
): ReadonlyMap<string, RoleAccess> {
  const roles = new Map<string, RoleAccess>();
  for (const role of table.keys()) {
    const definitions = definitionsOf(table, role).map(({ definition }) => definition);
    const of = (kind: AccessKind, otherwise: Decision): KindAccess =>
      compileAccess(
        definitions.map(({ access }) => access[kind]),
        'role',
        otherwise,
        maker,
      );
    const unmatched = maker.make('deny', 'role', 'default', `no allow list of role "${role}" names it`);
    const fallback = fallbackOf(document, maker, 'no rule names it');
    roles.set(role, {
      access: { tool: of('tool', unmatched), resource: of('resource', fallback), prompt: of('prompt', fallback) },
      limits: limitsOf(table, role),
    });
  }
  return roles;
}

function compileEveryone(document: PolicyDocument, lists: AccessList, maker: DecisionMaker): KindAccess {
  return compileAccess([lists], 'tool_rule', fallbackOf(document, maker, 'neither list names it'), maker);
}

function compileAccess(
  lists: readonly AccessList[],
  layer: DecisionLayer,
  otherwise: Decision,
  maker: DecisionMaker,
): KindAccess {
  const matcher = (effect: Effect): Matcher =>
    new Matcher(
      lists.flatMap((list) =>
        list[effect].map(({ glob, rule, source }) => {
          const reason = effect === 'deny' ? `denied by ${rule}` : `allowed by ${rule}`;
          return { glob, decision: maker.make(effect, layer, rule, reason, source) };
        }),
      ),
    );
  return { deny: matcher('deny'), allow: matcher('allow'), otherwise };
}
