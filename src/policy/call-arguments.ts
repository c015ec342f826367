/** The arguments of one call, fetched once and only when a rule asks. */
import type { AccessRequest } from './decision.js';
import { mayHoldBentNumber } from './raw-numbers.js';

export class CallArguments {
  readonly #request: AccessRequest;
  #value: { readonly parsed: unknown } | undefined;
  #mayHoldBentNumber: boolean | undefined;
  #raw: { readonly text: string | undefined } | undefined;

  constructor(request: AccessRequest) {
    this.#request = request;
  }

  /** Arguments that were left out are an empty object. @throws whatever parsing them throws */
  value(): unknown {
    if (this.#value === undefined) {
      const parsed = this.#request.args?.();
      // Only absence is an empty object: null is a wrong type, and a wrong type is denied.
      this.#value = { parsed: parsed === undefined ? {} : parsed };
    }
    return this.#value.parsed;
  }

  /** Whether some number in them may not survive parsing; true where it is not known how they were written. */
  mayHoldBentNumber(): boolean {
    if (this.#mayHoldBentNumber === undefined) {
      const raw = this.raw();
      this.#mayHoldBentNumber = raw === undefined || mayHoldBentNumber(raw);
    }
    return this.#mayHoldBentNumber;
  }

  /** As the caller wrote them, if the gateway still knows. */
  raw(): string | undefined {
    this.#raw ??= { text: this.#request.rawArgs?.()?.toString() };
    return this.#raw.text;
  }
}
