import type { Command } from './command.ts';
import { encodeEventLine } from './event-line.ts';
import { eventLine } from './event-text.ts';
import { CommandError, ExitCode } from './exit-code.ts';
import { onlyGiven } from './only-given.ts';
import { withStore } from './open-existing.ts';

export const readCommand: Command = {
  name: 'read',
  summary: 'show events, of the whole store or of one stream',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: {
    stream: { value: 'name', help: 'Only events of this stream' },
    'from-revision': { value: 'n', help: 'With --stream: from this revision on' },
    'to-revision': { value: 'n', help: 'With --stream: up to this revision' },
    after: { value: 'position', help: 'Only events after this position; -1: all' },
    before: { value: 'position', help: 'Only events in front of this position' },
    backwards: { help: 'Newest first' },
    limit: { value: 'n', help: 'At most this many events' },
  },
  details: [
    'A line shows position, time of occurrence (or of recording, if it has none), type, stream@revision and data. Of one stream, only @revision is shown.',
  ],
  examples: [
    'varve read ./my-store --limit 20',
    'varve read ./my-store --backwards --limit 5',
    'varve read ./my-store --stream orders/42 --from-revision 3',
    'varve read ./my-store --json | jq .data.total',
  ],
  async run({ positionals, options, terminal, signal }) {
    const stream = options.text('stream');
    const from = options.wholeNumber('from-revision');
    const to = options.wholeNumber('to-revision');
    if (stream === undefined && (from !== undefined || to !== undefined)) {
      throw new CommandError('Revisions are those of a stream: name one with --stream.');
    }
    const query = stream === undefined ? {} : { stream, revisions: onlyGiven({ from, to }) };
    const after = options.lowerBound('after');
    const before = options.wholeNumber('before');
    const limit = options.wholeNumber('limit');
    const isJson = options.isOn('json');
    return withStore(positionals[0]!, terminal, async (store) => {
      const revision =
        stream === undefined ? undefined : (await store.streamHead(stream))?.revision;
      const layout = {
        positionWidth: Math.max(String(store.head).length, 5),
        revisionWidth: stream === undefined ? undefined : String(revision ?? 0).length + 1,
      };
      let count = 0;
      const events = store.read(query, {
        ...onlyGiven({ after, before, limit }),
        direction: options.isOn('backwards') ? 'backwards' : 'forwards',
        signal,
      });
      for await (const event of events) {
        count += 1;
        await terminal.line(isJson ? encodeEventLine(event) : eventLine(event, layout, terminal));
      }
      if (count === 0 && !isJson) {
        terminal.note('No events there.');
      }
      return ExitCode.ok;
    });
  },
};
