/** What programs that embed the gateway may use. */
export type { GatewayConfig } from './config/config.js';
export { GatewayError } from './core/errors.js';
export { type GatewayHooks, type RunningGateway, startGateway } from './gateway/gateway.js';
