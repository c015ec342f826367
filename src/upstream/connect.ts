/** The only place that knows which class speaks which transport. */
import type { UpstreamKind } from '../protocol/transport.js';
import { SseTransport } from './sse-transport.js';
import { StreamableHttpTransport } from './streamable-http-transport.js';
import type { UpstreamListener, UpstreamTransport } from './transport.js';
import type { Upstream } from './upstream.js';

export function connectTransport(
  upstream: Upstream,
  kind: UpstreamKind,
  listener: UpstreamListener,
): UpstreamTransport {
  const options = {
    http: upstream.http,
    url: upstream.url,
    headers: upstream.headers,
    connectTimeoutMs: upstream.options.timeouts.connectMs,
    timers: upstream.dependencies.timers,
    logger: upstream.dependencies.logger,
    maxMessageBytes: upstream.dependencies.maxMessageBytes,
  };
  switch (kind) {
    case 'sse':
      return new SseTransport(options, listener);
    case 'streamable-http':
      return new StreamableHttpTransport(options, listener);
  }
}
