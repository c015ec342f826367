/**
 * Keeps a replica that stood still from acting for sessions that others may have taken meanwhile: while it is shut, what would be done
 * waits; when it opens, it is done in order, for the sessions that are still here.
 */
export class Fence {
  #waiting: (() => void)[] | undefined;
  readonly #check: () => void;

  /** @param check Looks whether the process stood still, and shuts the fence if it did. */
  constructor(check: () => void = () => {}) {
    this.#check = check;
  }

  /** Asked before anything is done in the name of a session. */
  get isOpen(): boolean {
    if (this.#waiting === undefined) this.#check();
    return this.#waiting === undefined;
  }

  shut(): void {
    this.#waiting ??= [];
  }

  /** @throws the first failure of what waited, once all of it was done */
  open(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    const failures: unknown[] = [];
    for (const act of waiting) {
      try {
        act();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Does it when the fence is open. */
  pass(act: () => void): void {
    if (this.#waiting === undefined) act();
    else this.#waiting.push(act);
  }
}
