/** What Linux counts of a process, all of its threads together. */
import { closeSync, fdatasyncSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Bytes given to write calls; bytes of pages made dirty, once until they have reached the disk, where a write into a file
 * whose pages are cached in large folios counts all pages of the folio, so that this may be many times too much; and bytes
 * that the directory's disk has written since the machine started, whoever wrote them.
 *
 * @param {string} directory
 * @returns {{ calls: number, pages: number, disk: number | undefined }}
 */
export function bytesWritten(directory) {
  const text = readFileSync('/proc/self/io', 'utf8');
  return {
    calls: field(text, 'wchar'),
    pages: field(text, 'write_bytes'),
    disk: bytesWrittenByDisk(directory),
  };
}

/** @returns {Record<string, number>} What was written between two looks, ÷ `raw`. */
export function amplification(before, after, raw) {
  const names = Object.keys(before).filter((name) => before[name] !== undefined);
  return Object.fromEntries(names.map((name) => [name, (after[name] - before[name]) / raw]));
}

/** What is still in the system's memory would be missing in what the disk has written. */
export function syncFiles(directory) {
  for (const name of readdirSync(directory, { recursive: true })) {
    const path = join(directory, name);
    if (statSync(path).isFile()) {
      const file = openSync(path);
      fdatasyncSync(file);
      closeSync(file);
    }
  }
}

/** Undefined where the directory's device is none of the disks, as within some containers. */
function bytesWrittenByDisk(directory) {
  const { dev } = statSync(directory);
  const major = (dev >> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >> 12) & 0xf_ff00);
  const lines = readFileSync('/proc/diskstats', 'utf8').trim().split('\n');
  const disks = lines.map((line) => line.trim().split(/\s+/));
  const found = disks.find(([one, other]) => Number(one) === major && Number(other) === minor);
  return found === undefined ? undefined : Number(found[9]) * 512;
}

/** @returns {number} Bytes of memory resident at most so far. */
export function peakMemory() {
  return field(readFileSync('/proc/self/status', 'utf8'), 'VmHWM') * 1024;
}

/** CPU time of processes that this one has started and that have ended. */
export function childrenSeconds() {
  const [, text] = readFileSync('/proc/self/stat', 'utf8').split(') ');
  const fields = text.split(' ');
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

function field(text, name) {
  return Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)[1]);
}
