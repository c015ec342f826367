/** Says on standard output whether the Redis at the URL given answers: for tests whose trust is set when Node starts. */
import { makeLink } from './redis-link.js';

const { link, log } = makeLink(process.argv[2] ?? '');
await link.connect();
const answer = await link.run((redis) => redis.ping()).catch((error: Error) => error.name);
process.stdout.write(`${JSON.stringify({ answer, log: log() })}\n`);
await link.close();
