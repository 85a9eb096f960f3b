import { describe, expect, it } from 'vitest';
import { checkArguments } from './argument-text.ts';

const node = Buffer.from('node');

describe('checkArguments', () => {
  it('asks for no bytes where nothing was replaced', () => {
    expect(() => checkArguments(['read', 'größe'], () => expect.unreachable())).not.toThrow();
  });

  it('refuses an argument that other bytes were given for', () => {
    const bytes = [node, Buffer.from('main.js'), Buffer.from('get'), Buffer.from([0x61, 0xff])];
    expect(() => checkArguments(['get', 'a\uFFFD'], () => bytes)).toThrow(
      'The argument "a\uFFFD" is not UTF-8.',
    );
  });

  it('takes the character that stands for such bytes where somebody gave it', () => {
    const bytes = [node, Buffer.from('main.js'), Buffer.from('get'), Buffer.from('a\uFFFD')];
    expect(() => checkArguments(['get', 'a\uFFFD'], () => bytes)).not.toThrow();
  });

  it('refuses it where nobody knows', () => {
    expect(() => checkArguments(['get', 'a\uFFFD'], () => undefined)).toThrow('is not UTF-8');
  });
});
