/** What the command refuses because it would be stored as something else, and what comes back as it was, however odd. */
import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { type NewEvent, open } from 'varve';
import { describe, expect, it } from 'vitest';
import {
  linesOf,
  mainPath,
  type Ran,
  temporaryFolder,
  varveIn,
  varveWith,
  withoutTime,
} from './run-varve.ts';

const folder = temporaryFolder();
const varve = varveIn(folder);

function write(name: string, content: string | Uint8Array): void {
  writeFileSync(join(folder, name), content);
}

const notText = Buffer.from([0x22, 0x61, 0xff, 0x22]);
const marked = '\uFEFF{"a":1}';
write('not-text.json', notText);
write('marked.json', marked);
write('number.json', '{"a":[1e400]}');

/** The same words for each way in: they go on from its name. */
const words = {
  number: "holds the number 1e400, which can't be kept exactly: write it as a string",
  text: 'is not UTF-8',
  mark: 'begins with a byte order mark: leave it out',
  day: 'is "2026-02-30T12:00:00Z", a time that doesn\'t exist',
};

function append(input: string | Buffer, ...args: readonly string[]): Ran {
  return varveWith({ folder, input }, 'append', 'never', 's', '--type', 'T', ...args);
}

/** Appends to a stream whose name `printf` makes of this text: any bytes. */
function appendTo(stream: string): SpawnSyncReturns<string> {
  const command = `"$0" "$1" append odd "$(printf '${stream}')" --type T`;
  const args = ['-c', command, process.execPath, mainPath];
  return spawnSync('sh', args, { cwd: folder, encoding: 'utf8' });
}

describe('append', () => {
  it.each<[string, readonly string[], string | Buffer, string]>([
    ['a number in a file', ['--data', '@number.json'], '', `--data ${words.number}`],
    ['input that is no text', ['--data', '-'], notText, `--data ${words.text}`],
    ['metadata that is no text', ['--metadata', '@not-text.json'], '', `--metadata ${words.text}`],
    ['a mark in a file', ['--data', '@marked.json'], '', `--data ${words.mark}`],
    ['a day', ['--occurred-at', '2026-02-30T12:00:00Z'], '', `--occurred-at ${words.day}`],
  ])('refuses %s that would be changed', (_, args, input, message) => {
    const { status, error } = append(input, ...args);
    expect(error).toContain(message);
    expect(error.split('\n').length).toBeLessThanOrEqual(2);
    expect(status).toBe(2);
  });
});

describe('import', () => {
  const line = '{"stream":"a","type":"T"}\n';

  it.each<[string, string | Buffer, string]>([
    ['a number', '{"stream":"a","type":"T","data":1e400}', `the line ${words.number}`],
    [
      'bytes that are no text',
      Buffer.concat([Buffer.from('{"stream":"a","type":"T","data":'), notText, Buffer.from('}')]),
      `the line ${words.text}`,
    ],
    ['a mark', `\uFEFF${line}`, `the line ${words.mark}`],
    [
      'a day',
      '{"stream":"a","type":"T","occurredAt":"2026-02-30T12:00:00Z"}',
      `"occurredAt" ${words.day}`,
    ],
  ])('stops at a line with %s that would be changed', (name, bad, message) => {
    const input = Buffer.concat([Buffer.from(line), Buffer.from(bad)]);
    const store = `stopped at ${name}`;
    const { status, error } = varveWith({ folder, input }, 'import', '-', store, '--source', 'x');
    expect(error).toContain(`standard input:2: ${message}`);
    expect(error).toContain('1 event before it is in the store');
    expect(status).toBe(2);
  });
});

describe('an argument', () => {
  it.runIf(process.platform === 'linux')(
    'that is not UTF-8 is refused before anything is done',
    () => {
      const { status, stderr } = appendTo(String.raw`a\377b`);
      expect(stderr).toContain('The argument "a\uFFFDb" is not UTF-8.');
      expect(status).toBe(2);
      // The character itself, typed by somebody, is one like any other.
      expect(appendTo(String.raw`a\357\277\275b`).status).toBe(0);
    },
  );
});

describe('an export', () => {
  /** Texts that something may go wrong with on the way: escapes, halves of pairs, marks, digits. */
  const text = fc.string({
    unit: fc.constantFrom(
      '"',
      '\\',
      '\\u0061',
      '1e400',
      '9007199254740993',
      ':',
      '{',
      ']',
      '\n',
      '\r',
      '\0',
      '\u2028',
      '\uFEFF',
      '\uFFFD',
      '\uD83D',
      '\uDE00',
      '\u{1F600}',
      'é',
      'e\u0301',
      '__proto__',
      '1',
      ' ',
    ),
    maxLength: 10,
  });
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      text,
      fc.constantFrom(null, true, -0, 5e-324, Number.MAX_VALUE, 1e21, 18101373232702788),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(text, tie('value'), { maxKeys: 3 }),
    ),
  }));

  it('is imported as it was, whatever the events hold', async () => {
    const datas = fc.sample(value, { seed: 20_260_131, numRuns: 300 });
    const events = datas.map((data, n): NewEvent => {
      const metadata = datas[(n + 1) % datas.length];
      return { type: 'T', data, metadata, occurredAt: n % 2 === 0 ? -n : 8.64e15 + n };
    });
    const store = await open(join(folder, 'hostile'));
    await store.append('a/b', events.slice(0, 200));
    await Promise.all(events.slice(200).map((event, n) => store.append(`s/${n}`, [event])));
    await store.close();
    const source = varve('export', 'hostile').out;
    expect(linesOf(source)).toHaveLength(datas.length);
    const imported = varveWith({ folder, input: source }, 'import', '-', 'hostile-copy');
    expect(imported).toMatchObject({ status: 0, error: '' });
    expect(withoutTime(varve('export', 'hostile-copy').out)).toBe(withoutTime(source));
  });

  it('is imported from a store that compresses, with millions of characters and digits in an event', async () => {
    const data = { text: 'ab'.repeat(9_000_000), digits: '1234567890123456' };
    const store = await open(join(folder, 'long'), { compression: 'deflate' });
    await store.append('s', [{ type: 'T', data }]);
    await store.close();
    const copy = `"$0" "$1" export long | "$0" "$1" import - long-copy --compression deflate`;
    execFileSync('sh', ['-c', copy, process.execPath, mainPath], { cwd: folder });
    const copied = await open(join(folder, 'long-copy'));
    expect((await copied.get(0))?.data).toEqual(data);
    await copied.close();
  });
});
