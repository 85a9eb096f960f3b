import type { EventStore } from '../index.ts';
import type { Command } from './command.ts';
import { encodeEventLine } from './event-line.ts';
import { CommandError, ExitCode } from './exit-code.ts';
import { onlyGiven } from './only-given.ts';
import { withStore } from './open-existing.ts';
import { Progress } from './progress.ts';

export const exportCommand: Command = {
  name: 'export',
  summary: 'write all events as NDJSON that import takes back',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: { after: { value: 'position', help: 'Only commits after this position; -1: all' } },
  details: [
    'One event a line, on stdout. Imported into an empty store it gives the same events in the same order, with the same positions, revisions, ids, commits, idempotency keys and scopes; recorded times are new. Data that are bytes stand in dataBase64. An event that was erased has "isErased":true and comes back without data.',
  ],
  examples: [
    'varve export ./my-store | gzip > my-store.ndjson.gz',
    'varve export ./my-store | varve import - ./copy',
    'varve export ./my-store --after 17757 >> my-store.ndjson',
  ],
  async run({ positionals, options, terminal, signal }) {
    const after = options.lowerBound('after');
    return withStore(positionals[0]!, terminal, async (store) => {
      await checkBorder(store, after);
      const progress = new Progress(terminal, 'exporting', 'events');
      const first = after === undefined ? 0 : after + 1;
      const total = Math.max(store.head - first, 0);
      let count = 0;
      try {
        for await (const event of store.read({}, { ...onlyGiven({ after }), signal })) {
          await terminal.line(encodeEventLine(event));
          count += 1;
          // Beside lines on the same terminal it would only be in the way.
          if (terminal.width === undefined && count % 1_024 === 0) {
            progress.update({ done: count, total, count });
          }
        }
      } finally {
        progress.end();
      }
      return ExitCode.ok;
    });
  },
};

/** Half a commit could not be imported. */
async function checkBorder(store: EventStore, after: number | undefined): Promise<void> {
  const last = after === undefined || after < 0 ? undefined : await store.get(after);
  if (last !== undefined && last.commit.index < last.commit.count - 1) {
    const end = last.position - last.commit.index + last.commit.count - 1;
    throw new CommandError(`Position ${last.position} is inside a commit, which ends at ${end}.`, {
      advice: `Use --after ${end}, or --after ${end - last.commit.count} to have the whole commit.`,
    });
  }
}
