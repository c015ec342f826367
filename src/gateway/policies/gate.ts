/** The gate every request of a client passes: rules, then limits, then a note for the audit trail that is written when its outcome is known. */
import { parseRate } from '../../rate-limit/rate.js';
import type { ExtraLimit, LimitRefusal, LimitSubject } from '../../rate-limit/limiter.js';
import type { Caller } from '../../downstream/client-session.js';
import type { Message, RequestId } from '../../protocol/message.js';
import { Method } from '../../protocol/methods.js';
import { RateLimitedError, UnauditableError } from '../../protocol/session-errors.js';
import { DecisionNote } from './decision-note.js';
import { denial, limitRefusal, type Refusal } from './denials.js';
import { isUngoverned, type RouteRules } from './rules.js';
import { effectiveRole, type GateContext, rule, type Ruling } from './ruling.js';

export type ClientRequest = Message & { readonly id: RequestId; readonly method: string };

/** What becomes of a request. `note` must be written once its outcome is known. */
export type Verdict =
  | { readonly kind: 'pass'; readonly rules: RouteRules; readonly note: DecisionNote | undefined }
  | { readonly kind: 'refuse'; readonly refusal: Refusal }
  | { readonly kind: 'error'; readonly error: Error };

/** @returns at once unless the store of a limit has to wait */
export function judge(rules: RouteRules, request: ClientRequest, context: GateContext): Verdict | Promise<Verdict> {
  const ruling = rule(rules, request, context);
  // Pings keep connections alive; they are nobody's power and count nowhere.
  if (request.method === Method.ping) return { kind: 'pass', rules, note: undefined };
  if (ruling.effect === 'allow' && isUngoverned(rules)) return { kind: 'pass', rules, note: undefined };
  const { audit, limits } = rules;
  if (audit?.healthy === false) return { kind: 'error', error: new UnauditableError(request.id) };
  const note = new DecisionNote(rules, request, context, ruling);
  const due = limits?.takeAll(
    countedRequest(rules, request, context.caller),
    ruling.effect === 'allow' ? 'allowed' : 'request',
    extraLimits(rules, context, ruling),
  );
  if (!(due instanceof Promise)) return settle(rules, request, context, ruling, note, due);
  return due.then((exceeded) => settle(rules, request, context, ruling, note, exceeded));
}

function settle(
  rules: RouteRules,
  request: ClientRequest,
  context: GateContext,
  ruling: Ruling,
  note: DecisionNote,
  exceeded: LimitRefusal | undefined,
): Verdict {
  if (exceeded !== undefined) {
    note.writeLimited(exceeded);
    rules.decisions?.decided('deny', 'rate_limit');
    if (request.method === Method.initialize)
      return { kind: 'error', error: new RateLimitedError(exceeded.retryAfterMs, request.id) };
    return { kind: 'refuse', refusal: limitRefusal(request, exceeded, context.era) };
  }
  rules.decisions?.decided(ruling.effect, ruling.layer);
  if (ruling.effect === 'deny') {
    note.write('denied');
    const denials = rules.policy?.denials ?? 'explain';
    return { kind: 'refuse', refusal: denial(request, ruling, note.decisionId, denials, context.era) };
  }
  return { kind: 'pass', rules, note };
}

/**
 * Takes what a stream is due that a GET opens: the limits that count every request. It is no request of the protocol, so it has no
 * method, and no rule is about it.
 *
 * @throws {RateLimitedError} by the promise too
 */
export function takeForStream(rules: RouteRules, caller: Caller): undefined | Promise<undefined> {
  const due = rules.limits?.takeAll(new CountedRequest(rules, caller, NO_METHOD, undefined), 'request');
  return due instanceof Promise ? due.then(refuseExceeded) : refuseExceeded(due);
}

function refuseExceeded(exceeded: LimitRefusal | undefined): undefined {
  if (exceeded !== undefined) throw new RateLimitedError(exceeded.retryAfterMs, undefined);
}

const NO_METHOD = '';

function countedRequest(rules: RouteRules, { method, name }: ClientRequest, caller: Caller): CountedRequest {
  return new CountedRequest(rules, caller, method, method === Method.toolsCall ? name : undefined);
}

/** What limits ask of a request; the address is asked of the system only by those that count it. */
class CountedRequest implements LimitSubject {
  readonly principal: string;
  readonly tenant: string | undefined;
  readonly role: string | undefined;
  readonly route: string;
  readonly tool: string | undefined;
  readonly method: string;
  readonly #caller: Caller;

  constructor(rules: RouteRules, caller: Caller, method: string, tool: string | undefined) {
    this.principal = caller.principal.id;
    this.tenant = caller.principal.tenant;
    this.role = effectiveRole(rules, caller);
    this.route = rules.route;
    this.tool = tool;
    this.method = method;
    this.#caller = caller;
  }

  get ip(): string {
    return this.#caller.ip;
  }
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
