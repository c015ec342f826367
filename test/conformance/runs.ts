/** Which tool is run against which server. The direct run is the control: it shows that the fixture is what the tool wants. */
import type { ToolRun } from './run-tool.js';

export interface Run extends ToolRun {
  readonly name: string;
  readonly fixture: 'legacy' | 'dual';
  /** How the gateway reaches the fixture. */
  readonly upstream: 'streamable-http' | 'sse';
  /** Checks that succeed directly; a tool that checks less than it did must not go unnoticed. */
  readonly passes: number;
}

export const RUNS: readonly Run[] = [
  { name: 'released tool, SDK v1', tool: 'released', fixture: 'legacy', upstream: 'streamable-http', passes: 44 },
  {
    name: '2025-11-25, SDK v1',
    tool: 'next',
    specVersion: '2025-11-25',
    fixture: 'legacy',
    upstream: 'streamable-http',
    passes: 84,
  },
  {
    name: '2025-11-25, SDK v1 over HTTP+SSE',
    tool: 'next',
    specVersion: '2025-11-25',
    fixture: 'legacy',
    upstream: 'sse',
    passes: 84,
  },
  {
    name: '2025-11-25, SDK v2',
    tool: 'next',
    specVersion: '2025-11-25',
    fixture: 'dual',
    upstream: 'streamable-http',
    passes: 84,
  },
  {
    name: '2026-07-28, SDK v2',
    tool: 'next',
    specVersion: '2026-07-28',
    fixture: 'dual',
    upstream: 'streamable-http',
    passes: 152,
  },
];
