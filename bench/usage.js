/** The command lines of the programs in these folders: `--help` shows what one takes, and what it doesn't know it refuses. */
import { statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { relative, sep } from 'node:path';
import { parseArgs } from 'node:util';

const WIDTH = 100;

/**
 * @typedef {object} ProgramOption
 * @property {string} [value] Name of the value, shown in help; none for a switch. Values named `n` and `n,…` must be whole numbers.
 * @property {string} [default]
 * @property {string[]} [choices] The values that there are.
 * @property {string} [help] Options without one are the program's own, for processes that it starts.
 */

/** Stores are made there. @type {ProgramOption} */
export const directoryOption = {
  value: 'folder',
  default: tmpdir(),
  help: 'make stores in this folder',
};

/**
 * What was given, or the defaults. Ends the process after `--help`, and with one line for what is wrong.
 *
 * @param {{ file: string, about: string, options: Record<string, ProgramOption> }} program `file`: its `import.meta.filename`.
 */
export function readOptions({ file, about, options }) {
  const config = { help: { type: 'boolean', short: 'h' } };
  for (const [name, option] of Object.entries(options)) {
    const isSwitch = option.value === undefined;
    const preset = isSwitch ? false : option.default;
    config[name] = {
      type: isSwitch ? 'boolean' : 'string',
      ...(preset === undefined ? {} : { default: preset }),
    };
  }
  let values;
  try {
    ({ values } = parseArgs({ options: config }));
  } catch (error) {
    // Only the first sentence of Node's own message fits: the rest explains positional arguments.
    refuse(file, `${error.message.split(/\.\s|\n/)[0].replace(/\.$/, '')}.`);
  }
  if (values.help) {
    console.log(usageOf(file, about, options));
    process.exit(0);
  }
  for (const [name, option] of Object.entries(options)) {
    checkValue(file, name, option, values[name]);
  }
  return values;
}

const dist = new URL('../dist/', import.meta.url);

/** A module that the build made. Ends the process with one line if it isn't there. */
export async function importBuilt(file, name, from = dist) {
  const url = new URL(name, from);
  if (statSync(url, { throwIfNoEntry: false }) === undefined) {
    refuse(file, `There is no ${url.pathname}: run npm run build first.`);
  }
  return import(url);
}

/** One line on stderr, and the end of the process. */
export function refuse(file, problem) {
  console.error(`${nameOf(file)}: ${problem} See: node ${nameOf(file)} --help`);
  process.exit(2);
}

function checkValue(file, name, { value: kind, choices }, given) {
  if (given === undefined) {
    return;
  }
  if (choices?.includes(given) === false) {
    refuse(file, `--${name} takes ${choices.join(', ')}, not ${JSON.stringify(given)}.`);
  }
  if (kind === 'n' && !/^\d+$/.test(given)) {
    refuse(file, `--${name} takes a whole number, not ${JSON.stringify(given)}.`);
  }
  if (kind === 'n,…' && !/^\d+(,\d+)*$/.test(given)) {
    refuse(
      file,
      `--${name} takes whole numbers with commas between, not ${JSON.stringify(given)}.`,
    );
  }
  if (kind === 'folder' && !statSync(given, { throwIfNoEntry: false })?.isDirectory()) {
    refuse(file, `--${name} takes a folder that is there, not ${JSON.stringify(given)}.`);
  }
}

/** As it is typed in the root of the repository. */
function nameOf(file) {
  return `bench/${relative(import.meta.dirname, file).replaceAll(sep, '/')}`;
}

function usageOf(file, about, options) {
  const shown = Object.entries({ ...options, help: { help: 'show this' } })
    .filter(([, { help }]) => help !== undefined)
    .map(([name, { value, choices, default: preset, help }]) => [
      value === undefined ? `--${name}` : `--${name} <${value}>`,
      help +
        (choices === undefined ? '' : `: ${choices.join(', ')}`) +
        (preset === undefined ? '' : ` (default: ${preset})`),
    ]);
  const width = Math.max(...shown.map(([left]) => left.length));
  return [
    ...wrap(about, WIDTH),
    '',
    `Usage: npm run build && node --expose-gc ${nameOf(file)} [options]`,
    '',
    ...shown.flatMap(([left, help]) =>
      wrap(help, WIDTH - width - 4).map(
        (line, index) => `  ${(index === 0 ? left : '').padEnd(width)}  ${line}`,
      ),
    ),
  ].join('\n');
}

function wrap(text, width) {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== '' && last.length + 1 + word.length > width) {
      lines.push(word);
    } else {
      lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
    }
  }
  return lines;
}
