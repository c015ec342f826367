import { afterEach, beforeEach, vi } from 'vitest';
import { MemoryLimitStore } from '../../../src/rate-limit/memory-store.js';
import { describeLimitStore } from '../../helpers/limit-store-contract.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describeLimitStore('MemoryLimitStore', () => ({
  store: new MemoryLimitStore(),
  passTime: (ms) => void vi.advanceTimersByTime(ms),
}));
