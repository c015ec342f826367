/** The gate every request of a client passes: rules, then limits, then a note for the audit trail that is written when its outcome is known. */
import { parseRate } from '../rate-limit/rate.js';
import type { ExtraLimit, LimitRefusal, LimitSubject } from '../rate-limit/limiter.js';
import type { Era } from '../protocol/classify.js';
import type { Message, RequestId } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import { RateLimitedError, UnauditableError } from '../protocol/session-errors.js';
import type { AuditOutcome } from '../audit/event.js';
import { denial, limitRefusal, type Refusal } from './denials.js';
import { isUngoverned, type RouteRules } from './rules.js';
import { type CallContext, effectiveRole, rule, type Ruling } from './ruling.js';
import { argumentBytes } from './subject.js';

type Request = Message & { readonly id: RequestId; readonly method: string };

export interface GateContext extends CallContext {
  readonly era: Era;
  /** Whose label goes to the trail; undefined where there is no session. */
  readonly session: { readonly label: string } | undefined;
}

/** What becomes of a request. `note` must be written once its outcome is known. */
export type Verdict =
  | { readonly kind: 'pass'; readonly rules: RouteRules; readonly note: DecisionNote | undefined }
  | { readonly kind: 'refuse'; readonly refusal: Refusal }
  | { readonly kind: 'error'; readonly error: Error };

/** @returns at once unless the store of a limit has to wait */
export function judge(rules: RouteRules, request: Request, context: GateContext): Verdict | Promise<Verdict> {
  const ruling = rule(rules, request, context);
  // Pings keep connections alive; they are nobody's power and count nowhere.
  if (request.method === Method.ping) return { kind: 'pass', rules, note: undefined };
  if (ruling.effect === 'allow' && isUngoverned(rules)) return { kind: 'pass', rules, note: undefined };
  const { audit, limits } = rules;
  if (audit?.healthy === false) return { kind: 'error', error: new UnauditableError(request.id) };
  const note = new DecisionNote(rules, request, context, ruling);
  const due = limits?.takeAll(
    limitSubject(rules, request, context),
    ruling.effect === 'allow' ? 'allowed' : 'request',
    extraLimits(rules, context, ruling),
  );
  if (!(due instanceof Promise)) return settle(rules, request, context, ruling, note, due);
  return due.then((exceeded) => settle(rules, request, context, ruling, note, exceeded));
}

function settle(
  rules: RouteRules,
  request: Request,
  context: GateContext,
  ruling: Ruling,
  note: DecisionNote,
  exceeded: LimitRefusal | undefined,
): Verdict {
  if (exceeded !== undefined) {
    note.writeLimited(exceeded);
    if (request.method === Method.initialize)
      return { kind: 'error', error: new RateLimitedError(exceeded.retryAfterMs, request.id) };
    return { kind: 'refuse', refusal: limitRefusal(request, exceeded, context.era) };
  }
  if (ruling.effect === 'deny') {
    note.write('denied');
    const denials = rules.policy?.denials ?? 'explain';
    return { kind: 'refuse', refusal: denial(request, ruling, note.decisionId, denials, context.era) };
  }
  return { kind: 'pass', rules, note };
}

function limitSubject(rules: RouteRules, request: Request, { caller }: GateContext): LimitSubject {
  const { principal, ip } = caller;
  return {
    principal: principal.id,
    tenant: principal.tenant,
    role: effectiveRole(rules, caller),
    route: rules.route,
    tool: request.method === Method.toolsCall ? request.name : undefined,
    method: request.method,
    ip,
  };
}

const NO_LIMITS: readonly ExtraLimit[] = [];

/** The limits that the policy itself sets on this call, counted per caller. */
function extraLimits(rules: RouteRules, { caller }: GateContext, ruling: Ruling): readonly ExtraLimit[] {
  const { policy } = rules;
  if (policy === undefined || ruling.subject?.kind !== 'tool' || policy.mode === 'shadow') return NO_LIMITS;
  const { principal } = caller;
  const limits = policy.toolLimits(ruling.subject.name, effectiveRole(rules, caller), principal.tenant);
  if (limits.length === 0) return NO_LIMITS;
  return limits.flatMap((limit) => {
    const rate = parseRate(limit.limit);
    return rate === undefined ? [] : [{ name: limit.name, rate, scope: [rules.route, policy.name, principal.id] }];
  });
}

let serial = 0;
const PROCESS_TAG = Math.random().toString(36).slice(2, 8);

/** One decision, on its way to the audit trail: exactly one record, whatever becomes of the request. */
export class DecisionNote {
  readonly decisionId: string;
  readonly #rules: RouteRules;
  readonly #request: Request;
  readonly #context: GateContext;
  readonly #ruling: Ruling;
  readonly #startedAtMs = performance.now();
  #isWritten = false;

  constructor(rules: RouteRules, request: Request, context: GateContext, ruling: Ruling) {
    serial += 1;
    this.decisionId = `d-${PROCESS_TAG}-${serial.toString(36)}`;
    this.#rules = rules;
    this.#request = request;
    this.#context = context;
    this.#ruling = ruling;
  }

  write(outcome: AuditOutcome): void {
    const { layer, rule: ruleName, reason } = this.#ruling;
    this.#record(outcome, this.#ruling.effect, layer, ruleName, reason);
  }

  writeLimited({ limit }: LimitRefusal): void {
    this.#record('limited', 'deny', 'rate_limit', limit, `the limit ${limit} is exceeded`);
  }

  #record(
    outcome: AuditOutcome,
    effect: Ruling['effect'],
    layer: Ruling['layer'],
    ruleName: string,
    reason: string,
  ): void {
    const { audit, policy } = this.#rules;
    if (this.#isWritten || audit === undefined) return;
    this.#isWritten = true;
    const { caller, session } = this.#context;
    audit.record({
      event: 'decision',
      decisionId: this.decisionId,
      route: this.#rules.route,
      principal: caller.principal.id,
      role: effectiveRole(this.#rules, caller),
      tenant: caller.principal.tenant,
      session: session?.label,
      method: this.#request.method,
      tool: this.#ruling.subject?.name,
      arguments: argumentBytes(this.#request),
      effect,
      would: this.#ruling.would,
      layer,
      rule: ruleName,
      reason,
      policyHash: policy?.hash,
      outcome,
      latencyMs: performance.now() - this.#startedAtMs,
    });
  }
}
