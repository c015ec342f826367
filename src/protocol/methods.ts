/** The methods of the protocol over all revisions. What is not in these tables does not pass. */

/** Those the gateway itself acts on. */
export const Method = {
  initialize: 'initialize',
  initialized: 'notifications/initialized',
  ping: 'ping',
  discover: 'server/discover',
  listen: 'subscriptions/listen',
  toolsCall: 'tools/call',
  toolsList: 'tools/list',
  resourcesList: 'resources/list',
  templatesList: 'resources/templates/list',
  resourcesRead: 'resources/read',
  promptsList: 'prompts/list',
  promptsGet: 'prompts/get',
  complete: 'completion/complete',
  setLevel: 'logging/setLevel',
  subscribe: 'resources/subscribe',
  unsubscribe: 'resources/unsubscribe',
  resourceUpdated: 'notifications/resources/updated',
  toolsChanged: 'notifications/tools/list_changed',
  cancelled: 'notifications/cancelled',
  progress: 'notifications/progress',
  message: 'notifications/message',
} as const;

const TASK_METHODS: readonly string[] = ['tasks/get', 'tasks/result', 'tasks/list', 'tasks/cancel', 'tasks/update'];

const CLIENT_REQUESTS: ReadonlySet<string> = new Set([
  Method.initialize,
  Method.ping,
  Method.discover,
  Method.listen,
  Method.toolsCall,
  Method.toolsList,
  Method.resourcesList,
  Method.templatesList,
  Method.resourcesRead,
  Method.promptsList,
  Method.promptsGet,
  Method.complete,
  Method.setLevel,
  Method.subscribe,
  Method.unsubscribe,
  ...TASK_METHODS,
]);

const SERVER_REQUESTS: ReadonlySet<string> = new Set([
  Method.ping,
  'sampling/createMessage',
  'elicitation/create',
  'roots/list',
  ...TASK_METHODS,
]);

/** Whether a client may ask it, in some revision. */
export function isClientRequest(method: string): boolean {
  return CLIENT_REQUESTS.has(method);
}

/** Whether a server may ask it, in some revision. */
export function isServerRequest(method: string): boolean {
  return SERVER_REQUESTS.has(method);
}
