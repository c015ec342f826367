/**
 * One decision, on its way to the audit trail: exactly one record, whatever becomes of the request.
 * The note itself is the event. What the record says of it is read when the record is made, behind the call; here only
 * that is kept which is not there any more by then.
 */
import type { AuditEvent, AuditOutcome } from '../../audit/event.js';
import type { Principal } from '../../auth/principal.js';
import type { Message } from '../../protocol/message.js';
import type { LimitRefusal } from '../../rate-limit/limiter.js';
import type { RouteRules } from './rules.js';
import { effectiveRole, type GateContext, type Ruling } from './ruling.js';
import { argumentBytes } from './subject.js';

let lastSerial = 0;
const PROCESS_TAG = Math.random().toString(36).slice(2, 8);

export class DecisionNote implements AuditEvent {
  readonly event = 'decision';
  readonly #serial: number;
  readonly #rules: RouteRules;
  readonly #request: Message;
  /** Without the rest of the caller, which holds the whole HTTP request. */
  readonly #principal: Principal;
  readonly #role: string | undefined;
  readonly #session: GateContext['session'];
  readonly #ruling: Ruling;
  readonly #startedAtMs = performance.now();
  #limited: LimitRefusal | undefined;
  #outcome: AuditOutcome | undefined;
  #latencyMs = 0;

  constructor(rules: RouteRules, request: Message, { caller, session }: GateContext, ruling: Ruling) {
    lastSerial += 1;
    this.#serial = lastSerial;
    this.#rules = rules;
    this.#request = request;
    this.#principal = caller.principal;
    this.#role = effectiveRole(rules, caller);
    this.#session = session;
    this.#ruling = ruling;
  }

  /** Only the first call has an effect, this or `writeLimited`. */
  write(outcome: AuditOutcome): void {
    const { audit } = this.#rules;
    if (this.#outcome !== undefined || audit === undefined) return;
    this.#outcome = outcome;
    this.#latencyMs = performance.now() - this.#startedAtMs;
    const span = this.#request.argumentsSpan;
    audit.record(this, span === undefined ? 0 : span.end - span.start);
  }

  writeLimited(refusal: LimitRefusal): void {
    if (this.#outcome !== undefined) return;
    this.#limited = refusal;
    this.write('limited');
  }

  get decisionId(): string {
    return `d-${PROCESS_TAG}-${this.#serial.toString(36)}`;
  }

  get route(): string {
    return this.#rules.route;
  }

  get principal(): string {
    return this.#principal.id;
  }

  get role(): string | undefined {
    return this.#role;
  }

  get tenant(): string | undefined {
    return this.#principal.tenant;
  }

  get session(): string | undefined {
    return this.#session?.label;
  }

  get method(): string | undefined {
    return this.#request.method;
  }

  get tool(): string | undefined {
    return this.#ruling.subject?.name;
  }

  get arguments(): Uint8Array | undefined {
    return argumentBytes(this.#request);
  }

  get effect(): AuditEvent['effect'] {
    return this.#limited === undefined ? this.#ruling.effect : 'deny';
  }

  get would(): AuditEvent['would'] {
    return this.#ruling.would;
  }

  get layer(): AuditEvent['layer'] {
    return this.#limited === undefined ? this.#ruling.layer : 'rate_limit';
  }

  get rule(): string {
    return this.#limited?.limit ?? this.#ruling.rule;
  }

  get reason(): string {
    return this.#limited === undefined ? this.#ruling.reason : `the limit ${this.#limited.limit} is exceeded`;
  }

  get policyHash(): string | undefined {
    return this.#rules.policy?.hash;
  }

  get outcome(): AuditOutcome | undefined {
    return this.#outcome;
  }

  get latencyMs(): number {
    return this.#latencyMs;
  }
}
