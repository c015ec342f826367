/** The command line: which commands and options there are. What a command does is in its own file. */
import { Argument, Command, Option } from 'commander';
import { didYouMean } from '../config/suggest.js';
import type { AuditVerifyOptions } from './commands/audit-verify.js';
import { completion } from './commands/completion.js';
import type { ExplainOptions } from './commands/explain.js';
import { healthcheck } from './commands/healthcheck.js';
import type { PolicyHistoryOptions } from './commands/policy-history.js';
import type { PolicyPushOptions } from './commands/policy-push.js';
import type { PolicyRollbackOptions } from './commands/policy-rollback.js';
import type { PolicyShowOptions } from './commands/policy-show.js';
import type { RoutesOptions } from './commands/routes.js';
import type { SimulateOptions } from './commands/simulate.js';
import type { ValidateOptions } from './commands/validate.js';
import { UsageError } from './exit-codes.js';
import type { Io } from './io.js';
import type { ServeOptions } from './serve-options.js';

export interface Program {
  command: Command;
  /** Of the command that ran. */
  exitCode(): number;
}

// Commands are loaded when they run, so that small ones, such as a health check, start without policies and gateway.

const CONFIG_HELP = 'configuration file; - is standard input (default: the usual places)';

export function createProgram(io: Io, version: string): Program {
  let exitCode = 0;
  const end = (code: number): void => {
    exitCode = code;
  };
  const root = new Command('mcp-gateway')
    .description('Many MCP servers behind one address, as one file says')
    .version(version, '--version', 'print the version')
    .helpCommand(false)
    .addHelpText('after', '\nWithout a command, `serve` runs: mcp-gateway --config gateway.yaml\n')
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.out(text), writeErr: (text) => io.err(text) });

  addServe(root, io, end);
  addFileCommands(root, io, end);
  addPolicyCommands(root, io, end);
  addPushing(root, io, end);
  addAudit(root, io, end);
  addHelpers(root, io, end);
  return { command: root, exitCode: () => exitCode };
}

type End = (code: number) => void;

function addServe(root: Command, io: Io, end: End): void {
  root
    .command('serve', { isDefault: true })
    .summary('run the gateway')
    .description('Run the gateway, from a file or for one upstream. This is what happens when no command is named.')
    .option('--config <file>', CONFIG_HELP)
    .option('--upstream <url>', 'serve this one upstream, without a file')
    .addOption(new Option('--sse-proxy <url>', 'the same as --upstream'))
    .option('--port <number>', 'port to listen on; 0 is any free one')
    .option('--host <host>', 'address to listen on')
    .option('--policy-config <file>', 'policy of this upstream (JSON or YAML)')
    .option('--policy-role <role>', 'role of callers, as the policy knows it')
    .option('--headers <name-value...>', 'header sent upstream: a name and a value; may be repeated')
    .option('--allow-origin <origin>', 'browser origin that may call; may be repeated', collect)
    .option('--api-key-env <name>', 'variable with the bearer token sent upstream (default: API_ACCESS_TOKEN)')
    .option('--insecure', 'listen beyond loopback without authentication')
    .allowExcessArguments(true)
    .action(async (options: ServeOptions, command: Command) => {
      refuseWords(command, root);
      const { serve } = await import('./commands/serve.js');
      end(await serve(options, io));
    });
}

function addFileCommands(root: Command, io: Io, end: End): void {
  root
    .command('validate')
    .summary('say what is wrong with a configuration')
    .description('Print every problem as FILE:LINE:COLUMN: message. Exit code 78 when there is one.')
    .option('--config <file>', CONFIG_HELP)
    .addOption(new Option('--format <format>', 'how to print').choices(['text', 'json']).default('text'))
    .action(async (options: ValidateOptions) => {
      const { validate } = await import('./commands/validate.js');
      end(await validate(options, io));
    });
  root
    .command('routes')
    .summary('list what is served where')
    .description('List prefix, upstream, transport, policy and endpoints of every route.')
    .option('--config <file>', CONFIG_HELP)
    .option('--json', 'print JSON')
    .action(async (options: RoutesOptions) => {
      const { routes } = await import('./commands/routes.js');
      end(await routes(options, io));
    });
  root
    .command('schema')
    .summary('print the JSON Schema of gateway.yaml')
    .description('Print the JSON Schema (2020-12) of gateway.yaml.')
    .action(async () => {
      const { schema } = await import('./commands/schema.js');
      end(schema(io));
    });
  root
    .command('init')
    .summary('write a gateway.yaml to start from')
    .description('Write a commented gateway.yaml, a policy and the schema. Nothing is overwritten.')
    .argument('[directory]', 'where to write', '.')
    .action(async (directory: string) => {
      const { init } = await import('./commands/init.js');
      end(await init(directory, io));
    });
}

