/** The `cluster` part of gateway.yaml: how replicas reach and trust each other. */
import { z } from 'zod';
import { parseUrl, refuse } from '../core/option-schemas.js';

export interface ListenAddress {
  /** A name or an address; IPv6 without brackets. */
  host: string;
  /** 0: any free one. */
  port: number;
}

export interface ClusterOptions {
  /** Origin such as `http://10.0.0.7:8081`, without a slash at its end; undefined: derived from `listen`. */
  advertise: string | undefined;
  listen: ListenAddress;
  /** The current one first. At least one, none empty. */
  secrets: readonly string[];
}

const LISTEN_FORM = 'must be host:port, such as 0.0.0.0:8081 or [::]:8081';
const ADVERTISE_FORM = 'must be an http or https URL without path, such as http://10.0.0.7:8081';
/** How to come by a secret. */
export const SECRET_HINT = 'make one with: openssl rand -base64 32';
const SECRET_FORM = `expected a random text or a list of them; ${SECRET_HINT}`;

const advertise = z.string().transform((text, context) => {
  const url = parseUrl(text);
  const isPlain = url !== undefined && url.username === '' && url.password === '' && !/[?#]/.test(text);
  if (!isPlain || url.pathname !== '/' || !/^https?:$/.test(url.protocol)) return refuse(context, ADVERTISE_FORM);
  return url.port === '0' ? refuse(context, 'must name the port that other replicas reach') : url.origin;
});

const listen = z.string().transform((text, context): ListenAddress => {
  const match = /^(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return refuse(context, LISTEN_FORM);
  return { host: match[1] ?? match[2] ?? '', port };
});

const secret = z.string().min(1);

export const clusterSchema = z
  .strictObject({
    advertise: advertise
      .optional()
      .describe(
        'Where other replicas reach this one: an http(s) URL without path, e.g. `http://${POD_IP}:8081`. ' +
          'Default: made from `listen`.',
      ),
    listen: listen
      .prefault('0.0.0.0:8081')
      .describe('Where this replica listens for others, `host:port`, IPv6 in brackets; port 0 takes a free one.'),
    secret: z
      .union([secret, z.array(secret).min(1)], { error: SECRET_FORM })
      .describe(
        'What replicas know each other by and seal with what they share: a random text, the same on all replicas. ' +
          'A list for rotation: the current one, then those before it.',
      ),
  })
  .transform(
    (keys): ClusterOptions => ({
      advertise: keys.advertise,
      listen: keys.listen,
      secrets: typeof keys.secret === 'string' ? [keys.secret] : keys.secret,
    }),
  );
