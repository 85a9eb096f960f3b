import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isUuid, isUuidAt, putUuid, UUID_SIZE, uuidAt } from './uuid.ts';

const sample = '0f8fad5b-d9cb-469f-a165-70867728950e';

describe('a UUID', () => {
  it('is the same text after it was bytes', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.nat(5), (text, at) => {
        const bytes = Buffer.alloc(at + UUID_SIZE + 1, 0xaa);
        expect(isUuid(text)).toBe(true);
        expect(putUuid(bytes, at, text)).toBe(at + UUID_SIZE);
        expect(uuidAt(bytes, at)).toBe(text);
        expect(bytes.toString('hex', at, at + UUID_SIZE)).toBe(text.replaceAll('-', ''));
        expect(bytes[at + UUID_SIZE]).toBe(0xaa);
      }),
    );
  });

  it('has one form only', () => {
    const others = [
      '',
      sample.toUpperCase(),
      sample.slice(1),
      `${sample}0`,
      `{${sample.slice(2)}}`,
      sample.replace('-', '0'),
      `-${sample.slice(1)}`,
      sample.replace('f', 'g'),
      sample.replace('f', '\u00e6'),
    ];
    for (const text of [sample, ...others]) {
      const bytes = Buffer.from(text, 'latin1');
      expect(isUuid(text), text).toBe(text === sample);
      expect(isUuidAt(Buffer.concat([bytes, bytes]), bytes.length, 2 * bytes.length), text).toBe(
        text === sample,
      );
    }
  });
});
