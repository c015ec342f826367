/** The one place where it is decided whether a request may pass. Pure: counting and answering are done with what comes out of it. */
import type { Principal } from '../../auth/principal.js';
import type { Caller } from '../../downstream/client-session.js';
import type {
  AccessKind,
  AccessRequest,
  CompiledPolicy,
  Decision,
  DecisionLayer,
  RequestFacts,
} from '../../policy/decision.js';
import type { Era } from '../../protocol/classify.js';
import type { Message } from '../../protocol/message.js';
import { isClientRequest, Method } from '../../protocol/methods.js';
import type { RouteRules } from './rules.js';
import { familyOf, type Subject, subjectOf } from './subject.js';

export interface ClientInfo {
  readonly name?: string | undefined;
  readonly version?: string | undefined;
}

/** Who asks, and when. */
export interface CallContext {
  readonly caller: Caller;
  /** Self-reported. */
  readonly client: ClientInfo | undefined;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** The same for a request that is judged. */
export interface GateContext extends CallContext {
  readonly era: Era;
  /** Whose label goes to the trail; undefined where there is no session. */
  readonly session: { readonly label: string } | undefined;
}

export interface Ruling {
  /** What happens. */
  readonly effect: 'allow' | 'deny';
  /** Under shadow: what would have happened. */
  readonly would: 'allow' | 'deny' | undefined;
  readonly layer: DecisionLayer;
  readonly rule: string;
  readonly reason: string;
  readonly policyHash: string | undefined;
  readonly violation: Decision['violation'];
  readonly subject: Subject | undefined;
}

export function effectiveRole(rules: RouteRules, caller: Caller): string | undefined {
  return caller.principal.role ?? rules.defaultRole;
}

export function rule(rules: RouteRules, request: Message & { readonly method: string }, context: CallContext): Ruling {
  const { method } = request;
  if (!isClientRequest(method)) return denied('method', method, 'the method is not part of the protocol');
  const family = familyOf(method);
  if (family !== undefined && !rules.expose[family])
    return denied('method', `expose.${family}`, `${family} are not exposed`);
  const subject = subjectOf(request);
  if (subject === undefined) return allowed(undefined);
  if (subject.kind === 'tool' && rules.pins.isBlocked(rules.route, subject.name)) {
    return denied('pin', subject.name, 'the definition of the tool changed and waits for approval', subject);
  }
  const { policy } = rules;
  // Leaving a resource takes nothing.
  if (policy === undefined || !policy.governs(subject.kind) || method === Method.unsubscribe) return allowed(subject);
  return fromDecision(policy, policy.decide(new CallRequest(rules, subject, context, request)), subject);
}

/** The same question without arguments: whether a list may name it. */
export function isListed(rules: RouteRules, kind: AccessKind, name: string, context: CallContext): boolean {
  if (kind === 'tool' && rules.pins.isBlocked(rules.route, name)) return false;
  const { policy } = rules;
  if (policy === undefined || policy.mode === 'shadow' || !policy.governs(kind)) return true;
  return policy.isListed(new CallRequest(rules, { kind, name }, context, undefined));
}

/** One request as policies see it; what is not asked for is not made. */
class CallRequest implements AccessRequest {
  readonly kind: AccessKind;
  readonly name: string;
  readonly principal: Principal;
  readonly role: string | undefined;
  readonly route: string;
  readonly nowMs: number;
  readonly #context: CallContext;
  readonly #message: Message | undefined;
  #text: string | undefined;

  constructor(rules: RouteRules, subject: Subject, context: CallContext, message: Message | undefined) {
    this.kind = subject.kind;
    this.name = subject.name;
    this.principal = context.caller.principal;
    this.role = effectiveRole(rules, context.caller);
    this.route = rules.route;
    this.nowMs = context.nowMs;
    this.#context = context;
    this.#message = message;
  }

  get request(): RequestFacts {
    const { caller, client } = this.#context;
    return { ip: caller.ip, headers: caller.headers, client };
  }

  args(): unknown {
    const text = this.rawArgs();
    return text === undefined ? {} : (JSON.parse(text) as unknown);
  }

  rawArgs(): string | undefined {
    const message = this.#message;
    const span = message?.argumentsSpan;
    if (message === undefined || span === undefined) return undefined;
    this.#text ??= message.raw.toString('utf8', span.start, span.end);
    return this.#text;
  }
}

function fromDecision(policy: CompiledPolicy, decision: Decision, subject: Subject): Ruling {
  const isShadow = policy.mode === 'shadow';
  return {
    effect: isShadow ? 'allow' : decision.effect,
    would: isShadow ? decision.effect : undefined,
    layer: decision.layer,
    rule: decision.rule,
    reason: decision.reason,
    policyHash: decision.policyHash,
    violation: decision.violation,
    subject,
  };
}

const ALLOWED: Ruling = {
  effect: 'allow',
  would: undefined,
  layer: 'default',
  rule: 'default',
  reason: 'no rule is about this',
  policyHash: undefined,
  violation: undefined,
  subject: undefined,
};

function allowed(subject: Subject | undefined): Ruling {
  return subject === undefined ? ALLOWED : { ...ALLOWED, subject };
}

function denied(layer: DecisionLayer, ruleName: string, reason: string, subject?: Subject): Ruling {
  return { ...ALLOWED, effect: 'deny', layer, rule: ruleName, reason, subject };
}
