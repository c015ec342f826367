/** Short ways to a policy and a request, for tests. */
import type { Principal } from '../../../src/auth/principal.js';
import { compilePolicy } from '../../../src/policy/compile.js';
import type { AccessRequest, CompiledPolicy, PolicyProblem } from '../../../src/policy/decision.js';
import type { PolicyDocument } from '../../../src/policy/document.js';
import { parsePolicy } from '../../../src/policy/parse.js';

export function load(source: string, file = 'policy.yaml'): PolicyDocument {
  const document = parsePolicy(source, file);
  if (Array.isArray(document)) throw new Error(document.map(formatProblem).join('\n'));
  return document;
}

export function compile(source: string, env: Record<string, string> = {}): CompiledPolicy {
  return compilePolicy(load(source), env);
}

export function problemsOf(source: string, file = 'policy.yaml'): PolicyProblem[] {
  const document = parsePolicy(source, file);
  if (!Array.isArray(document)) throw new Error('the policy loads');
  return document;
}

export function formatProblem({ file, line, column, message, hint }: PolicyProblem): string {
  return `${file}:${line}:${column}: ${message}${hint === undefined ? '' : ` (${hint})`}`;
}

export interface CallOptions {
  readonly kind?: AccessRequest['kind'];
  readonly role?: string | undefined;
  readonly tenant?: string;
  readonly id?: string;
  readonly claims?: Record<string, unknown>;
  readonly args?: unknown;
  /** Arguments as JSON text; `args` is then what `JSON.parse` makes of it. */
  readonly raw?: string;
  readonly request?: AccessRequest['request'];
  readonly nowMs?: number;
  readonly route?: string;
}

export function call(name: string, options: CallOptions = {}): AccessRequest {
  const { raw } = options;
  const principal: Principal = {
    id: options.id ?? 'apikey|ci',
    kind: 'api-key',
    role: options.role,
    tenant: options.tenant,
    claims: options.claims ?? {},
    expiresAtMs: undefined,
  };
  return {
    kind: options.kind ?? 'tool',
    name,
    args: () => (raw === undefined ? options.args : JSON.parse(raw)),
    rawArgs: () => raw ?? (options.args === undefined ? undefined : JSON.stringify(options.args)),
    principal,
    role: options.role,
    route: options.route ?? 'sumit',
    request: options.request ?? {},
    nowMs: options.nowMs ?? 0,
  };
}

/** `allow role "rule"`: effect, layer and rule in one comparable line. */
export function verdict(policy: CompiledPolicy, name: string, options: CallOptions = {}): string {
  const { effect, layer, rule } = policy.decide(call(name, options));
  return `${effect} ${layer} ${rule}`;
}
