import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { isSameJson } from './same-json.ts';

const texts = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '1',
  '"1"',
  '""',
  '[]',
  '{}',
  '[0]',
  '[[]]',
  '[null]',
  '{"a":1}',
  '{"a":1,"b":[2]}',
  '{"b":[2],"a":1}',
  '{"a":1,"b":[3]}',
  '{"a":1,"c":[2]}',
  '{"0":0}',
  '{"a":null}',
  '{"__proto__":1}',
  '{"__proto__":{"a":1}}',
  '[1,2]',
  '[2,1]',
  '[1,2,3]',
];

function deep(innermost: string): unknown {
  return JSON.parse(`${'[{"a":'.repeat(10_000)}${innermost}${'}]'.repeat(10_000)}`);
}

describe('two values of JSON', () => {
  it('are the same exactly if a deep comparison finds no difference', () => {
    for (const left of texts) {
      for (const right of texts) {
        const [one, other] = [JSON.parse(left), JSON.parse(right)] as unknown[];
        expect(isSameJson(one, other), `${left} ${right}`).toBe(isDeepStrictEqual(one, other));
      }
    }
  });

  it('are compared at any depth', () => {
    expect(isSameJson(deep('1'), deep('1'))).toBe(true);
    expect(isSameJson(deep('1'), deep('2'))).toBe(false);
  });
});
