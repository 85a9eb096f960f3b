import type { Command } from './command.ts';
import { ExitCode } from './exit-code.ts';
import { sizeOf, sizeText } from './kv-compact.ts';
import { withKv } from './kv-open.ts';
import { printable } from './text.ts';

export const kvBackupCommand: Command = {
  name: 'kv backup',
  summary: 'copy a store into a new folder',
  usage: '<dir> <target>',
  positionals: { min: 2, max: 2 },
  options: {},
  details: [
    "The copy is a store of its own. Tables are hard links where both folders are on one file system: that takes no space, and protects from what a program does, not from the disk's damage. A program that has the store open makes its own: await kv.backup(folder).",
  ],
  examples: ['varve kv backup ./my-kv /mnt/backup/my-kv'],
  async run({ positionals, options, terminal }) {
    const [directory, target] = positionals as [string, string];
    return withKv(directory, terminal, 'to write', async (kv) => {
      await kv.backup(target);
      const { tables, size } = sizeOf(kv);
      if (options.isOn('json')) {
        await terminal.json({ target, tables, size });
      } else {
        await terminal.line(`copied  ${sizeText({ tables, size })}  to ${printable(target)}`);
      }
      return ExitCode.ok;
    });
  },
};
