/** Requests of the revision without sessions: each goes to the upstream by itself, and nothing of it is kept when it is answered. */
import { background } from '../core/background.js';
import type { Caller, StatelessStream } from '../downstream/client-session.js';
import { UnsupportedVersionError } from '../downstream/errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { MODERN_VERSION } from '../protocol/eras.js';
import type { Message, RequestId } from '../protocol/message.js';
import { Method } from '../protocol/methods.js';
import type { UpstreamError } from '../protocol/transport.js';
import { EraProbe, meansLegacy } from '../upstream/era-probe.js';
import { CircuitOpenError, UpstreamTimeoutError } from '../upstream/errors.js';
import { renderHeaders } from '../http-client/headers.js';
import { StatelessCall, type StatelessDelivery } from '../upstream/stateless-call.js';
import { failureAnswer } from './answers.js';
import { DiscoverCache } from './discover-cache.js';
import type { Timing } from './exchange.js';
import { forwardedHeaders } from './forwarded-headers.js';
import { shownCapabilities } from './capabilities.js';
import { statelessClientInfoOf } from './client-info.js';
import { judge, type Verdict } from './policies/gate.js';
import type { GateContext } from './policies/ruling.js';
import type { Grant } from './policies/grant.js';
import type { Route } from './route.js';
import { StatelessExchange, type ToolListener, TRY_AGAIN } from './stateless-exchange.js';
import { narrowed } from './subscriptions.js';

type Request = Message & { readonly id: RequestId; readonly method: string };

const BASE_HEADERS = renderHeaders([
  ['content-type', 'application/json'],
  ['accept', 'application/json, text/event-stream'],
]);
/** Headers that mirror the body; the upstream checks them against it as we did. */
const MIRRORED = /^mcp-(?:protocol-version|method|name|param-.+)$/;

export class StatelessTraffic {
  readonly #route: Route;
  readonly #probe: EraProbe;
  readonly #discoveries: DiscoverCache;
  readonly #subscriptions = new Set<StatelessExchange>();

  constructor(route: Route) {
    this.#route = route;
    this.#probe = new EraProbe(route.upstream, route.clock);
    this.#discoveries = new DiscoverCache(route.clock);
  }

  /** Whether the upstream speaks this revision, as far as is known. */
  get isModern(): boolean | undefined {
    return this.#probe.isModern;
  }

