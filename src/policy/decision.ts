/**
 * What a policy is asked and what it answers: the types other domains see.
 * A decision says who decided and why; how a denial looks on the wire is not its business.
 */
import type { Principal } from '../auth/principal.js';

export type Effect = 'allow' | 'deny';
export type DecisionLayer = 'rate_limit' | 'tool_rule' | 'role' | 'default' | 'pin' | 'method';
export type AccessKind = 'tool' | 'resource' | 'prompt';

/** Where a rule stands: both numbers count from 1. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One reason why a document does not load (or, as a warning, why it may not do what was meant). */
export interface PolicyProblem extends SourcePosition {
  /** Where in the document, e.g. `tools.0.when`; empty for the document itself. */
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
}

export interface Decision {
  readonly effect: Effect;
  readonly layer: DecisionLayer;
  /** The rule that decided, e.g. `roles.user.allow "post_sms_*"`; `default` if none matched. Never empty. */
  readonly rule: string;
  readonly reason: string;
  /** Name of the policy. */
  readonly policy: string;
  readonly policyHash: string;
  /** An argument rule or a `when` failed; `field` names the argument, when one is to blame. */
  readonly violation?: { readonly kind: 'arguments' | 'when'; readonly field?: string };
  readonly source?: SourcePosition;
  /** For logs, when `reason` is `policy_error`: what went wrong. Never argument values. */
  readonly error?: string;
}

/** What conditions see of the HTTP request; header names are lower case. */
export interface RequestFacts {
  readonly ip?: string | undefined;
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined;
  /** Self-reported, so good for telling clients apart and for nothing else. */
  readonly client?: { readonly name?: string | undefined; readonly version?: string | undefined } | undefined;
}

export interface AccessRequest {
  readonly kind: AccessKind;
  /** Name of the tool or prompt, URI of the resource. */
  readonly name: string;
  /** `params.arguments`, parsed; called at most once, and only when a rule needs it. May throw: that denies. */
  readonly args?: (() => unknown) | undefined;
  /** The same as the caller wrote it, to see numbers that parsing bends. Without it every such number is refused. */
  readonly rawArgs?: (() => string | Buffer | undefined) | undefined;
  readonly principal: Principal;
  /** The effective role: the caller's, else the route's. */
  readonly role: string | undefined;
  readonly route: string;
  readonly request: RequestFacts;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

export interface PolicyLimit {
  /** Stable over edits elsewhere in the document; counters may be keyed by it. */
  readonly name: string;
  /** As written: `10/m`. */
  readonly limit: string;
  readonly scope: 'role' | 'tool';
}

/** What a filtered list depends on beyond role and tenant; cache it per role and tenant only if all are false. */
export interface ListingDependencies {
  /** The principal's id or claims. */
  readonly caller: boolean;
  readonly request: boolean;
  readonly time: boolean;
}

/** One thing that was looked at on the way to a decision. */
export interface DecisionStep {
  readonly layer: DecisionLayer;
  readonly rule: string;
  /** `pass` goes on to the next layer, `no match` had nothing to say, `not reached` was decided before. */
  readonly verdict: Effect | 'pass' | 'no match' | 'not reached';
  readonly reason: string;
  readonly source?: SourcePosition;
}

export interface CompiledPolicy {
  readonly name: string;
  readonly version: '1.0' | '2.0';
  /** SHA-256 of the canonical document, hex. Key order and layout do not change it. */
  readonly hash: string;
  /** `decide` answers the same in both; under `shadow` the caller records the answer and lets everything pass. */
  readonly mode: 'enforce' | 'shadow';
  readonly denials: 'explain' | 'hide';
  readonly roles: readonly string[];
  /** Pure, and never throws: whatever goes wrong inside is a denial. */
  decide(request: AccessRequest): Decision;
  /** The same function without arguments: false only if a rule denies whatever the arguments are. */
  isListed(request: AccessRequest): boolean;
  /** Every step of `decide`, in order, for people. */
  trace(request: AccessRequest): { readonly decision: Decision; readonly steps: readonly DecisionStep[] };
  listingDependsOn(kind: AccessKind): ListingDependencies;
  /** Whether `decide` will ask for the arguments of this tool. */
  needsArguments(tool: string): boolean;
  /** The limits an allowed call of this tool takes from, per caller. */
  toolLimits(tool: string, role: string | undefined, tenant?: string): readonly PolicyLimit[];
  /** False for what the version does not speak of: 1.0 knows tools only. */
  governs(kind: AccessKind): boolean;
}
