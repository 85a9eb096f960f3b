/** What every command has in common: help, usage, exit codes, output. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'varve';
import { describe, expect, it } from 'vitest';
import { linesOf, type Ran, temporaryFolder, varveIn, varveWith } from './run-varve.ts';

const folder = temporaryFolder();
const varve = varveIn(folder);
const commands = [
  'import',
  'append',
  'read',
  'streams',
  'get',
  'verify',
  'stats',
  'export',
  'dump',
];

function append(...args: readonly string[]): Ran {
  return varve('append', 'appended', 'orders/1', '--type', 'T', ...args);
}

describe('help', () => {
  it('lists commands and exit codes', () => {
    const { status, out } = varve('--help');
    expect(status).toBe(0);
    for (const command of commands) {
      expect(out).toMatch(new RegExp(`^  ${command} `, 'm'));
    }
    expect(out).toContain('Exit codes');
    expect(varve().status).toBe(2);
  });

  it.each(commands)('shows options and examples of %s on 80 columns', (command) => {
    const { status, out } = varve(command, '--help');
    expect(status).toBe(0);
    expect(out).toContain(`Usage: varve ${command} <`);
    expect(out).toMatch(/Examples\n {2}\$ varve/);
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('says the version', () => {
    expect(varve('--version').out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.each([
    [['frobnicate'], 'There is no command "frobnicate"'],
    [['read', 'x', '--frob'], "Unknown option '--frob'"],
    [['read'], 'An argument is missing: varve read <dir>'],
    [['read', 'x', 'y'], 'Too many arguments'],
    [['read', 'x', '--limit', 'many'], '--limit takes a whole number, not "many"'],
    [['read', 'x', '--from-revision', '1'], 'name one with --stream'],
    [['append', 'x', 's'], 'An event needs --type'],
    [['append', 'x', 's', '--type', 'T', '--data', 'text'], '--data is not JSON'],
    [['append', 'x', 's', '--type', 'T', '--data', '9007199254740993'], "can't be kept exactly"],
    [['import', 'missing.ndjson', 'x'], 'There is no file missing.ndjson'],
    [['dump', 'missing'], 'There is no file or folder missing'],
  ])('ends with 2 and says what is wrong: %j', (args, message) => {
    const { status, out, error } = varve(...args);
    expect(status).toBe(2);
    expect(out).toBe('');
    expect(error).toContain(message);
  });

  it('gives machines an error as JSON', () => {
    const { status, error } = varve('read', 'nowhere', '--json');
    expect(status).toBe(2);
    expect(JSON.parse(error)).toMatchObject({ error: { code: 'NOT_A_STORE' } });
  });

  it.each(['read', 'streams', 'verify', 'stats', 'export'])('%s makes no store', (command) => {
    expect(varve(command, 'nowhere').status).toBe(2);
    expect(existsSync(join(folder, 'nowhere'))).toBe(false);
  });
});

describe('append', () => {
  it('appends once for a key, and only at the expected revision', () => {
    expect(append('--key', 'k', '--data', '{"n":1}').out).toBe(
      'appended  orders/1@0  at position 0\n',
    );
    expect(append('--key', 'k', '--data', '{"n":1}').out).toBe(
      'there already  orders/1@0  at position 0\n',
    );
    const conflict = append('--expected-revision', '5');
    expect(conflict.status).toBe(3);
    expect(conflict.error).toContain('is at revision 0, not 5');
    const result = JSON.parse(append('--expected-revision', '0', '--json').out);
    expect(result).toMatchObject({ outcome: 'appended', revision: 1, firstPosition: 1 });
  });

  it('says how to give a value that begins with a dash', () => {
    const { status, error } = append('--occurred-at', '-1');
    expect(status).toBe(2);
    expect(error).toContain('--occurred-at=-1');
  });

  it('takes data from standard input', () => {
    const args = ['append', 'appended-input', 's', '--type', 'T', '--data', '-'];
    expect(varveWith({ folder, input: '{"n":7}' }, ...args).status).toBe(0);
    expect(linesOf(varve('read', 'appended-input', '--json').out)[0]!.data).toEqual({ n: 7 });
  });
});

describe('a store that somebody else has open', () => {
  it('is named with its holder, and ends with 4', async () => {
    varve('append', 'held', 's', '--type', 'T');
    const store = await open(join(folder, 'held'));
    try {
      for (const command of ['read', 'verify', 'stats', 'export', 'streams']) {
        const { status, error } = varve(command, 'held');
        expect(status).toBe(4);
        expect(error).toContain(`in use by process ${process.pid} `);
      }
      // It reads files that others may have open.
      expect(varve('dump', 'held').status).toBe(0);
    } finally {
      await store.close();
    }
    expect(varve('read', 'held').status).toBe(0);
  });
});

describe('the output', () => {
  it('has no colors where it is no terminal', () => {
    varve('append', 'plain', 's', '--type', 'T');
    for (const args of [
      ['verify', 'plain'],
      ['read', 'plain', '--limit', '3'],
      ['read', 'nowhere'],
    ]) {
      const { out, error } = varve(...args);
      expect(out + error).not.toContain('\u001B');
    }
  });

  it('lets no control character of an event reach a terminal', () => {
    varve('append', 'odd', 's', '--type', 'T', '--data', JSON.stringify('\u009B31m\u001B[31m'));
    for (const args of [
      ['read', 'odd'],
      ['get', 'odd', '0'],
      ['dump', 'odd'],
    ]) {
      const { out } = varve(...args);
      const controls = out.replaceAll('\n', '').match(/\p{Cc}/gu);
      expect(controls).toBeNull();
    }
  });
});
