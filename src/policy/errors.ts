/** Errors of the policy domain. */
import { GatewayError } from '../core/errors.js';
import type { PolicyProblem } from './decision.js';

export class PolicyInvalidError extends GatewayError {
  override readonly code = 'POLICY_INVALID';
  readonly problems: readonly PolicyProblem[];

  constructor(problems: readonly PolicyProblem[], options?: ErrorOptions) {
    super(
      problems.map((problem) => `${problem.file}:${problem.line}:${problem.column}: ${problem.message}`).join('\n'),
      options,
    );
    this.problems = problems;
  }
}
