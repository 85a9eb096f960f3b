import { expect, it } from 'vitest';
import { SimulatedFileSystem } from '../testing/simulated-file-system.ts';
import { encodeSegmentHeader, segmentName } from './format.ts';
import { logHoldsFrames } from './new-journal.ts';

const identity = new Uint8Array(16).fill(0xa1);

it('tells a log that holds writes from one that was only made', () => {
  const fileSystem = new SimulatedFileSystem();
  expect(logHoldsFrames(fileSystem, '/log')).toBe(false);
  const salt = new Uint8Array(16);
  const segment = new Uint8Array(4_096);
  segment.set(encodeSegmentHeader({ identity, salt, index: 0, firstPosition: 0, link: 0 }));
  fileSystem.writeFile(`/log/${segmentName(0)}`, segment);
  expect(logHoldsFrames(fileSystem, '/log')).toBe(false);
  segment[200] = 1;
  fileSystem.writeFile(`/log/${segmentName(0)}`, segment);
  expect(logHoldsFrames(fileSystem, '/log')).toBe(true);
  fileSystem.writeFile(`/log/${segmentName(0)}`, new Uint8Array(4_096));
  fileSystem.writeFile(`/log/${segmentName(70)}`, new Uint8Array(4_096));
  expect(logHoldsFrames(fileSystem, '/log')).toBe(true);
});
