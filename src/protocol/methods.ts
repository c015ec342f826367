/** The method names the gateway itself acts on; all others only pass. */
export const Method = {
  initialize: 'initialize',
  initialized: 'notifications/initialized',
  ping: 'ping',
  discover: 'server/discover',
  listen: 'subscriptions/listen',
  toolsCall: 'tools/call',
  toolsList: 'tools/list',
  setLevel: 'logging/setLevel',
  subscribe: 'resources/subscribe',
  unsubscribe: 'resources/unsubscribe',
  cancelled: 'notifications/cancelled',
  progress: 'notifications/progress',
  message: 'notifications/message',
} as const;
