import { expect, test } from 'vitest';
import type { GatewayConfig } from '../../../src/config/config.js';
import { parseConfig } from '../../../src/config/load.js';
import { MemoryPinStore, createToolPins } from '../../../src/policy/tool-pins.js';
import { SessionQuota } from '../../../src/session/session-quota.js';
import { type ConfigChanges, Reloader } from '../../../src/gateway/reload.js';
import { anonymousPrincipal } from '../../../src/auth/anonymous.js';
import { RecordingLogger } from '../../helpers/start-gateway.js';

const NO_CHANGES: ConfigChanges = { added: [], removed: [], replaced: [], waiting: [] };

/** A reloader whose reads end when the test says so. It watches nothing, since its configurations name no files. */
function reloader() {
  const reads: ((config: GatewayConfig) => void)[] = [];
  const adopted: string[] = [];
  const log = new RecordingLogger();
  const config = (domain: string): GatewayConfig =>
    parseConfig(`upstreams: [https://mcp.sumit.com/sse]\nversion: 1\nserver: { domain: ${domain} }`, '<stdin>', {
      env: {},
    });
  const subject = new Reloader({
    logger: log,
    audit: undefined,
    metrics: undefined,
    load: () => new Promise((resolve) => reads.push(resolve)),
    adopt: ({ server }) => {
      if (server.domain === 'refused.example') throw new Error('no');
      adopted.push(server.domain ?? '');
      return NO_CHANGES;
    },
  });
  return { subject, reads, adopted, log, config };
}

test('requests that come while one read is under way share the next', async () => {
  const { subject, reads, adopted, config } = reloader();
  const first = subject.reload();
  const [second, third] = [subject.reload(), subject.reload()];
  expect(second).toBe(third);
  expect(reads).toHaveLength(1);
  reads[0]?.(config('one.example'));
  await first;
  expect(adopted).toEqual(['one.example']);
  await new Promise((resolve) => setImmediate(resolve));
  expect(reads).toHaveLength(2);
  reads[1]?.(config('two.example'));
  await second;
  expect(adopted).toEqual(['one.example', 'two.example']);
  await subject.stop();
});

test('what cannot be put in force is logged, and the next can', async () => {
  const { subject, reads, adopted, log, config } = reloader();
  const refused = subject.reload();
  reads[0]?.(config('refused.example'));
  await refused;
  expect(log.lines.map(({ event }) => event)).toEqual(['config_reload_failed']);
  const taken = subject.reload();
  reads[1]?.(config('good.example'));
  await taken;
  expect(adopted).toEqual(['good.example']);
  await subject.stop();
});

test('nothing is put in force after the stop, not even what was being read', async () => {
  const { subject, reads, adopted, config } = reloader();
  const reading = subject.reload();
  await subject.stop();
  reads[0]?.(config('late.example'));
  await reading;
  expect(adopted).toEqual([]);
});

test('a tool that waits for approval is still blocked under new rules', async () => {
  const store = new MemoryPinStore();
  const before = createToolPins('block', store);
  await before.check('r', [{ name: 't', description: 'one' }]);
  await before.check('r', [{ name: 't', description: 'two' }]);
  expect(before.isBlocked('r', 't')).toBe(true);
  const warning = createToolPins('warn', store, before);
  expect(warning.isBlocked('r', 't')).toBe(false);
  expect(createToolPins('block', store, warning).isBlocked('r', 't')).toBe(true);
});

test('sessions counted before callers were bound are given back after', () => {
  const options = { sessions: 10, sessionsPerPrincipal: 2, bindsAnonymous: false };
  const quota = new SessionQuota(options);
  const nobody = anonymousPrincipal(undefined);
  for (let count = 0; count < 3; count += 1) quota.take(nobody);
  options.bindsAnonymous = true;
  expect(() => quota.take(nobody)).toThrow();
  quota.giveBack(nobody);
  quota.giveBack(nobody);
  quota.take(nobody);
  expect(() => quota.take(nobody)).toThrow();
});
