#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { appendCommand } from './append.ts';
import { checkArguments } from './argument-text.ts';
import { backupCommand } from './backup.ts';
import { type CommandGroup, parseCommandLine } from './command.ts';
import { dumpCommand } from './dump.ts';
import { CommandError, describeFailure, ExitCode } from './exit-code.ts';
import { exportCommand } from './export.ts';
import { getCommand } from './get.ts';
import { commandHelp, overviewHelp } from './help.ts';
import { importCommand } from './import.ts';
import { indexGroup } from './index-group.ts';
import { keysGroup } from './keys-group.ts';
import { kvGroup } from './kv-group.ts';
import { readCommand } from './read.ts';
import { restoreCommand } from './restore.ts';
import { statsCommand } from './stats.ts';
import { streamsCommand } from './streams.ts';
import { OutputClosed, Terminal } from './terminal.ts';
import { printable } from './text.ts';
import { verifyCommand } from './verify.ts';

const root: CommandGroup = {
  prefix: '',
  title: 'an embedded event store that you can prove',
  summary: '',
  commands: [
    importCommand,
    appendCommand,
    readCommand,
    streamsCommand,
    getCommand,
    verifyCommand,
    statsCommand,
    exportCommand,
    backupCommand,
    restoreCommand,
    dumpCommand,
  ],
  groups: [keysGroup, indexGroup, kvGroup],
  firstSteps: [
    'varve append ./my-store orders/1 --type OrderPlaced --data \'{"total":42}\'',
    'varve read ./my-store',
    'varve verify ./my-store',
  ],
};

async function main(args: readonly string[], terminal: Terminal): Promise<void> {
  // Not process.exit: what is still on its way to stdout would be lost.
  process.exitCode = await exitCodeOf(args, terminal);
}

async function exitCodeOf(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const isJson = args.includes('--json');
  const interrupt = listenForInterrupt();
  try {
    const exitCode = await dispatch(args, terminal, interrupt);
    await terminal.flush();
    return exitCode;
  } catch (error) {
    if (error instanceof OutputClosed) {
      return ExitCode.ok;
    }
    if (interrupt.aborted && !(error instanceof CommandError)) {
      return ExitCode.interrupted;
    }
    return fail(error, isJson, terminal);
  }
}

async function dispatch(
  args: readonly string[],
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  checkArguments(args);
  if (args[0] === '--version') {
    await terminal.line(readVersion());
    return ExitCode.ok;
  }
  return dispatchIn(root, args, terminal, signal);
}

async function dispatchIn(
  group: CommandGroup,
  args: readonly string[],
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { prefix, commands, groups } = group;
  const [first, ...rest] = args;
  const isHelp = first === '--help' || first === '-h' || first === 'help';
  const inner = groups.find((candidate) => candidate.prefix === `${isHelp ? rest[0] : first} `);
  if (inner !== undefined) {
    return dispatchIn(inner, isHelp ? ['help', ...rest.slice(1)] : rest, terminal, signal);
  }
  if (first === undefined || isHelp) {
    const named = commands.find(({ name }) => name === `${prefix}${rest[0]}`);
    await terminal.line(named === undefined ? overviewHelp(group) : commandHelp(named));
    return first === undefined ? ExitCode.invalid : ExitCode.ok;
  }
  const command = commands.find(({ name }) => name === `${prefix}${first}`);
  if (command === undefined) {
    const names = [
      ...commands.map(({ name }) => name),
      ...groups.map((each) => each.prefix.trim()),
    ];
    throw new CommandError(`There is no command ${JSON.stringify(`${prefix}${first}`)}.`, {
      advice: `There are: ${names.join(', ')}. See: varve ${prefix}--help`,
    });
  }
  const { positionals, options } = parseCommandLine(command, rest);
  if (options.isOn('help')) {
    await terminal.line(commandHelp(command));
    return ExitCode.ok;
  }
  return command.run({ positionals, options, terminal, signal });
}

/** Results that were found before the failure are shown first. */
async function fail(error: unknown, isJson: boolean, terminal: Terminal): Promise<ExitCode> {
  const { exitCode, code, message, advice, details, applied } = describeFailure(error);
  try {
    await terminal.flush();
  } catch {
    // Nobody reads results any more; the failure is still worth telling.
  }
  if (isJson) {
    terminal.note(JSON.stringify({ error: { code, message, advice, applied, details } }));
    return exitCode;
  }
  const shown = exitCode === ExitCode.internal ? message : printable(message);
  terminal.note(`${terminal.errorStyle('red', 'varve:')} ${shown}`);
  for (const paragraph of advice?.split('\n') ?? []) {
    for (const line of terminal.wrapForError(printable(paragraph), 2)) {
      terminal.note(`  ${line}`);
    }
  }
  return exitCode;
}

/** Aborted by the first Ctrl-C, so that the store is left at rest; the second one ends the process at once. */
function listenForInterrupt(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) {
        process.exit(ExitCode.interrupted);
      }
      controller.abort();
    });
  }
  return controller.signal;
}

function readVersion(): string {
  const path = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

void main(process.argv.slice(2), new Terminal());
