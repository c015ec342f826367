/**
 * The engine against the naive model: the same answers for random policies and requests.
 * FUZZ_RUNS sets the number of (policy, request) pairs, FUZZ_SEED repeats a run.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compilePolicy } from '../../src/policy/compile.js';
import type { AccessKind, AccessRequest, CompiledPolicy } from '../../src/policy/decision.js';
import { parsePolicy } from '../../src/policy/parse.js';
import { modelDecide } from './policy-model.js';
import type { ModelPolicy, ModelRole, ModelRule, ModelTerm } from './policy-model-types.js';

const REQUESTS_PER_POLICY = 100;
const pairs = Number(process.env.FUZZ_RUNS ?? 100_000);
const seed = Number(process.env.FUZZ_SEED ?? 20_261_122);

/** Arguments that every schema and every condition below accepts, so that "listed" can be compared with "callable". */
const GOLDEN = { to: 'ok', n: 5, flag: true };

const asNumber = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN);
const fact = (cel: string, holds: (request: AccessRequest) => boolean): ModelTerm => ({ cel, usesArgs: false, holds });
const argument = (cel: string, holds: (args: Record<string, unknown>) => boolean): ModelTerm => ({
  cel,
  usesArgs: true,
  holds: (_request, args) => holds(args),
});

const TERMS: readonly ModelTerm[] = [
  fact('principal.tenant == "acme"', ({ principal }) => principal.tenant === 'acme'),
  fact('principal.tenant != "beta"', ({ principal }) => principal.tenant !== 'beta'),
  fact('principal.role != "guest"', ({ role }) => role !== 'guest'),
  fact('principal.id == "u1"', ({ principal }) => principal.id === 'u1'),
  fact('principal.claims.level >= 3', ({ principal }) => asNumber(principal.claims.level) >= 3),
  fact('route == "sumit"', ({ route }) => route === 'sumit'),
  fact('request.ip != "10.0.0.1"', ({ request }) => request.ip !== '10.0.0.1'),
  fact('!("x-test" in request.headers)', ({ request }) => request.headers?.['X-Test'] === undefined),
  fact('now < timestamp("2030-01-01T00:00:00Z")', ({ nowMs }) => nowMs < Date.UTC(2030, 0, 1)),
  fact('(tool.startsWith("post_") || env.REGION == "eu")', () => true),
  fact('env.REGION == "us"', () => false),
  argument('args.n >= 3', (args) => asNumber(args.n) >= 3),
  argument('args.to.startsWith("o")', (args) => typeof args.to === 'string' && args.to.startsWith('o')),
  argument('args.to.re2("[a-z]+")', (args) => typeof args.to === 'string' && /^[a-z]+$/u.test(args.to)),
  argument('has(args.flag)', (args) => Object.hasOwn(args, 'flag')),
  argument('args.flag', (args) => args.flag === true),
  argument('(args.to == "ok" || args.n == 1)', (args) => args.to === 'ok' || args.n === 1),
];

const SCHEMAS: readonly NonNullable<ModelRule['arguments']>[] = [
  { properties: { to: { type: 'string', pattern: '^[a-z]+$' } }, required: ['to'] },
  { properties: { to: { type: 'string', enum: ['ok', 'fine'] }, n: { type: 'number', minimum: 2 } } },
  { properties: { n: { type: 'number' } }, required: ['n', 'flag'] },
  { properties: { flag: { type: 'boolean' } } },
];

const NAME_PARTS = ['post_', 'get_', 'put', '_', 'sms', 'bulks', '1', '.', 'A', 'é', ' ', '\u200b', 'constructor'];
const URI_PARTS = ['docs:', '//', 'a', '..', '/', '.', 'b', ' ', 'FILE:'];
const ROLES = ['guest', 'user', 'admin', 'constructor'];

const joined = (parts: readonly string[], maxLength: number) =>
  fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength }).map((chosen) => chosen.join(''));
const pattern = (parts: readonly string[]) => joined([...parts, '*', '*'], 4).map((text) => text.replace(/\*+/g, '*'));
const access = (parts: readonly string[]) =>
  fc.record(
    { allow: fc.array(pattern(parts), { maxLength: 3 }), deny: fc.array(pattern(parts), { maxLength: 2 }) },
    { requiredKeys: [] },
  );
const role: fc.Arbitrary<ModelRole> = fc
  .tuple(
    access(NAME_PARTS),
    fc.record(
      {
        inherits: fc.subarray(ROLES, { maxLength: 2 }),
        resources: access(URI_PARTS),
        prompts: access(NAME_PARTS),
      },
      { requiredKeys: [] },
    ),
  )
  .map(([lists, more]) => ({ ...lists, ...more }));
