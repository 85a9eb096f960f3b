import { setImmediate } from 'node:timers/promises';
import type { KvListEntry } from '../kv.ts';
import type { Command } from './command.ts';
import { ExitCode } from './exit-code.ts';
import { withKv } from './kv-open.ts';
import { bytesAsJson, hexOption, parseBytes, showBytes } from './kv-text.ts';
import { onlyGiven } from './only-given.ts';
import type { Terminal } from './terminal.ts';
import { fit, formatCount } from './text.ts';

/** Lines between looks for a Ctrl-C. */
const TURN_COUNT = 1_000;

interface Layout {
  readonly isHex: boolean;
  readonly hasValues: boolean;
}

export const kvListCommand: Command = {
  name: 'kv list',
  summary: 'list keys, as paths if you like',
  usage: '<dir> [prefix]',
  positionals: { min: 1, max: 2 },
  options: {
    delimiter: { value: 'text', help: 'Roll up keys behind the next one of these, as ls does' },
    after: { value: 'key', help: 'Only what comes behind this key or rolled-up prefix' },
    limit: { value: 'n', help: 'At most this many lines' },
    values: { help: 'Show values, too' },
    hex: hexOption,
  },
  details: [
    'A line shows the version of the entry, the bytes of its value, and the key. With --hex the prefix, --delimiter and --after are hex, too.',
  ],
  examples: [
    'varve kv list ./my-kv',
    'varve kv list ./my-kv photos/2026/ --delimiter / --limit 20',
    'varve kv list ./my-kv users/ --values --json | jq .value',
  ],
  async run({ positionals, options, terminal, signal }) {
    const [directory, prefix = ''] = positionals as [string, string?];
    const layout = { isHex: options.isOn('hex'), hasValues: options.isOn('values') };
    const bytesOf = (text: string | undefined): Uint8Array | undefined =>
      text === undefined ? undefined : parseBytes(text, layout.isHex);
    const query = onlyGiven({
      delimiter: bytesOf(options.text('delimiter')),
      after: bytesOf(options.text('after')),
      limit: options.wholeNumber('limit'),
    });
    const isJson = options.isOn('json');
    return withKv(directory, terminal, 'to read', async (kv) => {
      let count = 0;
      for (const entry of kv.list(bytesOf(prefix)!, query)) {
        if (!isJson && count === 0) {
          await terminal.line(terminal.style('dim', '   version       bytes  key'));
        }
        count += 1;
        if (isJson) {
          await terminal.json(entryAsJson(entry, layout));
        } else {
          await terminal.line(entryLine(entry, layout, terminal));
        }
        if (count % TURN_COUNT === 0) {
          await setImmediate();
          signal.throwIfAborted();
        }
      }
      if (count === 0 && !isJson) {
        terminal.note('No keys there.');
      }
      return ExitCode.ok;
    });
  },
};

function entryAsJson(entry: KvListEntry<Uint8Array>, { isHex, hasValues }: Layout): object {
  if (entry.type === 'prefix') {
    return { type: 'prefix', ...bytesAsJson('prefix', entry.prefix, isHex) };
  }
  return {
    type: 'key',
    ...bytesAsJson('key', entry.key, isHex),
    version: entry.version,
    size: entry.value.length,
    ...(hasValues ? bytesAsJson('value', entry.value, isHex) : {}),
  };
}

function entryLine(
  entry: KvListEntry<Uint8Array>,
  { isHex, hasValues }: Layout,
  terminal: Terminal,
): string {
  const width = terminal.width === undefined ? undefined : terminal.width - 24;
  if (entry.type === 'prefix') {
    const shown = fit(showBytes(entry.prefix, isHex), width);
    return `${' '.repeat(24)}${terminal.style('bold', shown)}`;
  }
  const version = String(entry.version).padStart(10);
  const size = formatCount(entry.value.length).padStart(10);
  const key = showBytes(entry.key, isHex);
  const text = hasValues ? `${key}  ${showBytes(entry.value, isHex)}` : key;
  return `${version}  ${size}  ${fit(text, width)}`;
}
