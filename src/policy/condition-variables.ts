/** What conditions can name: the typed CEL environment, and its values for one request. */
import { Environment } from '@marcbachmann/cel-js';
import { isLocalHeader } from '../protocol/local-headers.js';
import type { AccessRequest } from './decision.js';
import { isPublicUrl, isUnder, urlHost } from './string-functions.js';

export const CONDITION_VARIABLES = ['principal', 'tool', 'args', 'request', 'route', 'now', 'env'] as const;

/** Variables whose size the caller does not choose; `cel` is the namespace of `cel.bind`. */
export const CALLER_INDEPENDENT: ReadonlySet<string> = new Set([
  'principal',
  'tool',
  'request',
  'route',
  'now',
  'env',
  'cel',
]);
const LIMITS = { maxAstNodes: 500, maxDepth: 50, maxListElements: 500, maxMapEntries: 100, maxCallArguments: 8 };

/** The variables an expression names decide what is prepared for it, and what a filtered list depends on. */
export interface ConditionUses {
  readonly args: boolean;
  /** The principal's id or claims, or the principal as a whole. */
  readonly caller: boolean;
  readonly claims: boolean;
  readonly request: boolean;
  readonly time: boolean;
}

export const celEnvironmentBase = new Environment({ homogeneousAggregateLiterals: false, limits: LIMITS })
  .registerVariable({
    name: 'principal',
    schema: { id: 'string', role: 'string', tenant: 'string', claims: 'map<string, dyn>' },
  })
  .registerVariable('tool', 'string')
  .registerVariable('args', 'map<string, dyn>')
  .registerVariable({
    name: 'request',
    schema: { ip: 'string', headers: 'map<string, string>', client: { name: 'string', version: 'string' } },
  })
  .registerVariable('route', 'string')
  .registerVariable('now', 'google.protobuf.Timestamp')
  .registerVariable('env', 'map<string, string>')
  .registerFunction('string.host(): string', (text: string) => urlHost(text))
  .registerFunction('string.isPublicUrl(): bool', (text: string) => isPublicUrl(text))
  .registerFunction('string.isUnder(string): bool', (path: string, directory: string) => isUnder(path, directory));

export const NO_ARGUMENTS: ReadonlyMap<string, unknown> = new Map();

export function contextOf(
  request: AccessRequest,
  uses: ConditionUses,
  args: ReadonlyMap<string, unknown>,
  env: ReadonlyMap<string, string>,
): Record<string, unknown> {
  const { principal } = request;
  const claims = uses.claims ? new CelValues(Number.POSITIVE_INFINITY).convert(principal.claims) : NO_ARGUMENTS;
  return {
    principal: { id: principal.id, role: request.role ?? '', tenant: principal.tenant ?? '', claims },
    tool: request.name,
    args,
    request: uses.request ? requestOf(request) : undefined,
    route: request.route,
    now: uses.time ? new Date(request.nowMs) : undefined,
    env,
  };
}

function requestOf({ request }: AccessRequest): Record<string, unknown> {
  const headers = new Map<string, string>();
  for (const [written, value] of Object.entries(request.headers ?? {})) {
    const name = written.toLowerCase();
    if (value === undefined || isLocalHeader(name)) continue;
    headers.set(name, typeof value === 'string' ? value : value.join(', '));
  }
  const client = { name: request.client?.name ?? '', version: request.client?.version ?? '' };
  return { ip: request.ip ?? '', headers, client };
}

/** JSON as CEL takes it: objects as Maps, so that no key (`constructor`, `__proto__`) means anything to the engine. */
export class CelValues {
  #left: number;

  constructor(maxValues: number) {
    this.#left = maxValues;
  }

  convert(value: unknown): unknown {
    if (this.#left-- <= 0) throw new Error('too many values for a condition with a loop');
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((item) => this.convert(item));
    const map = new Map<string, unknown>();
    for (const [key, member] of Object.entries(value)) map.set(key, this.convert(member));
    return map;
  }
}
