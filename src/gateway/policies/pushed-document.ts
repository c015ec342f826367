/** From a pushed text to the policy it is, or to everything that keeps it from ruling here. */
import type { GatewayConfig } from '../../config/config.js';
import type { Problem } from '../../config/problem.js';
import { compilePolicy } from '../../policy/compile.js';
import type { PolicyDocument } from '../../policy/document.js';
import { PolicyInvalidError } from '../../policy/errors.js';
import { parsePolicy } from '../../policy/parse.js';
import type { PolicyState, PushedPolicy } from '../../redis/policy-record.js';

const UNREADABLE = {
  message: 'what was pushed cannot be read here',
  hint: 'cluster.secret must hold the secret it was sealed under; a newer version of the gateway may have pushed it',
};

/** How a pushed policy is called in problems and decisions. */
function shownName(name: string, hash: string): string {
  return `pushed:${name}@${hash.slice(0, 8)}`;
}

/** @returns undefined when the file rules; problems when it cannot be used under this configuration */
export function documentOf(
  name: string,
  state: PolicyState | undefined,
  config: GatewayConfig,
): PolicyDocument | undefined | readonly Problem[] {
  if (state === undefined) return [{ file: `pushed:${name}`, line: 0, column: 0, path: '', ...UNREADABLE }];
  if (state.source === 'file') return undefined;
  const parsed = parsePushed(state);
  if (isRefusal(parsed)) return parsed;
  // One that nothing here uses need not fit; it is looked at when a configuration names it.
  const problems = config.policies.has(name) ? problemsOf(parsed, config) : [];
  return problems.length > 0 ? problems : parsed;
}

export function isRefusal(result: PolicyDocument | undefined | readonly Problem[]): result is readonly Problem[] {
  return Array.isArray(result);
}

function parsePushed({ name, hash, text }: PushedPolicy): PolicyDocument | Problem[] {
  return parsePolicy(text, shownName(name, hash));
}

/** What keeps a document from being compiled under a configuration. */
export function problemsOf(document: PolicyDocument, { policyEnv }: GatewayConfig): readonly Problem[] {
  try {
    compilePolicy(document, policyEnv);
    return [];
  } catch (error) {
    if (error instanceof PolicyInvalidError) return error.problems;
    throw error;
  }
}
