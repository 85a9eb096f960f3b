import type { Command } from './command.ts';
import { encodeEventLine } from './event-line.ts';
import { eventPairs } from './event-text.ts';
import { CommandError, ExitCode } from './exit-code.ts';
import { withStore } from './open-existing.ts';
import { alignPairs } from './text.ts';

export const getCommand: Command = {
  name: 'get',
  summary: 'show one event, by position or by id',
  usage: '<dir> <position|id>',
  positionals: { min: 2, max: 2 },
  options: { id: { help: 'Take the argument as an id, even if it is a number' } },
  examples: [
    'varve get ./my-store 1042',
    'varve get ./my-store 0199e4a2-7c1e-8000-8000-020a45b3c1d2',
    'varve get ./my-store 1042 --json | jq .data',
  ],
  async run({ positionals, options, terminal }) {
    const [directory, which] = positionals as [string, string];
    const position = Number(which);
    const isPosition = /^\d+$/.test(which) && Number.isSafeInteger(position) && !options.isOn('id');
    return withStore(directory, terminal, async (store) => {
      const event = await (isPosition ? store.get(position) : store.getById(which));
      if (event === undefined) {
        const what = isPosition ? `at position ${which}` : `with the id ${JSON.stringify(which)}`;
        throw new CommandError(`There is no event ${what}.`, {
          exitCode: ExitCode.notFound,
          code: 'NOT_FOUND',
          advice:
            store.head === 0
              ? 'The store is empty.'
              : `The store holds positions 0 to ${store.head - 1}.`,
        });
      }
      if (options.isOn('json')) {
        await terminal.line(encodeEventLine(event));
        return ExitCode.ok;
      }
      for (const line of alignPairs(eventPairs(event))) {
        await terminal.line(line);
      }
      return ExitCode.ok;
    });
  },
};
