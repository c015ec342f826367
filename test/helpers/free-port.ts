/** A port for a program that cannot say which one it took. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** It was free a moment ago: whoever starts something there tries again when it is taken. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
