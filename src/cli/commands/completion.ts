/** `completion`: scripts for bash, zsh and fish, made from the commands themselves so that they cannot lag behind. */
import type { Command, Option } from 'commander';
import { EXIT, UsageError } from '../exit-codes.js';
import type { Io } from '../io.js';

const NAME = 'mcp-gateway';
const RENDERERS: ReadonlyMap<string, (root: Command) => string> = new Map([
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
]);

export function completion(shell: string, root: Command, io: Io): number {
  const render = RENDERERS.get(shell);
  if (render === undefined) throw new UsageError(`no completion for ${shell}; there is bash, zsh and fish`);
  io.out(render(root));
  return EXIT.ok;
}

function commandsOf(root: Command): readonly Command[] {
  return root.commands;
}

function flagsOf(command: Command): string[] {
  return ['--help', ...visibleOptions(command).flatMap((option) => (option.long ? [option.long] : []))];
}

/** Those of its subcommands too: a completion that offers one too many does no harm. */
function visibleOptions(command: Command): Option[] {
  return [command, ...command.commands].flatMap((each) => each.options.filter((option) => !option.hidden));
}

function subcommandsOf(command: Command): string[] {
  return command.commands.map((each) => each.name());
}

function bash(root: Command): string {
  const cases = commandsOf(root).map(
    (command) => `    ${command.name()}) words="${[...subcommandsOf(command), ...flagsOf(command)].join(' ')}" ;;`,
  );
  const serve = commandsOf(root).find((command) => command.name() === 'serve') ?? root;
  const names = commandsOf(root).map((command) => command.name());
  return `# ${NAME} completion for bash: source <(${NAME} completion bash)
_mcp_gateway() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words
  case "$previous" in
    --config|--audit|--key-file|--policy-config) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --format) COMPREPLY=($(compgen -W "text json" -- "$current")); return ;;
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$current")); return ;;
    verify) [[ "$current" == -* ]] || { COMPREPLY=($(compgen -f -- "$current")); return; } ;;
    init) COMPREPLY=($(compgen -d -- "$current")); return ;;
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
    *) words="${[...names, '--version', ...flagsOf(serve)].join(' ')}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o filenames -o bashdefault -F _mcp_gateway ${NAME}
`;
}

function zsh(root: Command): string {
  const names = commandsOf(root).map((command) => `    '${command.name()}:${quoted(command.summary())}'`);
  const cases = commandsOf(root).map(
    (command) =>
      `    ${command.name()}) _arguments ${[...zshSubcommands(command), ...visibleOptions(command).map(zshOption)].join(' ')} '*:file:_files' ;;`,
  );
  return `#compdef ${NAME}
# ${NAME} completion for zsh: put it into a file named _${NAME} in a directory of $fpath
_mcp_gateway() {
  local -a commands=(
${names.join('\n')}
  )
  if (( CURRENT == 2 )) && [[ "$words[2]" != -* ]]; then
    _describe command commands
    return
  fi
  case "$words[2]" in
${cases.join('\n')}
    *) _arguments ${visibleOptions(commandsOf(root)[0] ?? root)
      .map(zshOption)
      .join(' ')} ;;
  esac
}
compdef _mcp_gateway ${NAME}
`;
}

function zshSubcommands(command: Command): string[] {
  const names = subcommandsOf(command);
  return names.length === 0 ? [] : [`'2:command:(${names.join(' ')})'`];
}

function zshOption(option: Option): string {
  const value = option.required || option.optional ? ':value:_files' : '';
  return `'${option.long}[${quoted(option.description).replace(/[[\]:]/g, ' ')}]${value}'`;
}

function fish(root: Command): string {
  const lines = [`# ${NAME} completion for fish: ${NAME} completion fish | source`, `complete -c ${NAME} -f`];
  for (const command of commandsOf(root)) {
    const name = command.name();
    lines.push(`complete -c ${NAME} -n __fish_use_subcommand -a ${name} -d '${quoted(command.summary())}'`);
    const seen = name === 'serve' ? '' : ` -n '__fish_seen_subcommand_from ${name}'`;
    for (const each of command.commands) {
      lines.push(`complete -c ${NAME}${seen} -a ${each.name()} -d '${quoted(each.summary())}'`);
    }
    for (const option of visibleOptions(command)) {
      const value = option.required || option.optional ? ' -r -F' : '';
      lines.push(`complete -c ${NAME}${seen} -l ${option.long?.slice(2)}${value} -d '${quoted(option.description)}'`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return text.replace(/['\\]/g, '');
}
