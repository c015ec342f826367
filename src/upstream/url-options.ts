/** Which upstream URLs are taken, and why one is not. */
import { z } from 'zod';
import { parseUrl, refuse } from '../core/option-schemas.js';

export const upstreamUrlSchema = z
  .string({ error: 'expected a URL such as https://mcp.example.com/sse' })
  .transform((text, context) => {
    const url = parseUrl(text);
    if (url === undefined)
      return refuse(context, 'not a URL; write it with its scheme, such as https://mcp.example.com/sse');
    const refusal = refusalOf(url, text);
    if (refusal !== undefined) return refuse(context, refusal.message, refusal.hint);
    return url.href;
  })
  .meta({ format: 'uri' });

function refusalOf(url: URL, text: string): { message: string; hint?: string } | undefined {
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    return { message: 'the URL must start with http:// or https://' };
  if (url.username !== '' || url.password !== '') {
    return {
      message: 'a URL must not hold a user name or password',
      hint: 'send credentials with headers: { Authorization: "Bearer ${TOKEN}" }',
    };
  }
  // `URL` forgets an empty fragment, so the text is asked too.
  if (url.hash !== '' || text.includes('#')) return { message: 'a fragment (#...) is never sent to a server' };
  return undefined;
}