const roleTable = fc.dictionary(fc.constantFrom(...ROLES), role, { maxKeys: 4 });

/** Inheriting only from roles earlier in the list, so that there are no circles; from known ones, so that it loads. */
function withoutCircles(table: Record<string, ModelRole>, known: readonly string[]): Record<string, ModelRole> {
  return Object.fromEntries(
    Object.entries(table).map(([name, { inherits = [], ...rest }]) => {
      const earlier = new Set(ROLES.slice(0, ROLES.indexOf(name)));
      return [name, { ...rest, inherits: inherits.filter((parent) => earlier.has(parent) && known.includes(parent)) }];
    }),
  );
}

interface Case {
  readonly policy: ModelPolicy;
  readonly terms: ReadonlyMap<string, readonly ModelTerm[]>;
  readonly compiled: CompiledPolicy;
}

const toolRule = fc
  .record({
    match: pattern(NAME_PARTS),
    denies: fc.integer({ min: 0, max: 9 }).map((dice) => dice === 0),
    schema: fc.option(fc.constantFrom(...SCHEMAS), { nil: undefined }),
    terms: fc.array(fc.constantFrom(...TERMS), { maxLength: 3 }),
  })
  .map(({ match, denies, schema, terms }): { rule: ModelRule; terms: readonly ModelTerm[] } => {
    if (denies) return { rule: { match, effect: 'deny' }, terms: [] };
    const when = terms.map(({ cel }) => cel).join(' && ');
    return { rule: { match, ...(schema && { arguments: schema }), ...(when !== '' && { when }) }, terms };
  });

const version2: fc.Arbitrary<Case> = fc
  .record({
    default: fc.constantFrom('allow' as const, 'deny' as const),
    roles: roleTable,
    tools: fc.array(toolRule, { maxLength: 4 }),
    tenants: fc.dictionary(fc.constantFrom('acme', 'beta', 'constructor'), roleTable, { maxKeys: 2 }),
  })
  .map(({ default: effect, roles, tools, tenants }) => {
    const base = Object.keys(roles);
    const overlays = Object.entries(tenants).map(([tenant, table]) => {
      return [tenant, { roles: withoutCircles(table, [...base, ...Object.keys(table)]) }];
    });
    const policy: ModelPolicy = {
      version: '2.0',
      name: 'random',
      default: effect,
      roles: withoutCircles(roles, base),
      tools: tools.map(({ rule }) => rule),
      tenants: Object.fromEntries(overlays),
    };
    return toCase(policy, new Map(tools.map(({ rule, terms }) => [rule.when ?? '', terms])));
  });

const version1: fc.Arbitrary<Case> = fc
  .tuple(fc.constantFrom('allow' as const, 'deny' as const), access(NAME_PARTS))
  .map(([effect, lists]) => toCase({ version: '1.0', name: 'random', default: effect, ...lists }, new Map()));

function toCase(policy: ModelPolicy, terms: Case['terms']): Case {
  const document = parsePolicy(JSON.stringify(policy), 'random.json');
  if (Array.isArray(document)) throw new Error(JSON.stringify(document));
  return { policy, terms, compiled: compilePolicy(document, { REGION: 'eu' }) };
}

const rawArguments = fc.oneof(
  { weight: 4, arbitrary: fc.constant(JSON.stringify(GOLDEN)) },
  {
    weight: 6,
    arbitrary: fc
      .uniqueArray(
        fc.tuple(
          fc.constantFrom('to', 'n', 'flag', 'TO', 'N', 'other', 'constructor', '__proto__'),
          fc.constantFrom(
            '"ok"',
            '"fine"',
            '"no\\ud800"',
            '""',
            '1',
            '2',
            '5',
            '1e400',
            'true',
            'false',
            'null',
            '["ok"]',
            '{}',
          ),
        ),
        { selector: ([key]) => key, maxLength: 4 },
      )
      .map((members) => `{${members.map(([key, value]) => `"${key}":${value}`).join(',')}}`),
  },
  { weight: 1, arbitrary: fc.constantFrom('null', '[]', '"ok"', '3', undefined) },
);

