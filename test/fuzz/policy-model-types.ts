/** The part of the policy format that the naive model understands. */
import type { AccessRequest, Decision } from '../../src/policy/decision.js';

export interface ModelAccess {
  allow?: string[];
  deny?: string[];
}
export interface ModelRole extends ModelAccess {
  inherits?: string[];
  resources?: ModelAccess;
  prompts?: ModelAccess;
}
export interface ModelSchema {
  properties: Record<
    string,
    { type: 'string' | 'number' | 'boolean'; enum?: unknown[]; minimum?: number; pattern?: string }
  >;
  required?: string[];
}
export interface ModelRule {
  match: string;
  effect?: 'deny';
  arguments?: ModelSchema;
  when?: string;
}
export interface ModelPolicy {
  version: '1.0' | '2.0';
  name: string;
  default: 'allow' | 'deny';
  allow?: string[];
  deny?: string[];
  roles?: Record<string, ModelRole>;
  tools?: ModelRule[];
  tenants?: Record<string, { roles: Record<string, ModelRole> }>;
}
export type ModelVerdict = Pick<Decision, 'effect' | 'layer'> & { violation?: 'arguments' | 'when' };

/** One `&&` term of a condition, as the model understands it. */
export interface ModelTerm {
  cel: string;
  usesArgs: boolean;
  holds: (request: AccessRequest, args: Record<string, unknown>) => boolean;
}
