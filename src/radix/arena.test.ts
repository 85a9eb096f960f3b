import { describe, expect, it } from 'vitest';
import { codeOf } from '../testing/code-of.ts';
import { Arena, ARENA_SIZE_MAX } from './arena.ts';

describe('Arena', () => {
  it('gives out aligned addresses in order, and never 0', () => {
    const arena = Arena.create(64, false);
    expect([arena.allocate(1), arena.allocate(8), arena.allocate(9)]).toEqual([8, 16, 24]);
    expect(arena.used).toBe(40);
  });

  it('gives out all of its memory, and then says that it has no room', () => {
    const arena = Arena.create(64, false);
    expect(arena.hasRoom(56)).toBe(true);
    expect(arena.hasRoom(57)).toBe(false);
    arena.allocate(51);
    expect(arena.used).toBe(64);
    expect(arena.hasRoom(1)).toBe(false);
    expect(codeOf(() => arena.allocate(1))).toBe('INTERNAL');
    expect(arena.used).toBe(64);
  });

  it('rounds its size up to whole units', () => {
    expect(Arena.create(13, false).memory.byteLength).toBe(16);
  });

  it('refuses sizes whose addresses would not fit', () => {
    expect(codeOf(() => Arena.create(ARENA_SIZE_MAX + 1, true))).toBe('INTERNAL');
    expect(codeOf(() => Arena.attach(new ArrayBuffer(16), 24))).toBe('INTERNAL');
  });

  it('is shared if asked for, and seen through another arena over the same memory', () => {
    const arena = Arena.create(64, true);
    expect(arena.memory).toBeInstanceOf(SharedArrayBuffer);
    expect(Arena.create(64, false).memory).toBeInstanceOf(ArrayBuffer);
    const address = arena.allocate(8);
    arena.words[address >> 2] = 0x01010101;
    const other = Arena.attach(arena.memory, arena.used);
    expect(other.bytes[address + 3]).toBe(1);
    expect(other.used).toBe(arena.used);
  });

  it('starts over when it is reset', () => {
    const arena = Arena.create(64, false);
    const first = arena.allocate(40);
    arena.reset();
    expect(arena.hasRoom(56)).toBe(true);
    expect(arena.allocate(40)).toBe(first);
  });
});
