/**
 * An MCP server whose tools say their nonce back, and count each execution of it. Unlike `sdk-fixture`, no tool says that it may
 * be repeated: whoever sends a call twice is found out.
 */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { z } from 'zod';
import type { FixtureState } from './sdk-fixture.js';
import { delay } from './wait.js';

/** For `startSdkUpstream({ createServer })`; the counts are in the upstream's `state.executions`. */
export function countingServer(tools: readonly string[]): (state: FixtureState) => McpServer {
  return (state) => {
    const server = new McpServer({ name: 'counting', version: '1.0.0' });
    for (const tool of tools) {
      server.registerTool(
        tool,
        {
          description: 'Returns its nonce after `delayMs`',
          inputSchema: { nonce: z.string(), delayMs: z.number().default(0) },
        },
        async ({ nonce, delayMs }) => {
          state.countExecution(nonce);
          if (delayMs > 0) await delay(delayMs);
          return { content: [{ type: 'text', text: nonce }] };
        },
      );
    }
    return server;
  };
}
