/** Finds the entry of one list that a name falls under: literal names by lookup, patterns in written order. */
import type { Decision } from './decision.js';
import type { Glob } from './globs.js';

export interface MatcherEntry {
  readonly glob: Glob;
  readonly decision: Decision;
}

export class Matcher {
  readonly #literals = new Map<string, Decision>();
  readonly #patterns: MatcherEntry[] = [];

  constructor(entries: readonly MatcherEntry[]) {
    for (const entry of entries) {
      const { literal } = entry.glob;
      if (literal === undefined) this.#patterns.push(entry);
      else if (!this.#literals.has(literal)) this.#literals.set(literal, entry.decision);
    }
  }

  find(name: string): Decision | undefined {
    const literal = this.#literals.get(name);
    if (literal !== undefined) return literal;
    for (const { glob, decision } of this.#patterns) if (glob.matches(name)) return decision;
    return undefined;
  }
}
