/** What the README shows is run, as it stands there. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = new URL('..', import.meta.url);
const directory = mkdtempSync(join(tmpdir(), 'varve-readme-'));

afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe('the README', () => {
  const readme = readFileSync(new URL('README.md', root), 'utf8');

  it.each([
    ['what a store does', 0, 'appended duplicate\n0 OrderPlaced\n1 OrderPaid\ntrue 3\n'],
    ['other threads', 1, '1\n'],
  ])('has a short example of %s that prints what its comments say', async (_, index, printed) => {
    const example = Array.from(readme.matchAll(/```js\n([\s\S]*?)```/g), ([, code]) => code!)[
      index
    ]!;
    const lines = example.split('\n').filter((line) => line.trim() !== '');
    expect(lines.length).toBeLessThan(32);
    const door = new URL('dist/index.js', root).href;
    const file = join(directory, `example-${index}.mjs`);
    writeFileSync(file, example.replace("'varve'", JSON.stringify(door)));
    const { stdout } = await run(process.execPath, [file], { cwd: directory });
    expect(stdout).toBe(printed);
  });

  it('links only to files that are there', () => {
    const links = Array.from(readme.matchAll(/\]\((?!https?:)([^)#]+)/g), ([, link]) => link!);
    expect(links.length).toBeGreaterThan(5);
    for (const link of links) {
      expect(() => readFileSync(new URL(link, root)), link).not.toThrow('ENOENT');
    }
  });
});
