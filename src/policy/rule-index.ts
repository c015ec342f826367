/**
 * Finds the rules whose pattern matches a name without trying every pattern: literal patterns by lookup, the others by
 * the text before their first `*`.
 */
import type { Glob } from './globs.js';

interface Entry<Rule> {
  readonly rule: Rule;
  readonly glob: Glob;
  /** In the order written. */
  readonly position: number;
}

export class RuleIndex<Rule> {
  readonly #literals = new Map<string, Entry<Rule>[]>();
  /** By length of the text before the first `*`, then by that text. */
  readonly #heads = new Map<number, Map<string, Entry<Rule>[]>>();

  /** @param globOf The pattern of a rule. */
  constructor(rules: readonly Rule[], globOf: (rule: Rule) => Glob) {
    for (const [position, rule] of rules.entries()) {
      const glob = globOf(rule);
      const entry = { rule, glob, position };
      if (glob.literal === undefined) add(this.#headsOfLength(glob.head.length), glob.head, entry);
      else add(this.#literals, glob.literal, entry);
    }
  }

  /** Those that match, in the order written. */
  find(name: string): Rule[] {
    const found = [...(this.#literals.get(name) ?? [])];
    for (const [length, heads] of this.#heads) {
      if (length > name.length) continue;
      for (const entry of heads.get(name.slice(0, length)) ?? []) if (entry.glob.matches(name)) found.push(entry);
    }
    return found.toSorted((a, b) => a.position - b.position).map(({ rule }) => rule);
  }

  #headsOfLength(length: number): Map<string, Entry<Rule>[]> {
    let heads = this.#heads.get(length);
    if (heads === undefined) this.#heads.set(length, (heads = new Map()));
    return heads;
  }
}

function add<Rule>(entries: Map<string, Entry<Rule>[]>, key: string, entry: Entry<Rule>): void {
  const known = entries.get(key);
  if (known === undefined) entries.set(key, [entry]);
  else known.push(entry);
}
