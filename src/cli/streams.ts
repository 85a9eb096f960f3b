import type { StreamEntry } from '../index.ts';
import type { Command } from './command.ts';
import { ExitCode } from './exit-code.ts';
import { onlyGiven } from './only-given.ts';
import { withStore } from './open-existing.ts';
import type { Terminal } from './terminal.ts';
import { fit, formatCount, printable } from './text.ts';

export const streamsCommand: Command = {
  name: 'streams',
  summary: 'list streams, as paths if you like',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: {
    prefix: { value: 'text', help: 'Only names that begin so' },
    delimiter: {
      value: 'text',
      help: 'Roll up names behind the next one of these, as ls does with /',
    },
    after: { value: 'name', help: 'Only names behind this one' },
    limit: { value: 'n', help: 'At most this many lines' },
  },
  details: [
    'A line shows how many events the stream has, the position of its last event, and its name.',
  ],
  examples: [
    'varve streams ./my-store',
    'varve streams ./my-store --delimiter /',
    'varve streams ./my-store --prefix orders/eu/ --delimiter / --limit 20',
  ],
  async run({ positionals, options, terminal }) {
    const query = onlyGiven({
      prefix: options.text('prefix'),
      delimiter: options.text('delimiter'),
      after: options.text('after'),
      limit: options.wholeNumber('limit'),
    });
    const isJson = options.isOn('json');
    return withStore(positionals[0]!, terminal, async (store) => {
      let count = 0;
      for await (const entry of store.streams(query)) {
        if (!isJson && count === 0) {
          await terminal.line(terminal.style('dim', '  events   last at  stream'));
        }
        count += 1;
        await terminal.line(isJson ? JSON.stringify(entry) : entryLine(entry, terminal));
      }
      if (count === 0 && !isJson) {
        terminal.note('No streams there.');
      }
      return ExitCode.ok;
    });
  },
};

function entryLine(entry: StreamEntry, terminal: Terminal): string {
  if (entry.kind === 'prefix') {
    return `${' '.repeat(20)}${terminal.style('bold', fitName(entry.prefix, terminal))}`;
  }
  const events = formatCount(entry.revision + 1).padStart(8);
  const position = String(entry.position).padStart(8);
  return `${events}  ${position}  ${fitName(entry.stream, terminal)}`;
}

function fitName(name: string, { width }: Terminal): string {
  return fit(printable(name), width === undefined ? undefined : width - 20);
}
