import type { CommitResult } from '../index.ts';
import type { Command } from './command.ts';
import { CommandError, ExitCode } from './exit-code.ts';
import { onlyGiven } from './only-given.ts';
import { withStore } from './open-existing.ts';
import { alignPairs, formatTime, printable } from './text.ts';

export const keysFindCommand: Command = {
  name: 'keys find',
  summary: 'show the commit that has an idempotency key',
  usage: '<dir> <key>',
  positionals: { min: 2, max: 2 },
  options: {
    scope: { value: 'scope', help: 'The scope of the key; left out, it is a key without one' },
  },
  details: [
    'Shows the positions and the time of the commit, and what it added to which streams. Ends with 6 if no commit has the key: then it was never used, in this scope.',
  ],
  examples: [
    'varve keys find ./my-store payment-8f1c',
    'varve keys find ./my-store payment-8f1c --scope shop-3 --json',
  ],
  async run({ positionals, options, terminal }) {
    const [directory, idempotencyKey] = positionals as [string, string];
    const name = { idempotencyKey, ...onlyGiven({ idempotencyScope: options.text('scope') }) };
    return withStore(directory, terminal, async (store) => {
      const commit = await store.findCommit(name);
      if (commit === undefined) {
        const scope = options.text('scope');
        const where =
          scope === undefined ? 'without a scope' : `in the scope ${JSON.stringify(scope)}`;
        throw new CommandError(
          `The key ${JSON.stringify(idempotencyKey)} was never used ${where}.`,
          {
            exitCode: ExitCode.notFound,
            code: 'NOT_FOUND',
            ...(scope === undefined ? { advice: 'A key of a scope is found with --scope.' } : {}),
          },
        );
      }
      if (options.isOn('json')) {
        const { firstPosition, lastPosition, time, streams } = commit;
        await terminal.json({ ...name, firstPosition, lastPosition, time, streams });
        return ExitCode.ok;
      }
      for (const line of alignPairs(pairsOf(commit))) {
        await terminal.line(line);
      }
      return ExitCode.ok;
    });
  },
};

function pairsOf(commit: CommitResult): (readonly [string, string])[] {
  const { firstPosition, lastPosition, time, streams } = commit;
  return [
    firstPosition === lastPosition
      ? ['position', String(firstPosition)]
      : ['positions', rangeOf(firstPosition, lastPosition)],
    ['recorded', formatTime(time)],
    ...streams.map(({ stream, firstRevision, revision }) => {
      return ['stream', `${printable(stream)}@${rangeOf(firstRevision, revision)}`] as const;
    }),
  ];
}

function rangeOf(first: number, last: number): string {
  return first === last ? String(first) : `${first}-${last}`;
}
