/** A policy document after reading: checked, every pattern, schema and condition compiled, one form for v1 and v2. */
import type { ArgumentRule } from './arguments.js';
import type { Condition } from './conditions.js';
import type { AccessKind, Effect, PolicyProblem, SourcePosition } from './decision.js';
import type { Glob } from './globs.js';

/** One entry of an `allow` or `deny` list. */
export interface PatternRule {
  /** What decisions call it, e.g. `roles.user.allow "post_sms_*"`. */
  readonly rule: string;
  readonly glob: Glob;
  readonly source: SourcePosition;
}

export interface AccessList {
  readonly allow: readonly PatternRule[];
  readonly deny: readonly PatternRule[];
}

export interface RoleDefinition {
  readonly inherits: readonly string[];
  readonly access: Readonly<Record<AccessKind, AccessList>>;
  readonly limit: string | undefined;
}

export interface ToolRule {
  readonly match: Glob;
  /** What decisions call it, e.g. `tools[0] "put_*"`. */
  readonly rule: string;
  readonly alwaysDenies: boolean;
  readonly reason: string | undefined;
  readonly limit: { readonly name: string; readonly limit: string } | undefined;
  readonly arguments: ArgumentRule | undefined;
  readonly when: Condition | undefined;
  readonly source: SourcePosition;
  readonly whenSource: SourcePosition;
  readonly argumentsSource: SourcePosition;
}

export interface PolicyDocument {
  readonly version: '1.0' | '2.0';
  readonly name: string;
  readonly file: string;
  readonly hash: string;
  readonly mode: 'enforce' | 'shadow';
  readonly denials: 'explain' | 'hide';
  readonly default: Effect;
  readonly defaultSource: SourcePosition;
  /** The lists of v1.0: they hold for everyone, and what they do not name gets the default. */
  readonly everyone: AccessList | undefined;
  readonly roles: ReadonlyMap<string, RoleDefinition>;
  /** Per tenant, what is laid over the roles. */
  readonly tenants: ReadonlyMap<string, ReadonlyMap<string, RoleDefinition>>;
  readonly tools: readonly ToolRule[];
  /** `env.NAME` that conditions need, with their places. */
  readonly env: readonly { readonly name: string; readonly source: SourcePosition; readonly path: string }[];
  /** What loads but probably does not do what was meant. */
  readonly warnings: readonly PolicyProblem[];
}
