/**
 * The routes of the synthetic server. Every target serves them under the same paths, so a client cannot tell targets apart.
 * `transport` is how the server speaks there.
 */
export const ROUTES = {
  sse: { prefix: 'legacy', path: '/legacy/sse', transport: 'sse' },
  json: { prefix: 'json', path: '/json/mcp', transport: 'streamable-http' },
  events: { prefix: 'events', path: '/events/mcp', transport: 'streamable-http' },
  modern: { prefix: 'modern', path: '/modern/mcp', transport: 'stateless' },
};
