/** What the README, the docs and the doors show is run, as it stands there. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = new URL('../..', import.meta.url);
const directory = mkdtempSync(join(tmpdir(), 'varve-readme-'));

afterAll(() => {
  rmSync(directory, { recursive: true });
});

/** Paths of the pages, and what their examples print, in order. */
const pages: Readonly<Record<string, readonly string[]>> = {
  'README.md': [
    'appended duplicate\n0 OrderPlaced\n1 OrderPaid\ntrue 3\n',
    '1\n',
    'photos/2026/\nphotos/index\n',
  ],
  'docs/event-store.md': [
    'appended 0\norders/eu/42 OrderPlaced 42\n',
    'REVISION_CONFLICT 0 no\nappended duplicate true\n',
    '1 0 0\n1 2 1\n2 4 2\n',
    'prefix orders/\nstream stock\norders/eu/1 0\norders/eu/2 0\n',
  ],
  'docs/kv.md': [
    'users/8 Bob\n',
    'CONDITION_FAILED 1 3\n',
    '2026/ index old/\n2025/ 2026/ index\nindex\nold/b.jpg old/a.jpg\n',
    '42\n43 undefined\n',
    'bob 1901\n1\n',
  ],
};

/** Examples in the comments of doors. */
const doors: Readonly<Record<string, string>> = {
  'src/index.ts': 'orders/42 0 OrderPlaced 42\n',
  'src/inspect.ts': 'header 0\nframe 128\nrecord 176\n',
  'src/testing.ts': '1 UNAVAILABLE no\n',
  'src/kv.ts': 'users/7 Ada\n',
  'src/level.ts': '{ born: 1815 }\n',
};

function textOf(path: string): string {
  return readFileSync(new URL(path, root), 'utf8');
}

function examplesOf(page: string): string[] {
  return Array.from(textOf(page).matchAll(/```js\n([\s\S]*?)```/g), ([, code]) => code!);
}

function exampleOfDoor(door: string): string {
  const comment = /@example\n([\s\S]*?)\*\//.exec(textOf(door))![1]!;
  return comment.replaceAll(/^ \* ?/gm, '');
}

/** Runs an example against the built package, in a folder of its own, and gives what it prints. */
async function printedBy(example: string): Promise<string> {
  const folder = mkdtempSync(join(directory, 'example-'));
  const file = join(folder, 'example.mjs');
  const code = example.replaceAll(/'varve(?:\/(\w+))?'/g, (_, door = 'index') =>
    JSON.stringify(new URL(`dist/${door}.js`, root).href),
  );
  writeFileSync(file, code);
  const { stdout } = await run(process.execPath, [file], { cwd: folder });
  return stdout;
}

describe.each(Object.entries(pages))('%s', (page, printed) => {
  const examples = examplesOf(page);

  it('has short examples', () => {
    expect(examples).toHaveLength(printed.length);
    for (const example of examples) {
      const lines = example.split('\n').filter((line) => line.trim() !== '');
      expect(lines.length).toBeLessThan(32);
    }
  });

  it.each(printed.map((text, index) => [index, text] as const))(
    'has an example %i that prints what its comments say',
    async (index, text) => {
      expect(await printedBy(examples[index]!)).toBe(text);
    },
  );
});

describe.each(Object.entries(doors))('%s', (door, printed) => {
  it('has an example that runs', async () => {
    expect(await printedBy(exampleOfDoor(door))).toBe(printed);
  });
});

describe('pages', () => {
  const all = readdirSync(new URL('docs', root), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`);

  it.each(['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', ...all])(
    '%s links only to files and headings that are there',
    (page) => {
      const links = textOf(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g);
      for (const [link, path, heading] of links) {
        const target = path === '' ? new URL(page, root) : new URL(path!, new URL(page, root));
        const text = target.href.endsWith('.md') ? readFileSync(target, 'utf8') : undefined;
        expect(() => (text === undefined ? readFileSync(target) : ''), link).not.toThrow('ENOENT');
        if (heading !== undefined) {
          expect(headingsOf(text!), link).toContain(heading);
        }
      }
    },
  );

  it('are linked to from the README', () => {
    expect(Array.from(textOf('README.md').matchAll(/\]\((?!https?:)/g)).length).toBeGreaterThan(5);
  });
});

/** As GitHub names them. */
function headingsOf(text: string): string[] {
  return Array.from(text.matchAll(/^#+ (.*)$/gm), ([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
