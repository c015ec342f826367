/** Remembers what follows from a name alone, so that it is found out once and not in every call. */

/** Whoever calls chooses the names: longer ones are found out each time. */
const MAX_NAME_LENGTH = 256;

export class NameMemo<T> {
  readonly #maxNames: number;
  readonly #make: (name: string) => T;
  readonly #known = new Map<string, T>();

  /** @param maxNames Past it everything is forgotten, which costs little: names that are in use come back by themselves. */
  constructor(maxNames: number, make: (name: string) => T) {
    this.#maxNames = maxNames;
    this.#make = make;
  }

  get size(): number {
    return this.#known.size;
  }

  get(name: string): T {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const made = this.#make(name);
    if (name.length > MAX_NAME_LENGTH) return made;
    if (this.#known.size >= this.#maxNames) this.#known.clear();
    this.#known.set(name, made);
    return made;
  }
}
