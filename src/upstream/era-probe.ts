/**
 * Whether an upstream speaks the stateless revision, found out once by `server/discover` and remembered with its date:
 * a yes until an answer contradicts it, a no for a while, since servers get updated.
 */
import type { Clock } from '../core/clock.js';
import { MODERN_VERSION } from '../protocol/eras.js';
import { ownRequest } from '../protocol/json-rpc.js';
import type { Message } from '../protocol/message.js';
import type { UpstreamError } from '../protocol/transport.js';
import { UpstreamFailedError, UpstreamRefusedError, UpstreamTimeoutError } from './errors.js';
import { HttpClientError } from '../http-client/errors.js';
import { renderHeaders } from '../http-client/headers.js';
import { StatelessCall, type StatelessDelivery } from './stateless-call.js';
import type { Upstream } from './upstream.js';

const NO_IS_GOOD_FOR_MS = 300_000;
/** About the caller, or the moment, and not about the server. */
const TELLS_NOTHING: ReadonlySet<number> = new Set([401, 403, 408, 425, 429]);
const META = 'io.modelcontextprotocol';
const PROBE_HEADERS = renderHeaders([
  ['content-type', 'application/json'],
  ['accept', 'application/json, text/event-stream'],
  ['mcp-protocol-version', MODERN_VERSION],
  ['mcp-method', 'server/discover'],
]);

export class EraProbe {
  readonly #upstream: Upstream;
  readonly #clock: Clock;
  #verdict: { readonly isModern: boolean; readonly atMs: number } | undefined;
  #running: Promise<boolean> | undefined;
  /** What others say may be just what did not fit. */
  #isDoubted = false;

  constructor(upstream: Upstream, clock: Clock) {
    this.#upstream = upstream;
    this.#clock = clock;
  }

  /** What is known without asking; undefined when it has to be asked. */
  get isModern(): boolean | undefined {
    const { protocol } = this.#upstream.options;
    if (protocol !== 'auto') return protocol === 'modern';
    if (this.#upstream.kind === 'sse') return false;
    const verdict = this.#verdict;
    if (verdict === undefined) return undefined;
    const isStale = !verdict.isModern && this.#clock.now() - verdict.atMs > NO_IS_GOOD_FOR_MS;
    return isStale ? undefined : verdict.isModern;
  }

  /**
   * Asks; one question at a time, however many wait.
   *
   * @throws {UpstreamError} it could not be asked, so nothing is known
   */
  ask(): Promise<boolean> {
    this.#running ??= this.#probe().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** An answer did not fit what was known. */
  forget(): void {
    this.#verdict = undefined;
    this.#isDoubted = true;
  }

  async #probe(): Promise<boolean> {
    const { options, dependencies } = this.#upstream;
    const known = this.#isDoubted ? undefined : (await dependencies.verdicts?.recall(options.prefix))?.isModern;
    const isModern = known ?? (await this.#discover());
    this.#isDoubted = false;
    this.#verdict = { isModern, atMs: this.#clock.now() };
    if (known === undefined) dependencies.verdicts?.remember(options.prefix, { isModern });
    return isModern;
  }

  #discover(): Promise<boolean> {
    const { timers } = this.#upstream.dependencies;
    const { connectMs } = this.#upstream.options.timeouts;
    const meta = {
      [`${META}/protocolVersion`]: MODERN_VERSION,
      [`${META}/clientCapabilities`]: {},
      [`${META}/clientInfo`]: { name: 'mcp-gateway', version: '1' },
    };
    const message = ownRequest('gw:discover', 'server/discover', { _meta: meta });
    return new Promise((resolve, reject) => {
      const delivery: StatelessDelivery = {
        accepted: () => {},
        primed: () => {},
        onMessage: (answer) => {
          timer.cancel();
          resolve(saysModern(answer));
        },
        failed: (error) => {
          timer.cancel();
          if (meansLegacy(error)) resolve(false);
          else reject(error);
        },
      };
      const call = new StatelessCall(this.#upstream, message, delivery);
      const timer = timers.schedule(connectMs, () => {
        call.abort();
        reject(new UpstreamTimeoutError('the upstream did not say in time which revision it speaks', 'no'));
      });
      call.start(PROBE_HEADERS);
    });
  }
}

function saysModern(answer: Message): boolean {
  const body = JSON.parse(answer.raw.toString()) as {
    result?: { supportedVersions?: unknown };
    error?: { data?: { supported?: unknown } };
  };
  const versions = body.result?.supportedVersions ?? body.error?.data?.supported;
  return Array.isArray(versions) && versions.includes(MODERN_VERSION);
}

/** A server that does not know the request refuses it in its own way; one that is ill, or wants credentials, has said nothing. */
export function meansLegacy(error: UpstreamError): boolean {
  if (error instanceof UpstreamRefusedError) return error.status < 500 && !TELLS_NOTHING.has(error.status);
  // An answer that came whole, and was none; a connection that failed tells nothing either.
  return error instanceof UpstreamFailedError && !(error.cause instanceof HttpClientError);
}
