import type { KvStore } from '../kv.ts';
import type { Command } from './command.ts';
import { ExitCode } from './exit-code.ts';
import { withKv } from './kv-open.ts';
import { countOf, formatSize } from './text.ts';

export const kvCompactCommand: Command = {
  name: 'kv compact',
  summary: 'merge all tables, giving back what was deleted',
  usage: '<dir>',
  positionals: { min: 1, max: 1 },
  options: {},
  details: [
    'Stores are merged by themselves while they are used: this does all of it now. New tables are made with the default options. Needs room for a second copy of what it merges. Ctrl-C stops it; the store is whole at any time.',
  ],
  examples: ['varve kv compact ./my-kv'],
  async run({ positionals, options, terminal, signal }) {
    return withKv(positionals[0]!, terminal, 'to write', async (kv) => {
      const close = (): void => void kv.close();
      signal.addEventListener('abort', close);
      const before = sizeOf(kv);
      await kv.compact();
      await kv.settled();
      signal.removeEventListener('abort', close);
      const after = sizeOf(kv);
      if (options.isOn('json')) {
        await terminal.json({ before, after });
      } else {
        await terminal.line(`before  ${sizeText(before)}`);
        await terminal.line(`now     ${sizeText(after)}`);
      }
      return ExitCode.ok;
    });
  },
};

interface KvSize {
  readonly tables: number;
  readonly size: number;
}

export function sizeOf(kv: KvStore): KvSize {
  const tables = kv.tables();
  return { tables: tables.length, size: tables.reduce((sum, { size }) => sum + size, 0) };
}

export function sizeText({ tables, size }: KvSize): string {
  return `${countOf(tables, 'table')}, ${formatSize(size)}`;
}
