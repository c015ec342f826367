/** `node --import`: makes a server that would listen on every interface listen on loopback, on any free port, and print it. */
import { Server } from 'node:net';

const listen = Object.getOwnPropertyDescriptor(Server.prototype, 'listen').value;

Server.prototype.listen = function listenOnLoopback(...args) {
  const callback = args.find((arg) => typeof arg === 'function');
  this.once('listening', () => console.error(`loopback port ${this.address().port}`));
  return listen.call(this, { port: 0, host: '127.0.0.1' }, callback);
};
