/** Which peers may speak for others: addresses and networks as people write them under `server.trustedProxies`. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { refuse } from '../core/option-schemas.js';

const EXPECTED = 'expected an address or a CIDR such as 10.0.0.0/8 or fd00::/8';

/** A bare address stands for itself alone: `10.0.0.1` becomes `10.0.0.1/32`. */
export const trustedProxySchema = z.string().transform((text, context) => {
  const [address = '', length, ...rest] = text.split('/');
  const family = isIP(address);
  // A zone names an interface of one machine, and no network.
  if (family === 0 || address.includes('%') || rest.length > 0) return refuse(context, EXPECTED);
  const bits = family === 4 ? 32 : 128;
  if (length === undefined) return `${address}/${bits}`;
  if (!/^\d{1,3}$/.test(length) || Number(length) > bits) return refuse(context, EXPECTED);
  return `${address}/${Number(length)}`;
});
