/** The tools an upstream was last seen to have, whoever asked. Lists that are the same to the byte are looked at once. */

const REMEMBERED_LISTS = 16;

export class ToolCatalog {
  #names: ReadonlySet<string> | undefined;
  readonly #seen: Buffer[] = [];

  /** Undefined before the first list. */
  get names(): ReadonlySet<string> | undefined {
    return this.#names;
  }

  /** Whether exactly this list was looked at lately. */
  isKnown(result: Buffer): boolean {
    return this.#seen.some((seen) => seen.equals(result));
  }

  /** @param isWhole The list has no further pages, so what is not in it is gone. */
  learn(result: Buffer, names: readonly string[], isWhole: boolean): void {
    // The bytes are part of a larger buffer.
    this.#seen.push(Buffer.from(result));
    if (this.#seen.length > REMEMBERED_LISTS) this.#seen.shift();
    this.#names = isWhole ? new Set(names) : new Set([...(this.#names ?? []), ...names]);
  }

  /** Looks at the next list again, e.g. because a tool was approved. */
  forgetLists(): void {
    this.#seen.length = 0;
  }
}
