import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { AuditFile } from '../../../src/audit/audit-file.js';
import { BatchWriter } from '../../../src/audit/batch-writer.js';

/** A disk in memory that can be told to fail. */
class FakeDisk {
  readonly files: { text: string; isClosed: boolean }[] = [];
  writes = 0;
  syncs = 0;
  /** Bytes that still fit. */
  room = Number.POSITIVE_INFINITY;
  openError: Error | undefined;
  syncError: Error | undefined;

  readonly open = async (): Promise<AuditFile> => {
    if (this.openError !== undefined) throw this.openError;
    const file = { text: '', isClosed: false };
    this.files.push(file);
    return {
      write: async (bytes) => {
        this.writes += 1;
        if (this.room === 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
        const taken = Math.min(bytes.length, this.room);
        this.room -= taken;
        file.text += Buffer.from(bytes.subarray(0, taken)).toString();
        return taken;
      },
      sync: async () => {
        if (this.syncError !== undefined) throw this.syncError;
        this.syncs += 1;
      },
      close: async () => {
        file.isClosed = true;
      },
    };
  };

  get text(): string {
    return this.files.map((file) => file.text).join('|');
  }
}

async function openWriter(disk: FakeDisk, maxBuffered = 1000, onDue?: () => void) {
  const events: string[] = [];
  const writer = await BatchWriter.open('audit.jsonl', disk.open, {
    maxBuffered,
    ...(onDue === undefined ? {} : { onDue }),
    onSynced: async (lines) => void events.push(`synced ${lines}`),
    onFailure: (error) => void events.push(`failure: ${error instanceof Error ? error.message : ''}`),
    onRecovery: () => void events.push('recovery'),
  });
  return { writer, events };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('BatchWriter', () => {
  test('asks for every line that it was told to expect, whatever else it is doing then', async () => {
    const disk = new FakeDisk();
    const expected: string[] = [];
    const { writer } = await openWriter(disk, 1000, () => {
      for (const line of expected.splice(0)) writer.push(line);
    });
    writer.push('first\n');
    // Written after 200 ms, and synced 500 ms later: the second is announced shortly before that.
    await vi.advanceTimersByTimeAsync(650);
    expected.push('second\n');
    writer.expectLine();
    await vi.advanceTimersByTimeAsync(250);
    expect(disk.text).toBe('first\nsecond\n');
    expected.push('third\n');
    writer.expectLine();
    await vi.advanceTimersByTimeAsync(250);
    expect(disk.text).toBe('first\nsecond\nthird\n');
  });

  test('writes what came within 200 ms at once, and syncs it within a second', async () => {
    const disk = new FakeDisk();
    const { writer, events } = await openWriter(disk);
    writer.push('a\n');
    writer.push('b\n');
    await vi.advanceTimersByTimeAsync(199);
    expect(disk.text).toBe('');
    await vi.advanceTimersByTimeAsync(1);
    expect([disk.text, disk.writes]).toEqual(['a\nb\n', 1]);
    await vi.advanceTimersByTimeAsync(799);
    expect(events).toEqual(['synced 2']);
  });

  test('does nothing while nothing is recorded', async () => {
    const disk = new FakeDisk();
    const { writer } = await openWriter(disk);
    writer.push('a\n');
    await vi.advanceTimersByTimeAsync(60_000);
    expect([disk.writes, disk.syncs, vi.getTimerCount()]).toEqual([1, 1, 0]);
  });

  test('does not wait for the interval when 256 Ki are waiting', async () => {
    const disk = new FakeDisk();
    const { writer } = await openWriter(disk, 1e9);
    writer.push(`${'x'.repeat(256 * 1024)}\n`);
    await vi.advanceTimersByTimeAsync(0);
    expect(disk.text.length).toBe(256 * 1024 + 1);
  });

  test('goes on in the middle of a line that a full disk took half of, and repeats nothing', async () => {
    const disk = new FakeDisk();
    const { writer, events } = await openWriter(disk);
    disk.room = 4;
    writer.push('first\n');
    writer.push('second\n');
    await writer.flush();
    expect([disk.text, writer.isFailing]).toEqual(['firs', true]);
    writer.push('third\n');
    await vi.advanceTimersByTimeAsync(1000);
    expect(events).toEqual(['failure: no space left on device']);
    disk.room = Number.POSITIVE_INFINITY;
    await vi.advanceTimersByTimeAsync(200);
    expect([disk.text, writer.isFailing]).toEqual(['first\nsecond\nthird\n', false]);
    expect(events).toEqual(['failure: no space left on device', 'recovery']);
  });

  test('has no room once so much is waiting, and has again when it is written', async () => {
    const disk = new FakeDisk();
    const { writer } = await openWriter(disk, 10);
    disk.room = 0;
    writer.push('12345\n');
    expect(writer.hasRoom).toBe(true);
    writer.push('67890\n');
    expect(writer.hasRoom).toBe(false);
    await writer.flush();
    expect(writer.hasRoom).toBe(false);
    disk.room = Number.POSITIVE_INFINITY;
    await writer.flush();
    expect(writer.hasRoom).toBe(true);
  });

  test('a failed sync is a failure, and is repeated', async () => {
    const disk = new FakeDisk();
    const { writer, events } = await openWriter(disk);
    disk.syncError = new Error('input/output error');
    writer.push('a\n');
    await vi.advanceTimersByTimeAsync(1000);
    expect([events, writer.isFailing]).toEqual([['failure: input/output error'], true]);
    disk.syncError = undefined;
    await vi.advanceTimersByTimeAsync(200);
    expect(events).toEqual(['failure: input/output error', 'synced 1', 'recovery']);
  });

  test('the next file begins exactly with the line pushed to it; the old one is whole, synced and closed', async () => {
    const disk = new FakeDisk();
    const { writer } = await openWriter(disk);
    writer.push('old\n');
    writer.pushToNextFile('first\n');
    writer.push('new\n');
    await writer.flush();
    expect(disk.files).toEqual([
      { text: 'old\n', isClosed: true },
      { text: 'first\nnew\n', isClosed: false },
    ]);
    expect(disk.syncs).toBe(1);
  });

  test('a next file that cannot be opened is tried again, and no line is lost', async () => {
    const disk = new FakeDisk();
    const { writer, events } = await openWriter(disk);
    writer.push('old\n');
    disk.openError = new Error('permission denied');
    writer.pushToNextFile('first\n');
    await writer.flush();
    writer.push('new\n');
    expect([disk.text, events]).toEqual(['old\n', ['failure: permission denied']]);
    disk.openError = undefined;
    await vi.advanceTimersByTimeAsync(200);
    expect(disk.text).toBe('old\n|first\nnew\n');
  });

  test('close writes and syncs everything, leaves no timer, and tells what could not be written', async () => {
    const disk = new FakeDisk();
    const { writer, events } = await openWriter(disk);
    writer.push('a\n');
    expect(await writer.close()).toBe(0);
    expect([disk.text, events, disk.files[0]?.isClosed, vi.getTimerCount()]).toEqual(['a\n', ['synced 1'], true, 0]);

    const full = new FakeDisk();
    const { writer: blocked } = await openWriter(full);
    full.room = 0;
    blocked.push('a\n');
    blocked.push('b\n');
    expect(await blocked.close()).toBe(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('lines keep their order when flushes, pushes and closes run into each other', async () => {
    const disk = new FakeDisk();
    const { writer } = await openWriter(disk, 1e9);
    let expected = '';
    for (let i = 0; i < 500; i += 1) {
      expected += `${i}\n`;
      writer.push(`${i}\n`);
      if (i % 7 === 0) void writer.flush();
      if (i % 11 === 0) await Promise.resolve();
    }
    await writer.close();
    expect(disk.text).toBe(expected);
  });
});
