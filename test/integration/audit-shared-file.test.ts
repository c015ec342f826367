/** Two gateways that are given one audit file: neither breaks the other's chain. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyAudit } from '../helpers/verify-audit.js';
import { type SdkUpstream, startSdkUpstream } from '../helpers/sdk-upstream.js';
import { startGatewayProcess } from '../helpers/start-gateway.js';
import { BareStreamable } from './sessions-support.js';

test.each([
  ['that is there', '.'],
  ['that is not there yet', 'made/for/it'],
])('in a folder %s, the second writes a file of its own, and both verify', async (_what, folder) => {
  const root = await mkdtemp(join(tmpdir(), 'audit-shared-'));
  const directory = join(root, folder);
  const upstream: SdkUpstream = await startSdkUpstream();
  const config = {
    upstreams: [{ url: upstream.urls.streamable, prefix: 'sdk' }],
    audit: { file: join(directory, 'audit.log') },
  };
  const gateways = [await startGatewayProcess(config), await startGatewayProcess(config)];
  try {
    expect(gateways[1]?.child.output).toContain('audit_file_in_use');
    for (const { url } of gateways) {
      const client = await BareStreamable.open(url, 'sdk');
      await client.request('tools/list');
    }
  } finally {
    for (const gateway of gateways) await gateway.stop();
    await upstream.close();
  }
  const files = (await readdir(directory)).filter((name) => name.endsWith('.log'));
  expect(files).toHaveLength(2);
  expect(await readdir(directory)).not.toContainEqual(expect.stringMatching(/\.claim$/));
  for (const name of files) expect(verifyAudit(join(directory, name))).toMatchObject({ status: 0 });
  await rm(root, { recursive: true });
});
