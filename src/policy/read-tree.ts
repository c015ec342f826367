/** Which arguments a rule reads, collected when the rule is compiled. */
import { foldKey } from './text.js';

/** A tree over argument keys; below a `whole` node everything is read. */
export class ReadTree {
  whole = false;
  readonly keys = new Map<string, ReadTree>();
  #folded: Set<string> | undefined;

  child(key: string): ReadTree {
    let child = this.keys.get(key);
    if (child === undefined) {
      child = new ReadTree();
      this.keys.set(key, child);
      this.#folded = undefined;
    }
    return child;
  }

  /** A key that is not named here, but that a careless parser would take for one that is. */
  isMistakable(key: string): boolean {
    if (this.keys.size === 0 || this.keys.has(key)) return false;
    this.#folded ??= new Set([...this.keys.keys()].map(foldKey));
    return this.#folded.has(foldKey(key));
  }
}

export interface ArgumentReads {
  readonly root: ReadTree;
  /** Every key the rule names anywhere: below a `whole` node it may mean any of them. */
  readonly names: ReadTree;
}

/** Joins keys for messages; the caller chose them, so they are cut. */
export function joinField(parent: string, key: string): string {
  return (parent === '' ? key : `${parent}.${key}`).slice(0, 128);
}