const request: fc.Arbitrary<AccessRequest> = fc
  .record({
    kind: fc.constantFrom<AccessKind>('tool', 'tool', 'tool', 'resource', 'prompt'),
    tool: joined([...NAME_PARTS, '\ud800', 'x'.repeat(126)], 4),
    uri: joined(URI_PARTS, 6),
    raw: rawArguments,
    role: fc.constantFrom(...ROLES, 'stranger', '__proto__', undefined),
    tenant: fc.constantFrom('acme', 'beta', 'constructor', '__proto__', undefined),
    id: fc.constantFrom('u1', 'u2'),
    level: fc.constantFrom(undefined, 1, 3, 'x'),
    route: fc.constantFrom('sumit', 'company'),
    ip: fc.constantFrom(undefined, '10.0.0.1', '10.0.0.2'),
    header: fc.constantFrom(undefined, 'yes'),
    nowMs: fc.constantFrom(0, Date.UTC(2031, 0, 1)),
  })
  .map(({ kind, tool, uri, raw, role: effectiveRole, tenant, id, level, route, ip, header, nowMs }) => ({
    kind,
    name: kind === 'resource' ? uri : tool,
    args: () => (raw === undefined ? undefined : JSON.parse(raw)),
    rawArgs: () => raw,
    principal: {
      id,
      kind: 'jwt',
      role: effectiveRole,
      tenant,
      claims: level === undefined ? {} : { level },
      expiresAtMs: undefined,
    },
    role: effectiveRole,
    route,
    request: { ip, headers: { 'X-Test': header } },
    nowMs,
  }));

const policyCase = fc.oneof({ weight: 1, arbitrary: version1 }, { weight: 5, arbitrary: version2 });
/** Half of the names are taken from the policy's own patterns, or hardly any rule would ever match. */
const caseWithRequests = policyCase.chain((chosen) => {
  const literals = patternsOf(chosen.policy).map((text) => text.replaceAll('*', 'sms'));
  const names = literals.length === 0 ? ['sms'] : literals;
  const aimed = fc.tuple(request, fc.constantFrom(...names)).map(([asked, name]) => ({ ...asked, name }));
  const requests = fc.array(fc.oneof(request, aimed), {
    minLength: REQUESTS_PER_POLICY,
    maxLength: REQUESTS_PER_POLICY,
    size: 'max',
  });
  return fc.tuple(fc.constant(chosen), requests);
});

function patternsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => {
    if (key === 'match') return [String(member)];
    return key === 'allow' || key === 'deny' ? (member as string[]) : patternsOf(member);
  });
}

function show({ policy }: Case, asked: AccessRequest): string {
  return JSON.stringify({ policy, asked, args: asked.rawArgs?.() });
}

test(`the engine and the naive model agree on ${pairs} random pairs`, { timeout: 3_600_000 }, () => {
  const seen = { allow: 0, deny: 0, violations: 0, listed: 0 };
  const check = ([chosen, requests]: [Case, AccessRequest[]]): void => {
    for (const asked of requests) {
      const decision = chosen.compiled.decide(asked);
      const { effect, layer, rule, violation } = decision;
      const model = modelDecide(chosen.policy, asked, chosen.terms, false);
      const listed = modelDecide(chosen.policy, asked, chosen.terms, true).effect === 'allow';
      const ours = { effect, layer, violation: violation?.kind };
      const isSame =
        ours.effect === model.effect && ours.layer === model.layer && ours.violation === model.violation && rule !== '';
      if (!isSame) expect(ours, show(chosen, asked)).toEqual(model);
      // The trace tries every rule in order; a call looks only at those that can match.
      const traced = chosen.compiled.trace(asked).decision;
      if (traced.rule !== rule || traced.reason !== decision.reason)
        expect(decision, show(chosen, asked)).toEqual(traced);
      if (chosen.compiled.isListed(asked) !== listed) expect(!listed, show(chosen, asked)).toBe(listed);
      seen[effect]++;
      if (violation !== undefined) seen.violations++;
      if (listed) seen.listed++;
    }
  };
  const numRuns = Math.ceil(pairs / REQUESTS_PER_POLICY);
  fc.assert(fc.property(caseWithRequests, check), { seed, numRuns, endOnFailure: true });
  // A generator that only ever produces denials would prove nothing.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(pairs / 100);
});

test('listed means: some arguments are not denied', { timeout: 600_000 }, () => {
  const golden = { args: () => GOLDEN, rawArgs: () => JSON.stringify(GOLDEN) };
  const property = fc.property(caseWithRequests, ([{ compiled }, requests]) => {
    for (const asked of requests) {
      const isListed = compiled.isListed(asked);
      // The conditions and schemas all accept the golden arguments: they are the "some" when there is one at all.
      if (isListed !== (compiled.decide({ ...asked, ...golden }).effect === 'allow')) return false;
      if (!isListed && compiled.decide(asked).effect === 'allow') return false;
    }
    return true;
  });
  fc.assert(property, { seed, numRuns: Math.ceil(pairs / REQUESTS_PER_POLICY / 10), endOnFailure: true });
});
