/**
 * The measure that everything is compared with: a reverse proxy of plain Node that pipes bytes and parses nothing.
 * Arguments: the upstream's port. Prints `ready PORT`.
 */
import { Agent, createServer, request as httpRequest } from 'node:http';

const upstreamPort = Number(process.argv[2]);
const agent = new Agent({ keepAlive: true, maxSockets: Infinity, maxFreeSockets: 20_000 });

const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0 }, (request, response) => {
  const { method, url, headers } = request;
  const forwarded = httpRequest({ host: '127.0.0.1', port: upstreamPort, method, path: url, headers, agent });
  forwarded.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  forwarded.on('error', () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end();
  });
  response.on('close', () => {
    if (!response.writableFinished) forwarded.destroy();
  });
  request.pipe(forwarded);
});
server.listen(0, '127.0.0.1', 4096, () => process.stdout.write(`ready ${server.address().port}\n`));
