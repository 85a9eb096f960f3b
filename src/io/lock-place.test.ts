import { describe, expect, it } from 'vitest';
import { distanceOf, originHere } from './lock-place.ts';
import { parseClaimName } from './socket-claim.ts';

describe('the origin of a claim', () => {
  const here = '0123456789abcdef';

  it.each([
    ['01234567ffffffff', 'unknown'],
    ['76543210ffffffff', 'other boot'],
    [here, 'same list'],
    [undefined, 'unknown'],
  ])('%s, seen from here: %s', (origin, expected) => {
    expect(distanceOf(origin, here)).toBe(expected);
    expect(distanceOf(here, origin)).toBe(expected);
  });

  it.runIf(process.platform === 'linux')('is the same in one place', () => {
    expect(originHere()).toMatch(/^[0-9a-f]{16}$/);
    expect(originHere()).toBe(originHere());
  });

  it('is part of a name, unless it is not known', () => {
    const id = 'fedcba9876543210';
    expect(parseClaimName(`.lock-held-${id}-localx${here}`)).toMatchObject({
      kind: 'held',
      id,
      place: 'local',
      origin: here,
    });
    expect(parseClaimName(`.lock-claim-${id}-00112233445566ffx${here}`)).toMatchObject({
      place: '00112233445566ff',
      origin: here,
    });
    expect(parseClaimName(`.lock-temp-${id}-local`)).toMatchObject({
      place: 'local',
      origin: undefined,
    });
    expect(parseClaimName('.lock-notes')).toBe(undefined);
  });
});
