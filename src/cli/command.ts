import { parseArgs, type ParseArgsConfig } from 'node:util';
import { CommandError, type ExitCode } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

/** One command of `varve`. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** The positional arguments, as help shows them. */
  readonly usage: string;
  readonly positionals: { readonly min: number; readonly max: number };
  readonly options: Readonly<Record<string, CommandOption>>;
  /** Paragraphs of help. */
  readonly details?: readonly string[];
  readonly examples: readonly string[];
  run(invocation: Invocation): Promise<ExitCode>;
}

/** Commands that are listed together: `varve …`, `varve kv …`. */
export interface CommandGroup {
  /** What the names of its commands begin with: nothing, or a word and a space. */
  readonly prefix: string;
  readonly title: string;
  /** In the list of the group that it is in. */
  readonly summary: string;
  readonly commands: readonly Command[];
  readonly groups: readonly CommandGroup[];
  readonly firstSteps: readonly string[];
}

export interface CommandOption {
  /** Name of the value in help; undefined for a switch. */
  readonly value?: string;
  readonly multiple?: true;
  readonly help: string;
}

export interface Invocation {
  readonly positionals: readonly string[];
  readonly options: GivenOptions;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/** Options that every command has. */
export const sharedOptions: Readonly<Record<string, CommandOption>> = {
  json: { help: 'Output for machines: one JSON object a line' },
  help: { help: 'Show this help' },
};

/** Options as they were given, read by name. */
export class GivenOptions {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  text(name: string): string | undefined {
    return this.#values[name] as string | undefined;
  }

  texts(name: string): readonly string[] {
    return (this.#values[name] as readonly string[] | undefined) ?? [];
  }

  isOn(name: string): boolean {
    return this.#values[name] === true;
  }

  wholeNumber(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : parseWholeNumber(text, `--${name}`);
  }

  /** A position that something comes after: -1 stands before all of them. */
  lowerBound(name: string): number | undefined {
    return this.text(name) === '-1' ? -1 : this.wholeNumber(name);
  }
}

export function parseWholeNumber(text: string, what: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new CommandError(`${what} takes a whole number, not ${JSON.stringify(text)}.`);
  }
  return value;
}

/** Throws `CommandError` for what the command doesn't know. */
export function parseCommandLine(
  command: Command,
  args: readonly string[],
): { readonly positionals: readonly string[]; readonly options: GivenOptions } {
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const [name, option] of Object.entries({ ...command.options, ...sharedOptions })) {
    options[name] = {
      type: option.value === undefined ? 'boolean' : 'string',
      multiple: option.multiple === true,
      ...(name === 'help' ? { short: 'h' } : {}),
    };
  }
  const advice = `See: varve ${command.name} --help`;
  try {
    const parsed = parseArgs({
      args: joinNegative(command, args),
      options,
      allowPositionals: true,
      strict: true,
      tokens: true,
    });
    rejectRepeated(
      parsed.tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : [])),
      command,
    );
    const given = new GivenOptions(parsed.values);
    const count = parsed.positionals.length;
    if (
      !given.isOn('help') &&
      (count < command.positionals.min || count > command.positionals.max)
    ) {
      const problem =
        count < command.positionals.min ? 'An argument is missing' : 'Too many arguments';
      throw new CommandError(`${problem}: varve ${command.name} ${command.usage}`, { advice });
    }
    return { positionals: parsed.positionals, options: given };
  } catch (error) {
    throw usageError(error, command);
  }
}

/** `--after -1` as `--after=-1`: Node takes a value that begins with a dash for another option. */
function joinNegative({ options }: Command, args: readonly string[]): string[] {
  const joined: string[] = [];
  let isLiteral = false;
  for (const arg of args) {
    const last = joined.at(-1) ?? '';
    isLiteral ||= last === '--';
    const isPosition = last.startsWith('--') && options[last.slice(2)]?.value === 'position';
    if (!isLiteral && isPosition && /^-\d+$/.test(arg)) {
      joined[joined.length - 1] = `${last}=${arg}`;
    } else {
      joined.push(arg);
    }
  }
  return joined;
}

/** Of two values only the last one would count. */
function rejectRepeated(names: readonly string[], { name, options }: Command): void {
  const seen = new Set<string>();
  for (const given of names) {
    const option = options[given];
    if (option?.value !== undefined && option.multiple !== true && seen.has(given)) {
      throw new CommandError(`The option --${given} is given twice.`, {
        advice: `See: varve ${name} --help`,
      });
    }
    seen.add(given);
  }
}

function usageError(error: unknown, { name }: Command): Error {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!code.startsWith('ERR_PARSE_ARGS')) {
    return error as Error;
  }
  const { message } = error as Error;
  const ambiguous = /^Option '(--[a-z-]+)[^']*' argument is ambiguous/.exec(message);
  if (ambiguous !== null) {
    return new CommandError(`The value of ${ambiguous[1]} begins with a dash.`, {
      advice: `Put = between them: ${ambiguous[1]}=-1`,
      cause: error,
    });
  }
  // Only the first sentence of Node's own message fits: the rest explains positional arguments.
  const first = message.split(/(?<=')\. |\n/)[0]!;
  return new CommandError(first.endsWith('.') ? first : `${first}.`, {
    advice: `See: varve ${name} --help`,
    cause: error,
  });
}
