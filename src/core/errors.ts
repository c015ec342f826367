/**
 * Base of every error the gateway raises on purpose: a stable code, typed facts, the cause kept.
 * How one looks on the wire is decided in `downstream/error-response` and nowhere else.
 */
export abstract class GatewayError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The text of anything that was thrown, for a log line. */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
