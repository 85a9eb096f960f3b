import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { HalfSipHash } from './half-sip-hash.ts';
import { viewOf } from './integers.ts';

// vectors_hsip64 of https://github.com/veorq/SipHash: key 00 01 … 07, message 00 01 … of every size from 0 to 63.
const vectors = [
  '218d1f59b9b83cc8be552412f8387315064f39ef7c50eb57ce0f1a45f7060679',
  'd5e78a175be52ea1cb9d7c3f2f3db580ce3e91358aa2bc25ff202728b07bc684',
  'edfee820bce4858c5b51cccc1388830795b0469f06a6f2eeae26333994ddcd48',
  '7bc71f9faef5c7995a2352d75a0c37443bb1a870eae8e658217d0bcb4e81c902',
  '7336aad25f7bf3b537adc0641c4c4f6ac9b2db2b9a3e42f9f910e48020ab363c',
  '1bf52b0a6feea7db00741dc269e8b3efe20103fa1ba776ef4c2210e54b681d73',
  '70741045ae3fa6f10c864037397140380d899ed8112923f0226bf5fab81ee1b8',
  '2d925ffb1e0016b5361958d52cee10f1291aaf864898179d863c7f155c34117c',
  '28709d46d811626c248477681d28f89c8324e4d7528f9830f9efd4e13aea6bd8',
  '86d67a40ec4276dc3f6292eccca97e35cbd92ee724d42109368df6808d403d79',
  '5b38c81c67c8ae4c95ab7189d439acb3a91a52c0253270245b0087c69528acea',
  '1e30f3ad27dcb15a697f5c9a90324ed4495c0f995557dc389427202a3c29f94d',
  'a9eaa8c04ba93e3eeea4c1737d011218912d568fd8f65a4956919596b0ff5c97',
  '02445a7998f550e186ec466ce71d1fb2359569e7d289e3bc871b05ca62bb7c96',
  'a1a492f942f15f1d12ec267ff6095b6e5d1b5ea1b231d89dd8cfb4453f92ee54',
  'd6762890bf26e460313563a4b7ed5cf3f90b3ab572d466932ea63c71bf326087',
].join('');

function hashBytes(hash: HalfSipHash, bytes: Uint8Array): string {
  const view = viewOf(bytes);
  hash.start();
  const wordsEnd = bytes.length & ~3;
  for (let at = 0; at < wordsEnd; at += 4) {
    hash.addWord(view.getInt32(at, true));
  }
  let rest = 0;
  for (let at = wordsEnd; at < bytes.length; at += 1) {
    rest |= bytes[at]! << ((at - wordsEnd) * 8);
  }
  hash.finish(bytes.length, rest);
  const result = Buffer.alloc(8);
  result.writeUInt32LE(hash.low, 0);
  result.writeUInt32LE(hash.high, 4);
  return result.toString('hex');
}

describe('HalfSipHash', () => {
  it('with 2-4 rounds gives the published results', () => {
    const hash = new HalfSipHash(0x03020100, 0x07060504, 2);
    const message = Uint8Array.from({ length: 64 }, (_, index) => index);
    const results = Array.from(message, (size) => hashBytes(hash, message.subarray(0, size)));
    expect(results.join('')).toBe(vectors);
  });

  it('with a prefix that was kept is that of the whole message', () => {
    const hash = new HalfSipHash(0x03020100, 0x07060504, 2);
    const whole = hashBytes(
      hash,
      Uint8Array.from({ length: 12 }, (_, index) => index),
    );
    hash.start();
    hash.addWord(0x03020100);
    hash.addWord(0x07060504);
    hash.keepPrefix();
    for (let repeat = 0; repeat < 2; repeat += 1) {
      hash.start();
      hash.addWord(0x0b0a0908);
      hash.finish(12, 0);
      const result = Buffer.alloc(8);
      result.writeUInt32LE(hash.low, 0);
      result.writeUInt32LE(hash.high, 4);
      expect(result.toString('hex')).toBe(whole);
    }
  });

  it('of a scope and a text is that of the length of the one and the UTF-16 code units of both, whatever they are', () => {
    const hash = new HalfSipHash(1, 2, 1);
    const units = fc.array(fc.nat(0xffff));
    fc.assert(
      fc.property(units, units, (scopeUnits, textUnits) => {
        const scope = String.fromCharCode(...scopeUnits);
        const text = String.fromCharCode(...textUnits);
        const size = Buffer.alloc(4);
        size.writeUInt32LE(scope.length);
        // To whole words.
        const padded = scope.length % 2 === 0 ? scope : `${scope}\0`;
        const message = [size, Buffer.from(padded, 'utf16le'), Buffer.from(text, 'utf16le')];
        const expected = hashBytes(hash, Buffer.concat(message));
        hash.hashScoped(scope, text);
        const result = Buffer.alloc(8);
        result.writeUInt32LE(hash.low, 0);
        result.writeUInt32LE(hash.high, 4);
        expect(result.toString('hex')).toBe(expected);
      }),
    );
  });

  it('depends on its key and on its rounds', () => {
    const all = [
      new HalfSipHash(0, 0, 1),
      new HalfSipHash(1, 0, 1),
      new HalfSipHash(0, 1, 1),
      new HalfSipHash(0, 0, 2),
    ];
    const results = all.map((hash) => hashBytes(hash, Buffer.from('text')));
    expect(new Set(results).size).toBe(4);
  });
});
