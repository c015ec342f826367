/** The listener: where clients reach us, who may, and how much they may send. */
import { z } from 'zod';
import { countSchema, durationSchema, fileSchema, sizeSchema } from '../core/option-schemas.js';
import { hostNameSchema, hostSchema, originSchema, publicUrlSchema, type PublicUrl } from './address-options.js';

export interface ServerTlsOptions {
  /** Absolute paths to PEM files. */
  certFile: string;
  keyFile: string;
  /** Turns on mutual TLS. */
  clientCaFile?: string;
}

export interface ServerLimits {
  bodyBytes: number;
  jsonDepth: number;
  jsonTokens: number;
  upstreamMessageBytes: number;
  sessions: number;
  sessionsPerPrincipal: number;
  inFlight: number;
  streamBufferBytes: number;
  bufferBytes: number;
}

/** Everything under `server` but `sessions`, which is the session domain's. */
export interface ListenerOptions {
  host: string;
  port: number;
  insecure: boolean;
  publicUrl: PublicUrl | undefined;
  /** Lower case. */
  domain: string | undefined;
  /** Lower-case host names without port. */
  allowedHosts: string[];
  /** Serialized origins, as browsers send them. */
  allowedOrigins: string[];
  tls: ServerTlsOptions | undefined;
  limits: ServerLimits;
  drain: { preStopMs: number; timeoutMs: number };
}

export interface ServerOptions extends ListenerOptions {
  sessions: { resumeGraceMs: number; idleTimeoutMs: number; ttlMs: number };
}

const tlsSchema = z.strictObject({
  certFile: fileSchema().describe('PEM certificate chain.'),
  keyFile: fileSchema().describe('PEM key.'),
  clientCaFile: z
    .exactOptional(fileSchema())
    .describe('PEM authorities of client certificates; setting it turns on mutual TLS.'),
});

const limitsSchema = z
  .strictObject({
    bodyBytes: sizeSchema({ min: '1KiB', max: '1GiB' }).prefault('4MiB').describe('Largest request body (413 beyond).'),
    jsonDepth: countSchema({ min: 8, max: 10_000 }).default(64).describe('Deepest nesting of a message (400 beyond).'),
    jsonTokens: countSchema({ min: 100, max: 100_000_000 })
      .default(100_000)
      .describe('Most values and names in one message (400 beyond).'),
    upstreamMessageBytes: sizeSchema({ min: '1KiB', max: '1GiB' })
      .prefault('16MiB')
      .describe('Largest message taken from an upstream.'),
    sessions: countSchema({ min: 1, max: 10_000_000 })
      .default(10_000)
      .describe('Sessions open at the same time, at each replica.'),
    sessionsPerPrincipal: countSchema({ min: 1, max: 10_000_000 })
      .default(100)
      .describe(
        'Sessions one caller may hold, on either transport. Each replica counts its own: together they allow a multiple. ' +
          'Anonymous callers are not bound by it.',
      ),
    inFlight: countSchema({ min: 1, max: 10_000_000 })
      .default(1000)
      .describe('Requests being answered at the same time (503 beyond).'),
    streamBufferBytes: sizeSchema({ min: '1KiB', max: '1GiB' })
      .prefault('64KiB')
      .describe('What may wait for one slow stream; a single larger message may always wait alone.'),
    bufferBytes: sizeSchema({ min: '64KiB', max: '64GiB' })
      .prefault('64MiB')
      .describe('What may wait for all slow streams together.'),
  })
  .prefault({})
  .describe('Bounds that hold for every caller.');

const drainSchema = z
  .strictObject({
    preStop: durationSchema({ min: '0s', max: '10m' })
      .prefault('0s')
      .describe('How long to go on serving, not ready, before the listener closes.'),
    timeout: durationSchema({ min: '0s', max: '1h' })
      .prefault('25s')
      .describe('How long calls in flight may take to finish before they are cut.'),
  })
  .transform((keys) => ({ preStopMs: keys.preStop, timeoutMs: keys.timeout }))
  .prefault({})
  .describe('How the gateway stops.');

export const listenerSchema = z.strictObject({
  host: hostSchema.prefault('127.0.0.1').describe('Address to listen on. Beyond loopback, `insecure: true` is needed.'),
  port: countSchema({ min: 0, max: 65_535 })
    .default(8080)
    .describe('Port; 0 takes any free one, and the start log names it.'),
  insecure: z.boolean().default(false).describe('Allow listening beyond loopback without authentication.'),
  publicUrl: publicUrlSchema
    .optional()
    .describe('How clients reach us, or a path alone. Its path stands before every endpoint we hand out.'),
  domain: hostNameSchema.optional().describe('Serve `/sumit/sse` as `sumit.<domain>/sse` too.'),
  allowedHosts: z
    .array(hostNameSchema)
    .prefault([])
    .describe("Host names accepted besides loopback names, `domain`, its prefixes and publicUrl's host."),
  allowedOrigins: z
    .array(originSchema)
    .prefault([])
    .describe('Browser origins that may call, exactly as browsers send them.'),
  tls: tlsSchema.optional().describe('Serve https.'),
  limits: limitsSchema,
  drain: drainSchema,
});
