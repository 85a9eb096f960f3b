import type { Command } from './command.ts';
import { ExitCode } from './exit-code.ts';
import { withStore } from './open-existing.ts';
import { countOf, formatSize, printable } from './text.ts';

export const backupCommand: Command = {
  name: 'backup',
  summary: 'copy a store, or bring its copy up to date',
  usage: '<dir> <target>',
  positionals: { min: 2, max: 2 },
  options: {
    'no-derived': { help: 'Leave derived data out: smaller, and made by the first open' },
  },
  details: [
    'The copy is a store of its own. Where the target is an older backup of the same store, only what is new is copied, and the copy can be opened all the time; a copy that was appended to since is refused. Changes nothing in the store. A program that has the store open makes its own: await store.backup(folder).',
  ],
  examples: [
    'varve backup ./my-store /mnt/backup/my-store',
    'varve backup ./my-store /mnt/backup/my-store --no-derived',
  ],
  async run({ positionals, options, terminal, signal }) {
    const [directory, target] = positionals as [string, string];
    return withStore(directory, terminal, async (store) => {
      // Ctrl-C: closing ends what is under way.
      signal.addEventListener('abort', () => void store.close(), { once: true });
      const result = await store.backup(target, { derived: !options.isOn('no-derived') });
      if (options.isOn('json')) {
        await terminal.json({ target, ...result });
        return ExitCode.ok;
      }
      const { isNew, events, bytes } = result;
      const what = isNew ? 'copied' : 'brought up to date';
      await terminal.line(
        `${what}  ${countOf(events, 'event')}, ${formatSize(bytes)} new, in ${printable(target)}`,
      );
      return ExitCode.ok;
    });
  },
};
