/** Lists the tools at a URL and calls one, with LangChain. Arguments: URL, `sse` or `http`, tool, JSON. */
import { MultiServerMCPClient } from '@langchain/mcp-adapters';

const [url, transport, name, args] = process.argv.slice(2);
const client = new MultiServerMCPClient({
  // Without this it would try Streamable HTTP first and fall back, and so prove less.
  mcpServers: { gateway: { transport, url, automaticSSEFallback: false } },
});
const tools = await client.getTools();
const result = await tools.find((tool) => tool.name === name).invoke(JSON.parse(args));
await client.close();
console.log(JSON.stringify({ tools: tools.map((tool) => tool.name), result }));
