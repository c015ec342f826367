/** Which web pages may call: those listed, and our own. Anything that is no browser sends no Origin and is not concerned. */
import type { ServedRequest } from '../http-server/types.js';
import { HttpRefusalError } from './errors.js';
import type { HeaderList } from './respond.js';

const NO_HEADERS: HeaderList = [];
const EXPOSED = 'Mcp-Session-Id, WWW-Authenticate, Retry-After';
const ALLOWED_HEADERS =
  'Content-Type, Accept, Authorization, X-API-Key, Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name, Last-Event-ID';
const PREFLIGHT_MAX_AGE_S = '600';

export class OriginGuard {
  readonly #headersByOrigin: ReadonlyMap<string, HeaderList>;
  readonly #trustsHost: boolean;

  /** @param trustsHost The host guard is on, so a page that names our own host really is ours. */
  constructor(allowedOrigins: readonly string[], trustsHost: boolean) {
    this.#headersByOrigin = new Map(allowedOrigins.map((origin) => [origin, corsHeaders(origin)]));
    this.#trustsHost = trustsHost;
  }

  /**
   * @returns the CORS headers of the answer
   * @throws {HttpRefusalError} 403: a page that may not call
   */
  check(request: ServedRequest): HeaderList {
    const { origin, host } = request.headers;
    if (origin === undefined) return NO_HEADERS;
    const headers = this.#headersByOrigin.get(origin);
    if (headers !== undefined) return headers;
    if (this.#trustsHost && (origin === `http://${host}` || origin === `https://${host}`)) return NO_HEADERS;
    throw new HttpRefusalError(403, 'this origin may not call');
  }

  /** Headers of the answer to a preflight request, beside those of every answer. */
  static preflightHeaders(methods: string): HeaderList {
    return [
      'access-control-allow-methods',
      methods,
      'access-control-allow-headers',
      ALLOWED_HEADERS,
      'access-control-max-age',
      PREFLIGHT_MAX_AGE_S,
    ];
  }
}

function corsHeaders(origin: string): HeaderList {
  return ['access-control-allow-origin', origin, 'access-control-expose-headers', EXPOSED, 'vary', 'Origin'];
}
