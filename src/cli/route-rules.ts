/** The rules of one route as the command line asks them: the engine of the gateway, without a gateway around it. */
import type { GatewayConfig } from '../config/config.js';
import { compilePolicy } from '../policy/compile.js';
import type { AccessKind, AccessRequest, CompiledPolicy } from '../policy/decision.js';
import type { PolicyDocument } from '../policy/document.js';
import type { UpstreamOptions } from '../upstream/options.js';

export interface RouteRules {
  readonly prefix: string;
  /** Role of callers to whom authentication gives none. */
  readonly role: string | undefined;
  readonly expose: UpstreamOptions['expose'];
  /** Undefined: every method passes. */
  readonly policy: CompiledPolicy | undefined;
  readonly document: PolicyDocument | undefined;
}

/** By prefix. */
export function rulesOf(config: GatewayConfig): ReadonlyMap<string, RouteRules> {
  const compiled = new Map<PolicyDocument, CompiledPolicy>();
  return new Map(
    config.upstreams.map(({ prefix, role, expose, policy: name }) => {
      const document = name === undefined ? undefined : config.policies.get(name);
      const policy = document && (compiled.get(document) ?? compilePolicy(document, config.policyEnv));
      if (document !== undefined && policy !== undefined) compiled.set(document, policy);
      return [prefix, { prefix, role, expose, policy, document }];
    }),
  );
}

const FAMILIES = { tool: 'tools', resource: 'resources', prompt: 'prompts' } as const;

/** What the route hides whole, whatever its policy says: the name of that rule, or undefined. */
export function hiddenBy(rules: RouteRules, kind: AccessKind): string | undefined {
  const family = FAMILIES[kind];
  return rules.expose[family] ? undefined : `expose.${family}`;
}

export interface Question {
  readonly kind: AccessKind;
  readonly name: string;
  readonly principal: string;
  readonly role: string | undefined;
  readonly tenant: string | undefined;
  /** Parsed `params.arguments`; undefined when none are known. */
  readonly args: unknown;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** Claims, address and headers of the caller are not known here. */
export function accessRequest(rules: RouteRules, question: Question): AccessRequest {
  const { kind, name, principal, tenant, args, nowMs } = question;
  const role = question.role ?? rules.role;
  return {
    kind,
    name,
    principal: { id: principal, kind: 'anonymous', role: question.role, tenant, claims: {}, expiresAtMs: undefined },
    role,
    route: rules.prefix,
    request: {},
    nowMs,
    args: () => args,
    rawArgs: () => (args === undefined ? undefined : JSON.stringify(args)),
  };
}