  receive(message: Message, stream: StatelessStream | undefined, caller: Caller): void {
    const { isModern } = this.#probe;
    const { arrivedAtMs } = this.#route.requestClock;
    if (isModern !== undefined) this.#receiveKnown(isModern, message, stream, caller, { arrivedAtMs, waitedMs: 0 });
    else background(this.#askFirst(message, stream, caller, arrivedAtMs), this.#route.logger, 'probe_failed');
  }

  /** Something does not fit what is known of the upstream: the next request asks again. */
  doubt(): void {
    this.#probe.forget();
  }

  /** Ends subscriptions in the way that lets clients tell it from a fault. */
  endSubscriptions(): void {
    for (const subscription of [...this.#subscriptions]) subscription.endGracefully();
  }

  /** Clients that asked to be told when the tools change. */
  get toolListeners(): ToolListener[] {
    return [...this.#subscriptions].filter((subscription) => subscription.wantsToolChanges);
  }

  async #askFirst(
    message: Message,
    stream: StatelessStream | undefined,
    caller: Caller,
    arrivedAtMs: number,
  ): Promise<void> {
    const askedAtMs = this.#route.clock.now();
    const timing = (): Timing => ({ arrivedAtMs, waitedMs: this.#route.clock.now() - askedAtMs });
    let isModern: boolean;
    try {
      isModern = await this.#probe.ask();
    } catch (error) {
      if (stream !== undefined) this.#answerFailure(message as Request, stream, error as UpstreamError, timing());
      return;
    }
    this.#receiveKnown(isModern, message, stream, caller, timing());
  }

  #receiveKnown(
    isModern: boolean,
    message: Message,
    stream: StatelessStream | undefined,
    caller: Caller,
    timing: Timing,
  ): void {
    if (stream === undefined) {
      if (isModern) this.#sendNotification(message, caller);
    } else if (isModern) this.#judge(message as Request, stream, caller, timing);
    else this.#refuse(message as Request, stream, new UnsupportedVersionError(MODERN_VERSION), timing);
  }

  #refuse(request: Request, stream: StatelessStream, error: unknown, timing: Timing): void {
    stream.refuse(request.id, error);
    this.#route.requestRefused(request.method, error, timing);
  }

  #sendNotification(message: Message, caller: Caller): void {
    const nobody: StatelessDelivery = { accepted: () => {}, primed: () => {}, failed: () => {}, onMessage: () => {} };
    new StatelessCall(this.#route.upstream, message, nobody).start(this.#headersFor(caller));
  }

  #judge(request: Request, stream: StatelessStream, caller: Caller, timing: Timing): void {
    const context: GateContext = {
      caller,
      client: statelessClientInfoOf(request),
      nowMs: Date.now(),
      era: 'modern',
      session: undefined,
    };
    const verdict = judge(this.#route.rules, request, context);
    if (!(verdict instanceof Promise)) this.#proceed(verdict, request, stream, context, timing);
    else {
      const later = verdict.then((settled) => this.#proceed(settled, request, stream, context, timing));
      background(later, this.#route.logger, 'request_failed');
    }
  }

  #proceed(verdict: Verdict, request: Request, stream: StatelessStream, context: GateContext, timing: Timing): void {
    switch (verdict.kind) {
      case 'error':
        this.#refuse(request, stream, verdict.error, timing);
        return;
      case 'refuse':
        stream.answer(verdict.refusal.answer, verdict.refusal.hints);
        this.#route.requestDenied(request.method, verdict.refusal, timing);
        return;
      case 'pass': {
        const grant: Grant = { rules: verdict.rules, note: verdict.note, context };
        if (this.#answerFromCache(request, stream, grant))
          this.#route.requestAnsweredHere(request.method, 'ok', timing);
        else this.#run(narrowed(request, grant), stream, grant, timing);
      }
    }
  }

  #answerFromCache(request: Request, stream: StatelessStream, grant: Grant): boolean {
    if (request.method !== Method.discover) return false;
    const known = this.#discoveries.find(grant.context.caller.principal, request.id);
    if (known === undefined) return false;
    grant.note?.write('ok');
    stream.answer(shownCapabilities(grant.rules, known, request.id));
    return true;
  }

  #run(request: Request, stream: StatelessStream, grant: Grant, timing: Timing): void {
    const { upstream, admission } = this.#route;
    try {
      admission.enter(upstream, request.id);
    } catch (error) {
      grant.note?.write('error');
      this.#refuse(request, stream, error, timing);
      return;
    }
    if (!upstream.breaker.tryPass()) {
      admission.leave(upstream);
      grant.note?.write('upstream_failed');
      this.#answerFailure(request, stream, new CircuitOpenError(upstream.breaker.retryAfterMs), timing);
      return;
    }
    const exchange = new StatelessExchange(this.#route, request, stream, grant, timing, {
      settled: () => this.#subscriptions.delete(exchange),
      answer: (message) => this.#learn(request, grant, message),
      failed: (error) => {
        // Servers of this revision say what is wrong as JSON-RPC.
        if (meansLegacy(error)) this.doubt();
      },
    });
    if (request.method === Method.listen) this.#subscriptions.add(exchange);
    exchange.start(this.#headersFor(grant.context.caller));
  }

  #learn(request: Request, grant: Grant, answer: Message): Message {
    if (answer.isError) {
      if (speaksLegacy(answer)) this.doubt();
      return answer;
    }
    if (request.method !== Method.discover) return answer;
    return this.#discoveries.learn(grant.context.caller.principal, request.id, answer);
  }

  /** A client that gets a plain error to `server/discover` takes the server for a legacy one for good; a 503 says try again. */
  #answerFailure(request: Request, stream: StatelessStream, error: UpstreamError, timing: Timing): void {
    const answer = failureAnswer(request.id, request.method, error, 'modern');
    stream.answer(answer, request.method === Method.discover ? TRY_AGAIN : undefined);
    const outcome = error instanceof UpstreamTimeoutError ? 'timeout' : 'upstream_failed';
    this.#route.requestAnsweredHere(request.method, outcome, timing);
  }

  #headersFor(caller: Caller): string {
    const mirrored: [string, string][] = [];
    for (const [name, value] of Object.entries(caller.headers)) {
      if (typeof value === 'string' && MIRRORED.test(name)) mirrored.push([name, value]);
    }
    const forwarded = forwardedHeaders(this.#route.upstream.options.forwardHeaders, caller.headers) ?? '';
    return BASE_HEADERS + renderHeaders(mirrored) + forwarded;
  }
}

/** What a server of the other era says to a request it does not know: the verdict was wrong, or the server was replaced. */
function speaksLegacy(answer: Message): boolean {
  const { error } = JSON.parse(answer.raw.toString()) as { error?: { code?: unknown } };
  return error?.code === ErrorCode.legacyServerError;
}
