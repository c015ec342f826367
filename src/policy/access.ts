/** The compiled lists of roles, and the decisions they end in. */
import type { AccessKind, Decision, DecisionLayer, Effect, SourcePosition } from './decision.js';
import type { PolicyDocument } from './document.js';
import type { Matcher } from './matcher.js';

/** What one role, in the eyes of one tenant, may reach. */
export interface RoleAccess {
  readonly access: Readonly<Record<AccessKind, KindAccess>>;
  readonly limits: readonly { readonly role: string; readonly limit: string }[];
}

export interface KindAccess {
  readonly deny: Matcher;
  readonly allow: Matcher;
  /** What is on neither list. */
  readonly otherwise: Decision;
}

/** Makes decisions that depend on nothing but the document; each is made once and shared. */
export class DecisionMaker {
  readonly #policy: string;
  readonly #policyHash: string;

  constructor(document: PolicyDocument) {
    this.#policy = document.name;
    this.#policyHash = document.hash;
  }

  make(effect: Effect, layer: DecisionLayer, rule: string, reason: string, source?: SourcePosition): Decision {
    const place = source === undefined ? {} : { source };
    return Object.freeze({ effect, layer, rule, reason, policy: this.#policy, policyHash: this.#policyHash, ...place });
  }
}

/** The global default, saying why it was asked. */
export function fallbackOf(document: PolicyDocument, maker: DecisionMaker, why: string): Decision {
  const reason = `${why}, and the default is ${document.default}`;
  return maker.make(document.default, 'default', 'default', reason, document.defaultSource);
}
