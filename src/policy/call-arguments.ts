/** The arguments of one call, fetched once and only when a rule asks. */
import type { AccessRequest } from './decision.js';

export class CallArguments {
  readonly #request: AccessRequest;
  #value: { readonly parsed: unknown } | undefined;
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

  /** As the caller wrote them, if the gateway still knows. */
  raw(): string | undefined {
    this.#raw ??= { text: this.#request.rawArgs?.()?.toString() };
    return this.#raw.text;
  }
}
