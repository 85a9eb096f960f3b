import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isInside } from './is-inside.ts';
import { NodeFileSystem } from './node-file-system.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'varve-inside-')));
const store = join(root, 'store');
const at = (...names: readonly string[]): string => join(root, ...names);

beforeAll(() => {
  mkdirSync(join(store, 'log', 'deeper'), { recursive: true });
  mkdirSync(at('store-beside'));
  symlinkSync(store, at('link'));
  symlinkSync(join(store, 'log', 'deeper'), at('deep-link'));
  symlinkSync(at('link'), at('link-to-link'));
  symlinkSync(at('store-beside'), join(store, 'way-out'));
  symlinkSync(join(store, 'nothing'), at('dangling'));
});
afterAll(() => rmSync(root, { recursive: true }));

describe('a path', () => {
  it.each([
    ['the folder itself', [store, store]],
    ['below it', [store, join(store, 'log', 'x')]],
    ['below it, by a link', [store, at('link', 'copy')]],
    ['the link itself', [store, at('link')]],
    ['below it, by a link to deep inside', [store, at('deep-link', 'copy', 'more')]],
    ['below it, by a link to a link', [store, at('link-to-link', 'copy')]],
    ['below it, which was opened by a link', [at('link'), join(store, 'copy')]],
    ['by a link other than the one it was opened by', [at('link'), at('link-to-link', 'copy')]],
  ])('is inside a folder: %s', (_, [folder, path]) => {
    expect(isInside(new NodeFileSystem(), folder!, path!)).toBe(true);
  });

  it.each([
    ['beside it', at('copy')],
    ['above it', root],
    ['with a name that begins alike', at('store-beside', 'copy')],
    ['in folders that are not there', at('not', 'there', 'yet')],
    ['a link to nothing', at('dangling')],
  ])('is not inside a folder: %s', (_, path) => {
    expect(isInside(new NodeFileSystem(), store, path)).toBe(false);
  });
});
