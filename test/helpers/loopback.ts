/** Puts any server on a free loopback port, and takes it down with every connection it has. */
import type { AddressInfo, Server, Socket } from 'node:net';

export interface Loopback {
  readonly port: number;
  /** Sockets that are open now. */
  readonly sockets: ReadonlySet<Socket>;
  /** Destroys every open connection; the server goes on listening. */
  killConnections(): void;
  /** Refuses new connections; those that are open go on. */
  refuseNew(): void;
  /** Stops listening and destroys every connection. May be called again. */
  close(): Promise<void>;
}

/** @param port 0 for any free port; a fixed one to come back where a server has been before */
export async function listenOnLoopback(server: Server, port = 0): Promise<Loopback> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
  const killConnections = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    killConnections,
    refuseNew: () => {
      server.close();
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        killConnections();
      }),
  };
}
