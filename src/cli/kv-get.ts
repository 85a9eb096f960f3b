import type { Command } from './command.ts';
import { CommandError, ExitCode } from './exit-code.ts';
import { withKv } from './kv-open.ts';
import { bytesAsJson, hexOption, parseBytes, showBytes } from './kv-text.ts';

export const kvGetCommand: Command = {
  name: 'kv get',
  summary: 'show the value of a key',
  usage: '<dir> <key>',
  positionals: { min: 2, max: 2 },
  options: {
    hex: hexOption,
    raw: { help: "Write the value's bytes as they are, nothing else" },
  },
  details: [
    'Bytes that are not printable text are shown escaped; --raw, --hex and --json are exact. Ends with 6 if there is no such key.',
  ],
  examples: [
    'varve kv get ./my-kv users/7',
    'varve kv get ./my-kv photos/1.jpg --raw > 1.jpg',
    'varve kv get ./my-kv 00ff --hex --json',
  ],
  async run({ positionals, options, terminal }) {
    const [directory, text] = positionals as [string, string];
    const isHex = options.isOn('hex');
    const key = parseBytes(text, isHex);
    return withKv(directory, terminal, 'to read', async (kv) => {
      const entry = kv.getEntrySync(key);
      if (entry === undefined) {
        throw new CommandError(`There is no key ${JSON.stringify(text)}.`, {
          exitCode: ExitCode.notFound,
          code: 'NOT_FOUND',
          advice: 'varve kv list shows which keys there are.',
        });
      }
      if (options.isOn('json')) {
        await terminal.json({
          ...bytesAsJson('key', entry.key, isHex),
          version: entry.version,
          ...bytesAsJson('value', entry.value, isHex),
        });
      } else if (options.isOn('raw')) {
        await terminal.bytes(entry.value);
      } else {
        await terminal.line(showBytes(entry.value, isHex));
      }
      return ExitCode.ok;
    });
  },
};