function addPolicyCommands(root: Command, io: Io, end: End): void {
  root
    .command('explain')
    .summary('say which rule decides about a call')
    .description(
      'Say which layer and rule decide about a call of a tool, and what was looked at on the way. Exit code 0: allow, ' +
        '1: deny, 64: no such route, 78: the configuration is invalid.',
    )
    .option('--config <file>', CONFIG_HELP)
    .requiredOption('--route <prefix>', 'route to call')
    .requiredOption('--tool <name>', 'tool to call')
    .option('--role <role>', 'role of the caller (default: the role of the route)')
    .option('--tenant <tenant>', 'tenant of the caller')
    .option('--args <json>', 'arguments of the call, a JSON object')
    .option('--json', 'print JSON')
    .action(async (options: ExplainOptions) => {
      const { explain } = await import('./commands/explain.js');
      end(await explain(options, io));
    });
  root
    .command('simulate')
    .summary('say which recorded decisions would change')
    .description(
      'Decide anew, under this configuration, what an audit trail recorded. Exit code 0: nothing would change, ' +
        '1: something would, 66: no such file, 78: the configuration is invalid.',
    )
    .option('--config <file>', CONFIG_HELP)
    .requiredOption('--audit <file>', 'audit trail')
    .option('--json', 'print JSON')
    .action(async (options: SimulateOptions) => {
      const { simulate } = await import('./commands/simulate.js');
      end(await simulate(options, io));
    });
}

function addPushing(root: Command, io: Io, end: End): void {
  const policy = root
    .command('policy')
    .summary('change a policy on all replicas')
    .description('Push a policy to all replicas, see what was pushed, and take it back. Needs redis.');
  policy.helpCommand(false);
  policy
    .command('push')
    .summary('make a file rule on all replicas')
    .description(
      'Make a file rule as the policy of that name on all replicas, whatever their own files say. Exit code 1: ' +
        'another policy rules than --if-hash says, 66: no such file, 69: Redis does not answer, 78: the policy or the ' +
        'configuration is invalid; then nothing was changed.',
    )
    .argument('<name>', 'name under `policies`')
    .argument('<file>', 'policy (JSON or YAML)')
    .option('--config <file>', CONFIG_HELP)
    .option('--if-hash <hash>', 'only if this policy rules now: its hash, or the first 8 or more digits')
    .action(async (name: string, file: string, options: PolicyPushOptions) => {
      const { policyPush } = await import('./commands/policy-push.js');
      end(await policyPush(name, file, options, io));
    });
  policy
    .command('show')
    .summary('say what rules, or print it')
    .description('List which policies rule and where they come from; with a name, print the text of that one.')
    .argument('[name]', 'name under `policies`')
    .option('--config <file>', CONFIG_HELP)
    .option('--json', 'print JSON')
    .action(async (name: string | undefined, options: PolicyShowOptions) => {
      const { policyShow } = await import('./commands/policy-show.js');
      end(await policyShow(name, options, io));
    });
  policy
    .command('history')
    .summary('list what was pushed')
    .description('List every push and rollback of a policy, the newest first.')
    .argument('<name>', 'name under `policies`')
    .option('--config <file>', CONFIG_HELP)
    .option('--json', 'print JSON')
    .action(async (name: string, options: PolicyHistoryOptions) => {
      const { policyHistory } = await import('./commands/policy-history.js');
      end(await policyHistory(name, options, io));
    });
  policy
    .command('rollback')
    .summary('go back to an earlier push, or to the file')
    .description(
      'Make an earlier push rule again on all replicas: the one before, or the one that is named. Exit code 1: there ' +
        'is none, 69: Redis does not answer, 78: it or the configuration is invalid; then nothing was changed.',
    )
    .argument('<name>', 'name under `policies`')
    .argument('[hash]', 'hash of what was pushed, or the first 8 or more digits')
    .option('--config <file>', CONFIG_HELP)
    .option('--to-file', 'let the file rule again')
    .action(async (name: string, hash: string | undefined, options: PolicyRollbackOptions) => {
      const { policyRollback } = await import('./commands/policy-rollback.js');
      end(await policyRollback(name, hash, options, io));
    });
}

function addAudit(root: Command, io: Io, end: End): void {
  const audit = root.command('audit').summary('check an audit trail').description('Work with an audit trail.');
  audit.helpCommand(false);
  audit
    .command('verify')
    .summary('check the hash chain')
    .description(
      'Check that no record was changed, removed, added or moved. Exit code 0: all is right, 1: the first bad record ' +
        'is named, 66: there is no such file, or no key.',
    )
    .argument('<file...>', 'files of one chain, oldest first')
    .option('--key-file <file>', 'file with the key (default: $MCP_GATEWAY_AUDIT_KEY, or FILE.key)')
    .action(async (files: string[], options: AuditVerifyOptions) => {
      const { auditVerify } = await import('./commands/audit-verify.js');
      end(await auditVerify(files, options, io));
    });
}

function addHelpers(root: Command, io: Io, end: End): void {
  root
    .command('healthcheck')
    .summary('exit 0 if a gateway is ready')
    .description('Exit 0 if the gateway is ready, else 1.')
    .option('--url <url>', 'what to ask (default: http://127.0.0.1:8080/readyz, or as MCP_GATEWAY_SERVER_* say)')
    .action(async (options: { url?: string }) => end(await healthcheck(options, io)));
  root
    .command('completion')
    .summary('print a completion script')
    .description('Print a completion script for your shell.')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action((shell: string) => end(completion(shell, root, io)));
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** Every unknown first word lands in the default command, so a mistyped command is noticed here. */
function refuseWords(command: Command, root: Command): void {
  const [word] = command.args;
  if (word === undefined) return;
  const names = root.commands.map((each) => each.name());
  if (names.includes(word)) throw new UsageError(`the command comes first: mcp-gateway ${word} ...`);
  throw new UsageError(`unknown command "${word}" (${didYouMean(word, names) ?? `there are: ${names.join(', ')}`})`);
}
